"""The values that the whole program speaks in. No I/O, no behaviour beyond what a value knows of itself.

The states of a job are ours (`JobState`); what the service says of a task is its own (`ServiceStatus`).
The two are never mixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

Units = Decimal
"""What the service bills in. Never a float."""

_LARGEST_QUANTITY = Decimal(10**12)
_SMALLEST_EXPONENT = (
    -30
)  # a sum of binary floats has up to 17 digits after the point; beyond 30 it is a trick


def quantity_from(value: object) -> Units | None:
    """Units or seconds from a reply or a person; None for what can't be any (missing, NaN, words, negative).

    An exponent makes a short text a number of a billion digits: what is beyond reason either way is None too.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        quantity = Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        return None
    if not quantity.is_finite() or not 0 <= quantity <= _LARGEST_QUANTITY:
        return None
    exponent = quantity.as_tuple().exponent
    return quantity if isinstance(exponent, int) and exponent >= _SMALLEST_EXPONENT else None


def units_text(units: Units) -> str:
    """Plain decimal text without exponent or trailing zeros: `4.4`, `0`, `120`."""
    text = format(units.normalize(), "f")
    return "0" if text == "-0" else text


def utc_now() -> datetime:
    return datetime.now(UTC)


def utc_text(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: `2026-11-02T09:30:00.125Z`. Text of this form sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_from(text: str) -> datetime:
    """Raises ValueError for what is no moment, or one of no known zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} is a moment of no known zone")
    return moment


def printable(text: str) -> str:
    """A text on one line, without a sign that a terminal obeys or that disguises what stands there: blanks instead."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)


class Mode(StrEnum):
    """The service's two qualities."""

    STD = "std"  # 720p
    PRO = "pro"  # 1080p


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Prices in units. The defaults are the service's price list for Avatar, as of autumn 2026."""

    std: Units = Decimal("0.4")  # a second, 720p
    pro: Units = Decimal("0.8")  # a second, 1080p
    speech: Units = Decimal("0.05")  # a text-to-speech call, whatever its length

    def per_second(self, mode: Mode) -> Units:
        return self.pro if mode is Mode.PRO else self.std


class JobState(StrEnum):
    """Where a job stands. Where each may go is in ledger/transitions.py."""

    PENDING = "pending"  # known, nothing sent, or surely nothing made of what was sent
    SUBMITTING = "submitting"  # intent is committed; a create may be under way, or its answer was lost
    RUNNING = "running"  # the service has the task
    RENDERED = "rendered"  # the service says succeed; the video is not here yet
    DONE = "done"  # the video is on disk, verified; hash and deduction recorded
    FAILED = "failed"  # the service reported failed
    REJECTED = "rejected"  # the service refused the create for good
    CONFLICT = "conflict"  # the id exists in the account and is not ours
    EXPIRED = "expired"  # it succeeded, and the result was gone before it was fetched

    @property
    def in_flight(self) -> bool:
        """Whether an attempt of this job holds, or may hold, one of the service's slots."""
        return self in (JobState.SUBMITTING, JobState.RUNNING)


class ServiceStatus(StrEnum):
    """What the service says of a task, in its own spelling."""

    SUBMITTED = "submitted"
    PROCESSING = "processing"
    SUCCEED = "succeed"
    FAILED = "failed"
    UNKNOWN = "unknown"  # a word that the documentation does not have: keep watching

    @property
    def ended(self) -> bool:
        return self in (ServiceStatus.SUCCEED, ServiceStatus.FAILED)


class ServiceName(StrEnum):
    KLING = "kling"
    SANDBOX = "sandbox"


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """Where in a person's files something stands. Lines and columns count from 1."""

    file: str
    line: int | None = None
    column: int | str | None = None  # a sheet's column is named by its header
    json_path: str | None = None  # `$.jobs[2].prompt`
    cell: str | None = None  # in a workbook: `Spring!D17`

    def __post_init__(self) -> None:
        """Names of files and columns are anybody's: none of them reaches a terminal as it is."""
        if not self.file.isprintable():
            object.__setattr__(self, "file", printable(self.file))
        if isinstance(self.column, str) and not self.column.isprintable():
            object.__setattr__(self, "column", printable(self.column))
        if self.json_path is not None and not self.json_path.isprintable():
            object.__setattr__(self, "json_path", printable(self.json_path))
        if self.cell is not None and not self.cell.isprintable():
            object.__setattr__(self, "cell", printable(self.cell))

    @property
    def row(self) -> str | None:
        """What tells the row it is in from every other of its file; None outside the rows."""
        if self.json_path is not None and self.json_path.startswith("$.jobs["):
            return self.json_path.partition("]")[0]
        return str(self.line) if isinstance(self.column, str) and self.line is not None else None

    def __str__(self) -> str:
        parts = [self.file]
        if self.line is not None and self.cell is None:
            parts.append(str(self.line))
        if isinstance(self.column, int) and self.cell is None:
            parts.append(str(self.column))
        where = ":".join(parts) if self.cell is None else f"{self.file} {self.cell}"
        if isinstance(self.column, str):
            where += f" (column {self.column})"
        return where


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something wrong with the input: where, what, and how to mend it. Whatever it quotes, it is printable."""

    location: Location
    what: str
    mend: str = ""
    job: str | None = None  # external_task_id, where it is known
    kind: str = ""  # what it is counted with: "image smaller than 300 px"

    def __post_init__(self) -> None:
        object.__setattr__(self, "what", printable(self.what))
        object.__setattr__(self, "mend", printable(self.mend))
        if self.job is not None:
            object.__setattr__(self, "job", printable(self.job))

    def __str__(self) -> str:
        """Its place is the line, and the job on it where it is known; the path is for programs."""
        path = self.location.json_path if self.location.line is None else None
        return f"{self.location}{f' [{path}]' if path else ''}: {self.sentence}"

    @property
    def sentence(self) -> str:
        return f"{self.what} {self.mend}".strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """Text that the service speaks. `voice_speed` is 0.8 to 2.0 with one decimal."""

    text: str
    voice_id: str
    voice_language: str
    voice_speed: Decimal = Decimal("1.0")


class FitMode(StrEnum):
    AUTO = "auto"  # what the service would refuse, and can be mended, is mended
    OFF = "off"  # it is refused here


class Pad(StrEnum):
    """What fills the sides of a picture that is too long or too tall."""

    BLUR = "blur"  # the picture itself, enlarged and blurred
    COLOUR = "colour"  # the mean colour of its edges


@dataclass(frozen=True, slots=True)
class Fit:
    """What may be done to a job's media so that the service takes them."""

    mode: FitMode = FitMode.AUTO
    trim: bool = False  # a recording that is too long is cut; else it is refused
    pad: Pad | None = None  # a picture that is too long or too tall gets sides; None: it is refused


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture in its pixels, as people see it: upright."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One video that should exist: one row of a manifest, defaults and templates applied.

    `image` and `sound_file` are references as the person wrote them: a path (relative to the manifest), an
    http(s) URL, or bare Base64. Exactly one of `sound_file`, `audio_id`, `speech` is set. `output` is a path
    with forward slashes, relative to the output folder of the campaign, already checked.
    """

    external_task_id: str
    image: str
    output: str
    sound_file: str | None = None
    audio_id: str | None = None
    speech: Speech | None = None
    prompt: str | None = None
    mode: Mode = Mode.STD
    watermark: bool = False
    callback_url: str | None = None
    fit: Fit = Fit()
    captions: bool = False  # an .srt beside the video; only with `speech`
    mouth: Box | None = None  # for previews: where the mouth is, when no face can be found
    priority: int = 0  # higher goes first, whatever its length
    tags: tuple[str, ...] = ()
    vars: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    location: Location = Location(file="")
    field_locations: Mapping[str, Location] = field(default_factory=lambda: MappingProxyType({}))

    def where(self, field_name: str) -> Location:
        """Where this field of the job was written (the row itself where it came from the defaults)."""
        return self.field_locations.get(field_name, self.location)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSettings:
    name: ServiceName = ServiceName.KLING
    base_url: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """The sheet of a workbook that has a manifest's rows. `width`: its columns, up to the last that has anything."""

    file: Path
    sheet: str
    header_row: int
    width: int
    headings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A validated manifest.

    `jobs` of a large sheet are made anew each time they are asked for: compare them by value, and keep none for long.
    `concurrency` None: as many tasks at once as the account turns out to take. `made_ids` of its jobs had no id of
    their own: editing such a row makes another id, and with it another job. `notes`: sentences about how its rows were
    read, which a person should see before anything is paid.
    """

    path: Path
    campaign: str
    jobs: Sequence[Job]
    service: ServiceSettings = ServiceSettings()
    concurrency: int | None = 5
    budget_units: Units | None = None
    made_ids: int = 0
    notes: tuple[str, ...] = ()
    table: Table | None = None

    @property
    def folder(self) -> Path:
        """What relative references are relative to."""
        return self.path.parent


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """The names in which two sets of named parts differ, such as the parts of two fingerprints."""
    return tuple(sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name)))


def attempt_id(external_task_id: str, number: int) -> str:
    """The id an attempt carries at the service: the job's own for the first, then `ID-r2`, `ID-r3` ..."""
    return external_task_id if number == 1 else f"{external_task_id}-r{number}"


def captions_output(output: str) -> str:
    """Where the captions of a video are put: `intro.mp4` -> `intro.srt`."""
    return f"{output.rpartition('.')[0]}.srt"


def watermark_output(output: str) -> str:
    """Where the watermarked version of a video is put: `intro.mp4` -> `intro.watermark.mp4`."""
    stem, dot, suffix = output.rpartition(".")
    return f"{stem}.watermark{dot}{suffix}"
