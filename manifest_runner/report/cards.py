"""What the page of a rehearsal shows of one row: from the manifest's job, its record and what was found against it.

Pure but for one question: whether a file lies where the ledger has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from manifest_runner.ledger import JobRecord
from manifest_runner.models import Job, JobState, Problem, units_text


class Fate(StrEnum):
    """What became of a row. The values are class names on the page."""

    THERE = "there"  # its preview is as the row is now
    OUTDATED = "outdated"  # there is one of an earlier version of the row
    UNUSABLE = "unusable"  # never sent: its media can't be used
    REFUSED = "refused"
    FAILED = "failed"
    WAITING = "waiting"  # nothing came of it yet


COUNTED = {
    Fate.THERE: "with a preview",
    Fate.OUTDATED: "with a preview of an earlier version",
    Fate.UNUSABLE: "can't be sent",
    Fate.REFUSED: "refused",
    Fate.FAILED: "failed",
    Fate.WAITING: "not made yet",
}
LABELS = {
    Fate.THERE: "Preview",
    Fate.OUTDATED: "Preview of an earlier version",
    Fate.UNUSABLE: "Can't be sent",
    Fate.REFUSED: "Refused",
    Fate.FAILED: "Failed",
    Fate.WAITING: "Not made yet",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """What is known of a row beside its job and its record: all of it text for people."""

    image: str  # how the picture is called
    sound: str | None = None  # the recording, or the audio id; None where a text is spoken
    units_estimated: str | None = None
    fitting: Mapping[str, str] = field(default_factory=dict)  # what will be done to its media when it is sent
    output: str = ""  # what the real video will be called
    problems: Sequence[Problem] = ()
    code: int | None = None  # what the service would answer to these media
    notes: Sequence[str] = ()  # what is to be known of it beside its fate


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A row on the page. `video`, `watermark`, `captions` and `poster` are relative addresses, percent-encoded."""

    number: int
    external_task_id: str
    place: str
    fate: Fate
    label: str
    code: int | None
    message: str | None
    problems: Sequence[Problem]
    image: str
    sound: str | None
    text: str | None
    voice: str | None
    prompt: str | None
    mode: str
    output: str
    seconds: str | None
    units_estimated: str | None
    units_deducted: str | None
    fitted: Mapping[str, str]
    vars: Mapping[str, str]
    tags: Sequence[str]
    video: str | None
    watermark: str | None
    captions: str | None
    poster: str | None
    notes: Sequence[str]


def card_of(
    number: int,
    job: Job,
    record: JobRecord | None,
    material: Material,
    *,
    folder: Path,
    posters: Mapping[str, str],
) -> Card:
    """`number` counts the manifest's rows from 1; `posters` are paths below `folder`, by their video's SHA-256."""
    fate = fate_of(record, material, folder)
    shown = record if record is not None and fate in (Fate.THERE, Fate.OUTDATED) else None
    attempt = record.attempt if record is not None and fate is not Fate.UNUSABLE else None
    code = (
        material.code if fate is Fate.UNUSABLE else attempt.code if attempt and fate is Fate.REFUSED else None
    )
    speech, deducted = job.speech, attempt.units_deducted if attempt else None
    line = f":{job.location.line}" if job.location.line is not None else ""
    return Card(
        number=number,
        external_task_id=job.external_task_id,
        place=f"{job.location.file}{line}",
        fate=fate,
        label=f"{LABELS[fate]} ({code})" if code is not None else LABELS[fate],
        code=code,
        message=_message(fate, record),
        problems=material.problems if fate is Fate.UNUSABLE else (),
        image=material.image,
        sound=material.sound,
        text=speech.text if speech else None,
        voice=f"{speech.voice_id}, {speech.voice_language}, speed {speech.voice_speed}" if speech else None,
        prompt=job.prompt,
        mode=job.mode.value,
        output=material.output or job.output,
        seconds=units_text(attempt.video_seconds) if attempt and attempt.video_seconds is not None else None,
        units_estimated=material.units_estimated,
        units_deducted=units_text(deducted) if deducted is not None else None,
        fitted=attempt.fitted if attempt is not None else material.fitting,
        vars=job.vars,
        tags=job.tags,
        video=address(shown.file, folder, ".mp4") if shown else None,
        watermark=address(shown.watermark_file, folder, ".mp4") if shown else None,
        captions=address(shown.captions_file, folder, ".srt") if shown else None,
        poster=address(posters.get(shown.sha256 or ""), folder, ".jpg") if shown else None,
        notes=material.notes,
    )


def fate_of(record: JobRecord | None, material: Material, folder: Path) -> Fate:
    if material.problems:
        return Fate.UNUSABLE
    match record.state if record is not None else JobState.PENDING:
        case JobState.DONE if record is not None and address(record.file, folder, ".mp4") is not None:
            return Fate.OUTDATED if record.changed else Fate.THERE
        case JobState.REJECTED:
            return Fate.REFUSED
        case JobState.FAILED:
            return Fate.FAILED
    return Fate.WAITING


def place_of(file: str | None, folder: Path) -> Path | None:
    """Where a file of the ledger's lies below `folder`; None where there is none, or it would lie elsewhere.

    A ledger may come from anybody: what it names is looked at, shown and linked to only inside the folder.
    """
    if not file or "\0" in file:
        return None
    path = folder / file
    try:
        inside = path.resolve().is_relative_to(folder.resolve()) and ".." not in PurePosixPath(file).parts
        return path if inside and not PurePosixPath(file).is_absolute() and path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # a circle of links, a name that no disk can hold
        return None


def address(file: str | None, folder: Path, suffix: str) -> str | None:
    """The relative address of a file below `folder`, where there is one. Nothing in it can be read as a scheme.

    Only of one with this suffix: a ledger that comes from anybody may name a page with a script as captions.
    """
    if file is None or PurePosixPath(file).suffix.lower() != suffix or place_of(file, folder) is None:
        return None
    return quote(PurePosixPath(file).as_posix(), safe="/", errors="surrogateescape")


def _message(fate: Fate, record: JobRecord | None) -> str | None:
    """The service's own reason, or why the row stands where it is."""
    if record is None or fate in (Fate.THERE, Fate.UNUSABLE):
        return None
    if fate is Fate.OUTDATED:
        return f"Made before {', '.join(record.changed)} changed in the manifest."
    if fate is Fate.FAILED and record.attempt is not None and record.attempt.service_message:
        return record.attempt.service_message
    return record.why
