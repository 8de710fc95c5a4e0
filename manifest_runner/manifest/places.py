"""Where the fields of a job were written: looked for when it is asked, for it is asked of few jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from manifest_runner.manifest.source import Source
from manifest_runner.models import Location


class FieldLocations(Mapping[str, Location]):
    """The place of each field that a row itself gives: `prompt`, `speech`, `speech.text`. `row` counts from 0."""

    __slots__ = ("_row", "_source")

    def __init__(self, source: Source, row: int) -> None:
        self._source = source
        self._row = row

    def __getitem__(self, name: str) -> Location:
        field, dot, child = name.partition(".")
        value = self._written()[field]
        if not dot:
            return self._source.where(("jobs", self._row, field))
        if not isinstance(value, dict) or child not in value:
            raise KeyError(name)
        return self._source.where(("jobs", self._row, field, child))

    def __iter__(self) -> Iterator[str]:
        for name, value in self._written().items():
            yield name
            if isinstance(value, dict):
                yield from (f"{name}.{child}" for child in value)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self)})"

    def _written(self) -> dict[str, Any]:
        return next(self._source.rows((self._row,)))
