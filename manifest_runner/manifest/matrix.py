"""`matrix:` multiplies rows: three portraits and four languages make twelve jobs of each.

An axis is a list of texts, or of parts of a job. A text is the value of the field that the axis is named like, else of
a name that can be used in braces. What the matrix says goes before what the row says, and both before the defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from pathlib import PurePosixPath
from typing import Any, NamedTuple, overload

from manifest_runner.errors import ManifestError
from manifest_runner.manifest.defaults import SOUNDS
from manifest_runner.manifest.identity import slug
from manifest_runner.manifest.schemas import field_names, nested_fields
from manifest_runner.manifest.source import Source, ValuePath
from manifest_runner.models import Location, Problem, Table

MOST_JOBS = 1_000
"""Jobs that a matrix makes without being told how many are meant."""

_LABEL = "label"


class _Choice(NamedTuple):
    """One entry of an axis."""

    axis: str
    number: int
    label: str
    part: dict[str, Any]  # of a job


@dataclass(frozen=True)
class Multiplied:
    """A source whose rows are each multiplied; the places of what comes from the matrix are in the manifest."""

    inner: Source
    head: Source
    combinations: Sequence[tuple[_Choice, ...]]

    @cached_property
    def data(self) -> dict[str, Any]:
        return {**self.inner.data, "jobs": _Rows(self)}

    def where(self, path: ValuePath, *, key: bool = False) -> Location:
        match path:
            case ("jobs", int(number), *steps):
                row, choices = self._parts_of(number)
                for choice in choices:
                    if steps and steps[0] in choice.part and steps[0] != "vars":
                        return self.head.where(("matrix", choice.axis, choice.number, *steps), key=key)
                return self.inner.where(("jobs", row, *steps), key=key)
        return self.inner.where(path, key=key)

    def where_row(self, number: int) -> Location:
        return self.inner.where_row(self._parts_of(number)[0])

    def rows(self, numbers: Iterable[int]) -> Iterator[dict[str, Any]]:
        for number in numbers:
            row, choices = self._parts_of(number)
            yield _combined(next(self.inner.rows((row,))), choices)

    @property
    def var_columns(self) -> frozenset[str]:
        return self.inner.var_columns

    @property
    def notes(self) -> tuple[str, ...]:
        return self.inner.notes

    @property
    def table(self) -> Table | None:
        return self.inner.table

    def _parts_of(self, number: int) -> tuple[int, tuple[_Choice, ...]]:
        row, combination = divmod(number, len(self.combinations))
        return row, self.combinations[combination]


class _Rows(Sequence[Any]):
    def __init__(self, source: Multiplied) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source.inner.data["jobs"]) * len(self._source.combinations)

    @overload
    def __getitem__(self, key: int) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> list[Any]: ...
    def __getitem__(self, key: int | slice) -> Any:
        numbers = range(len(self))[key]
        return (
            next(self._source.rows((numbers,)))
            if isinstance(numbers, int)
            else list(self._source.rows(numbers))
        )

    def __iter__(self) -> Iterator[Any]:
        return self._source.rows(range(len(self)))


def multiplied(rows: Source, head: Source, sound: dict[str, Any]) -> Source:
    """The rows as the manifest's matrix multiplies them; as they are where it has none.

    `sound` is the manifest's top level without its faulty fields. Raises ManifestError for more jobs than it allows.
    """
    axes, jobs = sound.get("matrix"), rows.data.get("jobs")
    if not axes or not isinstance(jobs, Sequence) or isinstance(jobs, str):
        return rows
    if not all(isinstance(row, dict) for row in (jobs if isinstance(jobs, list) else ())):
        return rows  # which is complained of row by row
    most, count = sound.get("matrix_limit", MOST_JOBS), len(jobs) * prod(map(len, axes.values()))
    if count > most:
        times = " x ".join(str(len(entries)) for entries in axes.values())
        raise ManifestError(
            [
                Problem(
                    location=head.where(("matrix",), key=True),
                    what=f"The matrix makes {count:,} jobs ({len(jobs):,} x {times}); {most:,} are the most.",
                    mend=f"If that is meant, say so: `matrix_limit: {count}`.",
                )
            ]
        )
    choices = [
        [_choice(axis, number, entry) for number, entry in enumerate(entries)]
        for axis, entries in axes.items()
    ]
    return Multiplied(rows, head, list(product(*choices)))


def var_names(sound: dict[str, Any]) -> Iterator[str]:
    """The names that the matrix gives a value to."""
    for axis, entries in sound.get("matrix", {}).items():
        yield axis
        for entry in entries:
            yield from entry.get("vars", {}) if isinstance(entry, dict) else ()


def _choice(axis: str, number: int, entry: Any) -> _Choice:
    if isinstance(entry, dict):
        part = {name: value for name, value in entry.items() if name != _LABEL}
        label = entry.get(_LABEL)
    else:
        part = {axis: entry} if axis in field_names() and axis not in nested_fields() else {}
        label = None
    named = label if isinstance(label, str) else _label(entry, number)
    value = entry if isinstance(entry, str) else named
    if axis not in field_names():
        part["vars"] = {axis: value, **(part["vars"] if isinstance(part.get("vars"), dict) else {})}
    return _Choice(axis, number, slug(named, otherwise=str(number + 1)), part)


def _label(entry: Any, number: int) -> str:
    """What stands for an entry in ids: its text, without a folder and an ending where it is a file's."""
    if not isinstance(entry, str):
        return str(number + 1)
    name = PurePosixPath(entry)
    return name.stem if name.suffix and "/" in entry else entry


def _over(row: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The row with the part's fields. A part that names a sound leaves the row's behind."""
    job = {**row, **part}
    for name in part.keys() & row.keys():
        if isinstance(part[name], dict) and isinstance(row[name], dict):
            job[name] = {**row[name], **part[name]}
    if not part.keys().isdisjoint(SOUNDS):
        for name in set(SOUNDS) & row.keys() - part.keys():
            del job[name]
    return job


def _combined(row: dict[str, Any], choices: Iterable[_Choice]) -> dict[str, Any]:
    job = dict(row)
    for choice in choices:
        job = _over(job, choice.part)
    if isinstance(identity := row.get("external_task_id"), str):
        job["external_task_id"] = "-".join([identity, *(choice.label for choice in choices)])
    return job
