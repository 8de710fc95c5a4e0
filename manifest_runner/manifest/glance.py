"""Many rows of a sheet at once, column by column: what is right, as it nearly always is, is seen to be at a glance.

A glance says *surely sound* or nothing. It does so for rows that fill in the same columns: one of them is completed in
full, and speaks for the others wherever it matters which fields there are; the values are held against their rules a
column at a time. What it says nothing about is looked at row by row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from manifest_runner.manifest.filling import values_of
from manifest_runner.manifest.jobs import Completed, complete
from manifest_runner.manifest.outputs import path_fault
from manifest_runner.manifest.rows import Common, Row
from manifest_runner.manifest.schemas import surely_follow, surely_follows
from manifest_runner.manifest.sheet import Rows
from manifest_runner.manifest.source import CsvSource
from manifest_runner.manifest.templates import TemplateError, expand_all, names_in

Path = tuple[str, ...]
Cells = Mapping[Path, Sequence[str]]
"""Columns without an empty cell, by the field that each gives."""

_ID: Path = ("external_task_id",)
_OUTPUT: Path = ("output",)
_DECIDE = {_OUTPUT, ("captions",), ("watermark_info", "enabled")}  # their values decide which files there are
_FILLED_IN: tuple[Path, ...] = (("prompt",), ("speech", "text"))
_MOST_GROUPS = 8  # with more, a speaker for each costs more than it saves


class Seen(NamedTuple):
    """The names of jobs that are surely sound."""

    ids: Sequence[str]
    outputs: Sequence[str]


class Glance:
    """Looks at rows of a sheet."""

    def __init__(self, source: CsvSource, common: Common) -> None:
        self._source = source
        self._rows: Rows = source.data["jobs"]
        self._common = common
        paths = {column.path for column in self._rows.columns}
        self._blind = bool(common.bad) or _ID not in paths or not paths.isdisjoint(_DECIDE)

    def at(self, numbers: range) -> list[Seen] | None:
        """The names of all these rows' jobs, or None where it can't vouch for one of them."""
        if self._blind:
            return None
        groups = self._alike(numbers)
        if len(groups) > _MOST_GROUPS:
            return None
        found = []
        for some, cells in groups:
            if (seen := self._look(some, cells)) is None:
                return None
            found.append(seen)
        return found

    def _alike(self, numbers: range) -> list[tuple[Sequence[int], Cells]]:
        """The rows by the columns that they fill in."""
        paths = [column.path for column in self._rows.columns]
        records = list(self._rows.cells(numbers))
        columns = list(zip(*records, strict=True))
        if all(all(map(str.strip, cells)) for cells in columns):
            return [(numbers, dict(zip(paths, columns, strict=True)))]
        groups: defaultdict[tuple[bool, ...], list[int]] = defaultdict(list)
        for place, record in enumerate(records):
            groups[tuple(map(bool, map(str.strip, record)))].append(place)
        return [
            (
                [numbers[place] for place in places],
                {
                    path: [cells[place] for place in places]
                    for path, cells, given in zip(paths, columns, filled, strict=True)
                    if given
                },
            )
            for filled, places in groups.items()
        ]

    def _look(self, numbers: Sequence[int], cells: Cells) -> Seen | None:
        first = Row(numbers[0], self._rows[numbers[0]], self._source)
        if _ID not in cells or not surely_follows("row", first.data) or not self._follow(cells):
            return None
        speaker = complete(first, self._common)
        if not speaker.sound or len(speaker.outputs) > 1:
            return None
        values = self._values(numbers, cells, speaker)
        try:
            outputs = self._outputs(len(numbers), values, speaker)
            texts = list(self._texts(cells, values, speaker))
        except TemplateError:
            return None
        if not all(surely_follow(path, filled) for path, filled in [(_OUTPUT, outputs), *texts]):
            return None
        return None if any(map(path_fault, outputs)) else Seen(cells[_ID], outputs)

    def _follow(self, cells: Cells) -> bool:
        """Whether every column follows the rule for its field, as it is written."""
        for column in self._rows.columns:
            if column.path in cells and column.path[0] != "vars":
                given = set(cells[column.path])  # many rows say the same
                if not surely_follow(column.path, list(map(column.read, given) if column.read else given)):
                    return False
        return True

    def _values(self, numbers: Sequence[int], cells: Cells, speaker: Completed) -> dict[str, Sequence[str]]:
        """What the names stand for in each row: the same as in the speaker's, where no column says otherwise."""
        own = speaker.content.get("vars", {})
        values: dict[str, Sequence[str]] = {}
        for name, value in values_of(speaker.row, self._common, speaker.content).items():
            path = ("vars", name) if name in own else (name,)
            if path == ("row",):
                values[name] = [str(number + 1) for number in numbers]
            else:
                values[name] = cells.get(path) or [value] * len(numbers)
        return values

    def _outputs(self, count: int, values: Mapping[str, Sequence[str]], speaker: Completed) -> list[str]:
        """The output paths. Raises TemplateError, also where a value adds folders to one."""
        template = self._common.defaults.get("output", self._common.output)
        own = speaker.content.get("vars", {})
        for name in own.keys() & names_in(template):
            if any("/" in value or "\\" in value for value in values[name]):
                raise TemplateError("A value holds a slash.", "Look at its row.")
        return expand_all([template] * count, values)

    def _texts(
        self, cells: Cells, values: Mapping[str, Sequence[str]], speaker: Completed
    ) -> Iterator[tuple[Path, list[str]]]:
        """The texts that are filled in, with the path of their field. Raises TemplateError."""
        for path in _FILLED_IN:
            given = cells.get(path)
            if given is None and _at(speaker.content, path) is not None:  # it comes from the defaults
                given = [_at(self._common.defaults, path)] * len(cells[_ID])
            if given is not None:
                yield path, expand_all(given, values)


def _at(fields: Any, path: Path) -> Any:
    for step in path:
        fields = fields.get(step) if fields else None
    return fields
