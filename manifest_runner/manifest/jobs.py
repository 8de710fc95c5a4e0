"""One row -> one Job: defaults under it, names filled in, the complete job held against its schema.

Badly written fields have been reported and taken out before; whatever can still be said about the rest is said, so
that one loading finds everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from manifest_runner.manifest.defaults import SOUNDS, with_defaults
from manifest_runner.manifest.filling import Scope
from manifest_runner.manifest.identity import made_id
from manifest_runner.manifest.outputs import path_fault
from manifest_runner.manifest.rows import Common, Row
from manifest_runner.manifest.text import shown
from manifest_runner.manifest.wording import Fault, faults_in
from manifest_runner.models import (
    Box,
    Fit,
    FitMode,
    Job,
    Location,
    Mode,
    Pad,
    Problem,
    Speech,
    captions_output,
    units_text,
    watermark_output,
)

_USUAL_SPEED = Decimal("1.0")
_UNKNOWN_ID = "id"  # stands in for an id that can't be made yet, so that the rest of a path can be checked


@dataclass(slots=True)
class Completed:
    """What came of a row: a job, or problems. Its id and its output paths are set when they are surely known."""

    row: Row
    external_task_id: str | None
    made: bool = False  # the id is ours
    outputs: tuple[str, ...] = ()  # the paths of the video, its watermarked copy, its captions
    job: Job | None = None
    problems: list[Problem] = field(default_factory=list)


def complete(row: Row, common: Common) -> Completed:
    """Makes the job of a row, or finds every reason why it can't be one."""
    result = Completed(row, row.external_task_id)
    doubtful = row.bad | common.bad
    content = with_defaults(common.defaults, row.data)
    template = content.pop("output", common.output)
    if "vars" not in doubtful:
        _fill_texts(content, row, common, result.problems)
    if result.external_task_id is None and not doubtful and not result.problems:
        result.external_task_id = made_id(common.campaign, _asked_for(content))
        result.made = True
    if result.external_task_id is not None:
        content["external_task_id"] = result.external_task_id
    if "vars" not in doubtful:
        _fill_output(template, content, row, common, result)
    formless = _check(content, row, common, result)
    if "output" in content and "output" not in formless:
        _check_output(content, result)
    if row.data.get("captions") == "srt" and doubtful.isdisjoint(SOUNDS) and "speech" not in content:
        result.problems.append(_nothing_to_caption(row))
    if not doubtful and not result.problems:
        result.job = _job(content, row)
    return result


def _nothing_to_caption(row: Row) -> Problem:
    return Problem(
        location=row.where("captions"),
        what="There is no text to make captions of: this job's sound is no `speech`.",
        mend="Leave `captions` out, or have a text spoken.",
        job=row.external_task_id,
    )


def _fill_texts(content: dict[str, Any], row: Row, common: Common, problems: list[Problem]) -> None:
    """Fills in `prompt` and `speech.text`, in place."""
    scope = Scope.of(row, common, content)
    if "prompt" in content:
        filled = scope.fill(content["prompt"], _written_at(row, common, "prompt"))
        if isinstance(filled, str):
            content["prompt"] = filled
        else:
            problems += filled
    if "text" in content.get("speech", {}):
        filled = scope.fill(content["speech"]["text"], _written_at(row, common, "speech", "text"))
        if isinstance(filled, str):
            content["speech"] = {**content["speech"], "text": filled}
        else:
            problems += filled


def _fill_output(template: str, content: dict[str, Any], row: Row, common: Common, result: Completed) -> None:
    """Fills in the output path, unless a value would add folders to it."""
    scope = Scope.of(row, common, {"external_task_id": _UNKNOWN_ID, **content})
    own = "output" in row.data or "output" in common.defaults
    filled = scope.fill(template, _written_at(row, common, "output") if own else common.output_at)
    if isinstance(filled, list):
        result.problems += filled
        return
    if slashes := scope.slashes(template, content.get("vars", {})):
        result.problems += slashes
        return
    content["output"] = filled


def _check_output(content: dict[str, Any], result: Completed) -> None:
    """Checks the names in the output path one by one, once its form is known to be right."""
    path = content["output"]
    if fault := path_fault(path):
        what = f"The output path `{shown(path)}` can't be used: {fault[0]}."
        location = result.row.where("output")
        result.problems.append(
            Problem(location=location, what=what, mend=fault[1], job=result.external_task_id)
        )
    elif result.external_task_id is not None:
        copies = (watermark_output(path),) if _watermark(content) else ()
        captions = (captions_output(path),) if _captions(content) else ()
        result.outputs = (path, *copies, *captions)


