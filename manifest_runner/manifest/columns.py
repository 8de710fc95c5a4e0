"""Rows of a sheet that fill in the same columns, column by column: one of them speaks for the others wherever it
matters which fields there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from manifest_runner.manifest.filling import values_of
from manifest_runner.manifest.jobs import Completed
from manifest_runner.manifest.rows import Common
from manifest_runner.manifest.sheet import Rows
from manifest_runner.manifest.templates import expand_all

Path = tuple[str, ...]
Cells = Mapping[Path, Sequence[str]]
"""Columns without an empty cell, by the field that each gives."""

ID: Path = ("external_task_id",)
PROMPT: Path = ("prompt",)
MOST_GROUPS = 8  # with more, a speaker for each costs more than it saves
_FILLED_IN: tuple[Path, ...] = (PROMPT, ("speech", "text"))


class Alike(NamedTuple):
    """Rows by their numbers, and what stands in their columns."""

    numbers: Sequence[int]
    cells: Cells


def alike(rows: Rows, numbers: Sequence[int]) -> list[Alike]:
    """The rows by the columns that they fill in."""
    paths = [column.path for column in rows.columns]
    records = list(rows.cells(numbers))
    columns = list(zip(*records, strict=True))
    if all(all(map(str.strip, cells)) for cells in columns):
        return [Alike(numbers, dict(zip(paths, columns, strict=True)))]
    groups: defaultdict[tuple[bool, ...], list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        groups[tuple(map(bool, map(str.strip, record)))].append(place)
    return [
        Alike(
            [numbers[place] for place in places],
            {
                path: [cells[place] for place in places]
                for path, cells, given in zip(paths, columns, filled, strict=True)
                if given
            },
        )
        for filled, places in groups.items()
    ]


def values_in(group: Alike, common: Common, speaker: Completed) -> dict[str, Sequence[str]]:
    """What the names stand for in each row: the same as in the speaker's, where no column says otherwise."""
    own = speaker.content.get("vars", {})
    values: dict[str, Sequence[str]] = {}
    for name, value in values_of(speaker.row, common, speaker.content).items():
        path = ("vars", name) if name in own else (name,)
        if path == ("row",):
            values[name] = [str(number + 1) for number in group.numbers]
        else:
            values[name] = group.cells.get(path) or [value] * len(group.numbers)
    return values


def texts_in(
    group: Alike, values: Mapping[str, Sequence[str]], common: Common, speaker: Completed
) -> Iterator[tuple[Path, list[str]]]:
    """The texts that are filled in, with the path of their field. Raises TemplateError."""
    for path in _FILLED_IN:
        given = group.cells.get(path)
        if given is None and _at(speaker.content, path) is not None:  # it comes from the defaults
            given = [_at(common.defaults, path)] * len(group.numbers)
        if given is not None:
            yield path, expand_all(given, values, common.names)


def _at(fields: Any, path: Path) -> Any:
    for step in path:
        fields = fields.get(step) if fields else None
    return fields
