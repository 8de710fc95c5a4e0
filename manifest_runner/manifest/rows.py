"""What the making of jobs works on: one row, and what all rows of a campaign share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from manifest_runner.manifest.source import Source
from manifest_runner.models import Location

BUILT_IN = ("external_task_id", "campaign", "mode", "row")
"""The names that stand for something in every row."""


@dataclass(frozen=True)
class Common:
    """What all rows share.

    `known` are the vars that some job has, `hidden` the built-in names that a column of the rows' file has taken;
    `bad` the defaults that have been taken out.
    """

    campaign: str
    output: str
    output_at: Location
    defaults: dict[str, Any]
    head: Source
    known: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    bad: frozenset[str] = frozenset()

    @cached_property
    def names(self) -> frozenset[str]:
        """What some row has a value for, and so may be left empty in another."""
        return self.known | frozenset(BUILT_IN)


class Row(NamedTuple):
    """A row without its `bad` fields, which have been reported. `number` counts from 0."""

    number: int
    data: dict[str, Any]
    source: Source
    bad: frozenset[str] = frozenset()

    @property
    def external_task_id(self) -> str | None:
        """The id as written, if one is."""
        return self.data.get("external_task_id")

    def where(self, *steps: str | int) -> Location:
        return self.source.where(("jobs", self.number, *steps))