def _check(content: dict[str, Any], row: Row, common: Common, result: Completed) -> set[str | int]:
    """Holds the complete job against its schema; the fields that broke a rule are returned.

    What concerns a field that has been reported before is left out.
    """
    reported = row.bad | common.bad
    broken: set[str | int] = set()
    for fault in faults_in("job", content):
        broken.update(fault.path[:1])
        if reported.isdisjoint((*fault.path[:1], *fault.about)):
            location, own = _place(fault, row, common)
            job = result.external_task_id if own else None
            result.problems.append(Problem(location=location, what=fault.what, mend=fault.mend, job=job))
    return broken


def _place(fault: Fault, row: Row, common: Common) -> tuple[Location, bool]:
    """Where a fault of the complete job is mended, and whether that is the row."""
    chosen = [name for name in fault.about if name in common.defaults]
    if fault.path and fault.path[0] in chosen and row.data.keys().isdisjoint(fault.about):
        return common.head.where(("defaults", *fault.path)), False  # the defaults alone name two sounds
    lacking = fault.about if len(fault.about) == 1 else ()  # a sheet may have a column for it, left empty
    return row.where(*fault.path, *lacking), True


def _written_at(row: Row, common: Common, *steps: str) -> Location:
    """Where a field stands: in the row, or else in the defaults."""
    value: Any = row.data
    for step in steps:
        if step not in value:
            return common.head.where(("defaults", *steps))
        value = value[step]
    return row.where(*steps)


def _asked_for(content: dict[str, Any]) -> dict[str, Any]:
    """What the service is asked to make, in one form however it was written; this is what a made id depends on.

    A tag, a note in a column or another file name must not change the id: the job would look new, and be paid again.
    """
    asked: dict[str, Any] = {
        name: content[name] for name in ("image", "sound_file", "audio_id") if name in content
    }
    if "speech" in content:
        speed = Decimal(content["speech"].get("voice_speed", _USUAL_SPEED))
        asked["speech"] = {**content["speech"], "voice_speed": units_text(speed)}
    asked["prompt"] = content.get("prompt", "")
    asked["mode"] = content.get("mode", Mode.STD.value)
    asked["watermark"] = _watermark(content)
    return asked


def _watermark(content: dict[str, Any]) -> bool:
    return bool(content.get("watermark_info", {}).get("enabled", False))


def _captions(content: dict[str, Any]) -> bool:
    return content.get("captions") == "srt" and "speech" in content


def _job(content: dict[str, Any], row: Row) -> Job:
    speech = content.get("speech")
    return Job(
        external_task_id=content["external_task_id"],
        image=content["image"],
        output=content["output"],
        sound_file=content.get("sound_file"),
        audio_id=content.get("audio_id"),
        speech=_speech(speech) if speech else None,
        prompt=content.get("prompt") or None,
        mode=Mode(content.get("mode", Mode.STD)),
        watermark=_watermark(content),
        callback_url=content.get("callback_url"),
        fit=_fit(content.get("fit", {})),
        captions=_captions(content),
        mouth=Box(*map(int, content["preview"]["mouth"])) if content.get("preview") else None,
        tags=tuple(content.get("tags", ())),
        vars=MappingProxyType(dict(content.get("vars", {}))),
        location=row.where(),
        field_locations=MappingProxyType(dict(_field_locations(row))),
    )


def _speech(written: dict[str, Any]) -> Speech:
    return Speech(
        text=written["text"],
        voice_id=written["voice_id"],
        voice_language=written["voice_language"],
        voice_speed=Decimal(written.get("voice_speed", _USUAL_SPEED)),
    )


def _fit(written: dict[str, Any]) -> Fit:
    return Fit(
        mode=FitMode(written.get("mode", FitMode.AUTO)),
        trim=written.get("trim", False),
        pad=Pad(written["pad"]) if "pad" in written else None,
    )


def _field_locations(row: Row) -> Iterator[tuple[str, Location]]:
    """The place of each field that the row itself gives: `prompt`, `speech`, `speech.text`."""
    for name, value in row.data.items():
        yield name, row.where(name)
        if isinstance(value, dict):
            for child in value:
                yield f"{name}.{child}", row.where(name, child)
