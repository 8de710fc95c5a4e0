"""Many rows of a sheet at once, column by column: what is right, as it nearly always is, is seen to be at a glance.

A glance says *surely sound* or nothing. It does so for rows that fill in the same columns: one of them is completed in
full, and speaks for the others wherever it matters which fields there are; the values are held against their rules a
column at a time. What it says nothing about is looked at row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from manifest_runner.manifest.columns import ID, MOST_GROUPS, Alike, Cells, Path, alike, texts_in, values_in
from manifest_runner.manifest.jobs import Completed, complete
from manifest_runner.manifest.outputs import path_fault
from manifest_runner.manifest.rows import Common, Row
from manifest_runner.manifest.schemas import surely_follow, surely_follows
from manifest_runner.manifest.sheet import Rows
from manifest_runner.manifest.source import TableSource
from manifest_runner.manifest.templates import TemplateError, expand_all, names_in

_OUTPUT: Path = ("output",)
_DECIDE = {_OUTPUT, ("captions",), ("watermark_info", "enabled")}  # their values decide which files there are


class Seen(NamedTuple):
    """The names of jobs that are surely sound."""

    ids: Sequence[str]
    outputs: Sequence[str]


class Glance:
    """Looks at rows of a sheet."""

    def __init__(self, source: TableSource, common: Common) -> None:
        self._source = source
        self._rows: Rows = source.data["jobs"]
        self._common = common
        paths = {column.path for column in self._rows.columns}
        self._blind = bool(common.bad) or ID not in paths or not paths.isdisjoint(_DECIDE)

    def at(self, numbers: range) -> list[Seen] | None:
        """The names of all these rows' jobs, or None where it can't vouch for one of them."""
        if self._blind:
            return None
        groups = alike(self._rows, numbers)
        if len(groups) > MOST_GROUPS:
            return None
        found = []
        for group in groups:
            if (seen := self._look(group)) is None:
                return None
            found.append(seen)
        return found

    def _look(self, group: Alike) -> Seen | None:
        numbers, cells = group
        first = Row(numbers[0], self._rows[numbers[0]], self._source)
        if ID not in cells or not surely_follows("row", first.data) or not self._follow(cells):
            return None
        speaker = complete(first, self._common)
        if not speaker.sound or len(speaker.outputs) > 1:
            return None
        values = values_in(group, self._common, speaker)
        try:
            outputs = self._outputs(len(numbers), values, speaker)
            texts = list(texts_in(group, values, self._common, speaker))
        except TemplateError:
            return None
        if not all(surely_follow(path, filled) for path, filled in [(_OUTPUT, outputs), *texts]):
            return None
        return None if any(map(path_fault, outputs)) else Seen(cells[ID], outputs)

    def _follow(self, cells: Cells) -> bool:
        """Whether every column follows the rule for its field, as it is written."""
        for column in self._rows.columns:
            if column.path in cells and column.path[0] != "vars":
                given = set(cells[column.path])  # many rows say the same
                if not surely_follow(column.path, list(map(column.read, given) if column.read else given)):
                    return False
        return True

    def _outputs(self, count: int, values: Mapping[str, Sequence[str]], speaker: Completed) -> list[str]:
        """The output paths. Raises TemplateError, also where a value adds folders to one."""
        template = self._common.defaults.get("output", self._common.output)
        own = speaker.content.get("vars", {})
        for name in own.keys() & names_in(template):
            if any("/" in value or "\\" in value for value in values[name]):
                raise TemplateError("A value holds a slash.", "Look at its row.")
        return expand_all([template] * count, values, self._common.names)
