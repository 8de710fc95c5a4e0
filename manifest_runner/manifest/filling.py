"""A row's `{names}`: what they stand for, and what to say when one stands for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from manifest_runner.manifest.rows import BUILT_IN, Common, Row
from manifest_runner.manifest.templates import TemplateError, UnknownNames, names_in
from manifest_runner.manifest.text import shown
from manifest_runner.models import Location, Mode, Problem

_MOST_NAMES = 20


def values_of(row: Row, common: Common, content: Mapping[str, Any]) -> dict[str, str]:
    """What the names stand for in a row. A var hides a built-in name, because the person chose it.

    `row` counts from 1. A column left empty hides the built-in name too, rather than changing its meaning.
    """
    values = {
        "campaign": common.campaign,
        "mode": content.get("mode", Mode.STD.value),
        "row": str(row.number + 1),
    }
    if "external_task_id" in content:
        values["external_task_id"] = content["external_task_id"]
    if common.hidden:
        for name in common.hidden:
            values.pop(name, None)
    if own := content.get("vars"):
        values.update(own)
    return values


def unfilled(error: TemplateError, row: Row, common: Common, *steps: str) -> list[Problem]:
    """Why the template of the field that the steps lead to can't be filled in.

    A slip in the template itself is reported where it is written.
    """
    written_at = _written_at(row, common, *steps)
    if isinstance(error, UnknownNames):
        return [_without_value(name, row, common, written_at) for name in error.names]
    return [Problem(location=written_at, what=str(error), mend=error.mend)]


def slashes(template: str, own: Mapping[str, str], row: Row) -> list[Problem]:
    """Values that would add folders to an output path, which only the template itself may do."""
    return [
        Problem(
            location=row.where("vars", name),
            what=f"The value of `{shown(name)}` holds a slash, and `output` is filled in with it.",
            mend="Take the slash out, or use another value in `output`.",
            job=row.external_task_id,
        )
        for name in names_in(template)
        if name in own and ("/" in own[name] or "\\" in own[name])
    ]


def _written_at(row: Row, common: Common, *steps: str) -> Location:
    """Where a field stands: in the row, or else in the defaults; a campaign's output is no default."""
    value: Any = row.data
    for step in steps:
        if step not in value:
            break
        value = value[step]
    else:
        return row.where(*steps)
    if steps == ("output",) and "output" not in common.defaults:
        return common.output_at
    return common.head.where(("defaults", *steps))


def _without_value(name: str, row: Row, common: Common, written_at: Location) -> Problem:
    """A name that other jobs have a value for is this row's lack; one that nobody has is the template's slip."""
    if name in common.known:
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
    return Problem(location=written_at, what=what, mend=_there_are(common.known))


@lru_cache(maxsize=8)
def _there_are(known: frozenset[str]) -> str:
    """The names there are, in words. Thousands of rows can ask for the same."""
    names = sorted({*known, *BUILT_IN})
    some = ", ".join(f"`{{{shown(name)}}}`" for name in names[:_MOST_NAMES])
    return f"There are {some}{' and more' if len(names) > _MOST_NAMES else ''}."
