"""One row -> one Job: defaults under it, names filled in, the complete job held against its schema.

Badly written fields have been reported and taken out before; whatever can still be said about the rest is said, so
that one loading finds everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from manifest_runner.manifest.defaults import SOUNDS, with_defaults
from manifest_runner.manifest.filling import slashes, unfilled, values_of
from manifest_runner.manifest.identity import made_id
from manifest_runner.manifest.outputs import path_fault
from manifest_runner.manifest.places import FieldLocations
from manifest_runner.manifest.rows import Common, Row
from manifest_runner.manifest.templates import TemplateError, expand
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
_USUAL_FIT = Fit()
MODES = {mode.value: mode for mode in Mode}
_UNKNOWN_ID = "id"  # stands in for an id that can't be made yet, so that the rest of a path can be checked


@dataclass(slots=True)
class Completed:
    """What came of a row: all a job is made of, or problems. Its id and its outputs are set when surely known."""

    row: Row
    external_task_id: str | None
    content: dict[str, Any]
    template: str  # what its output path is made from
    doubtful: frozenset[str]  # fields, its own and the defaults', that have been taken out
    made: bool = False  # the id is ours
    outputs: tuple[str, ...] = ()  # the paths of the video, its watermarked copy, its captions
    problems: list[Problem] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether it makes a job."""
        return not self.doubtful and not self.problems


def complete(row: Row, common: Common) -> Completed:
    """All that the job of a row is made of, or every reason why it can't be one."""
    result = fill_in(row, common)
    if "output" in result.content:
        _refuse_slashes(result)
    formless = _check(result, common)
    if "output" in result.content and "output" not in formless:
        _check_output(result)
    if (
        row.data.get("captions") == "srt"
        and result.doubtful.isdisjoint(SOUNDS)
        and "speech" not in result.content
    ):
        result.problems.append(_nothing_to_caption(row))
    return result


def make_job(row: Row, common: Common) -> Job:
    """The job of a row that has been completed before, and was sound."""
    return job_of(fill_in(row, common).content, row)


def fill_in(row: Row, common: Common) -> Completed:
    """The row over the defaults, with an id and its names filled in."""
    doubtful = row.bad | common.bad
    content = with_defaults(common.defaults, row.data)
    template = content.pop("output", common.output)
    result = Completed(row, row.data.get("external_task_id"), content, template, doubtful)
    values = values_of(row, common, content)
    if "vars" not in doubtful:
        _fill_texts(result, values, common)
    if result.external_task_id is None:
        if result.sound:
            result.external_task_id = content["external_task_id"] = made_id(
                common.campaign, _asked_for(content)
            )
            result.made = True
        values = values_of(row, common, {"external_task_id": _UNKNOWN_ID, **content})
    if "vars" not in doubtful:
        _fill_output(result, values, common)
    return result


def _nothing_to_caption(row: Row) -> Problem:
    return Problem(
        location=row.where("captions"),
        what="There is no text to make captions of: this job's sound is no `speech`.",
        mend="Leave `captions` out, or have a text spoken.",
        job=row.external_task_id,
    )


def _fill_texts(result: Completed, values: Mapping[str, str], common: Common) -> None:
    """Fills in `prompt` and `speech.text`, in place."""
    content = result.content
    if "prompt" in content:
        try:
            content["prompt"] = expand(content["prompt"], values, common.names)
        except TemplateError as exc:
            result.problems += unfilled(exc, result.row, common, "prompt")
    if "text" in content.get("speech", ()):
        try:
            text = expand(content["speech"]["text"], values, common.names)
            content["speech"] = {**content["speech"], "text": text}
        except TemplateError as exc:
            result.problems += unfilled(exc, result.row, common, "speech", "text")


def _fill_output(result: Completed, values: Mapping[str, str], common: Common) -> None:
    try:
        result.content["output"] = expand(result.template, values, common.names)
    except TemplateError as exc:
        result.problems += unfilled(exc, result.row, common, "output")


def _refuse_slashes(result: Completed) -> None:
    """Takes the output path away where a value has added folders to it."""
    if added := slashes(result.template, result.content.get("vars", {}), result.row):
        result.problems += added
        del result.content["output"]


def _check_output(result: Completed) -> None:
    """Checks the names in the output path one by one, once its form is known to be right."""
    content, path = result.content, result.content["output"]
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


def _check(result: Completed, common: Common) -> set[str | int]:
    """Holds the complete job against its schema; the fields that broke a rule are returned.

    What concerns a field that has been reported before is left out.
    """
    broken: set[str | int] = set()
    for fault in faults_in("job", result.content):
        broken.update(fault.path[:1])
        if result.doubtful.isdisjoint((*fault.path[:1], *fault.about)):
            location, own = _place(fault, result.row, common)
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


def job_of(content: dict[str, Any], row: Row) -> Job:
    get = content.get
    speech, fit = get("speech"), get("fit")
    return Job(
        external_task_id=content["external_task_id"],
        image=content["image"],
        output=content["output"],
        sound_file=content.get("sound_file"),
        audio_id=content.get("audio_id"),
        speech=_speech(speech) if speech else None,
        prompt=content.get("prompt") or None,
        mode=MODES[content.get("mode", Mode.STD.value)],
        watermark=_watermark(content),
        callback_url=content.get("callback_url"),
        fit=_fit(fit) if fit else _USUAL_FIT,
        captions=_captions(content),
        mouth=Box(*map(int, content["preview"]["mouth"])) if content.get("preview") else None,
        priority=int(content.get("priority", 0)),
        tags=tuple(content.get("tags", ())),
        vars=MappingProxyType(content.get("vars", {})),
        location=row.source.where_row(row.number),
        field_locations=FieldLocations(row.source, row.number),
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
