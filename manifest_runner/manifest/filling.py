"""A row's `{names}`: what they stand for, and what to say when one stands for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from manifest_runner.manifest.rows import Common, Row
from manifest_runner.manifest.templates import TemplateError, UnknownNames, expand, names_in
from manifest_runner.manifest.text import shown
from manifest_runner.models import Location, Mode, Problem

BUILT_IN = ("external_task_id", "campaign", "mode", "row")
_MOST_NAMES = 20


@dataclass(frozen=True, slots=True)
class Scope:
    """The names of one row. A var hides a built-in name, because the person chose it."""

    row: Row
    common: Common
    values: Mapping[str, str]

    @classmethod
    def of(cls, row: Row, common: Common, content: Mapping[str, Any]) -> Scope:
        """`row` counts from 1. A column left empty hides the built-in name too, rather than changing its meaning."""
        values = {
            "campaign": common.campaign,
            "mode": content.get("mode", Mode.STD.value),
            "row": str(row.number + 1),
        }
        if "external_task_id" in content:
            values["external_task_id"] = content["external_task_id"]
        for name in row.source.left_empty(row.number):
            values.pop(name, None)
        return cls(row, common, values | content.get("vars", {}))

    def fill(self, template: str, written_at: Location) -> str | list[Problem]:
        """The template filled in, or why it can't be. A slip in the template itself is reported where it is written."""
        try:
            return expand(template, self.values)
        except UnknownNames as exc:
            return [self._without_value(name, written_at) for name in exc.names]
        except TemplateError as exc:
            return [Problem(location=written_at, what=str(exc), mend=exc.mend)]

    def slashes(self, template: str, own: Mapping[str, str]) -> list[Problem]:
        """Values that would add folders to an output path, which only the template itself may do."""
        return [
            Problem(
                location=self.row.where("vars", name),
                what=f"The value of `{shown(name)}` holds a slash, and `output` is filled in with it.",
                mend="Take the slash out, or use another value in `output`.",
                job=self.row.external_task_id,
            )
            for name in names_in(template)
            if name in own and ("/" in own[name] or "\\" in own[name])
        ]

    def _without_value(self, name: str, written_at: Location) -> Problem:
        """A name that other jobs have a value for is this row's lack; one that nobody has is the template's slip."""
        row = self.row
        if name in self.common.known:
            return Problem(
                location=row.where("vars", name),
                what=f"`{{{shown(name)}}}` is used, and this job has no value for `{shown(name)}`.",
                mend="Give it one here, or for all jobs under `defaults: {vars: ...}`.",
                job=row.external_task_id,
            )
        if name == "external_task_id":
            return Problem(
                location=row.where(),
                what="`{external_task_id}` is used in a text, and this job leaves its id out.",
                mend="Give it an external_task_id: a made one depends on that text.",
            )
        what = f"`{{{shown(name)}}}` names no value."
        return Problem(location=written_at, what=what, mend=_there_are(self.common.known))


@lru_cache(maxsize=8)
def _there_are(known: frozenset[str]) -> str:
    """The names there are, in words. Thousands of rows can ask for the same."""
    names = sorted({*known, *BUILT_IN})
    some = ", ".join(f"`{{{shown(name)}}}`" for name in names[:_MOST_NAMES])
    return f"There are {some}{' and more' if len(names) > _MOST_NAMES else ''}."
