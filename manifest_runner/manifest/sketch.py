"""What is paid for in many rows of a sheet at once, for whoever only has to see whether it is what it was.

Rows of the plainest kind alone: a portrait and a recording. Others are made into jobs, one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from manifest_runner.manifest.columns import ID, MOST_GROUPS, PROMPT, Alike, alike, texts_in, values_in
from manifest_runner.manifest.jobs import MODES, complete
from manifest_runner.manifest.rows import Common, Row
from manifest_runner.manifest.sheet import Rows
from manifest_runner.manifest.source import TableSource
from manifest_runner.manifest.templates import TemplateError
from manifest_runner.models import Mode

_PAID = frozenset(["external_task_id", "image", "sound_file", "prompt", "mode"])
_UNPAID = frozenset(["priority", "tags", "callback_url", "output", "vars"])


class Sketch(NamedTuple):
    """Rows by their numbers, and of each the same fields as of its job. Without a prompt it is the empty text."""

    numbers: Sequence[int]
    ids: Sequence[str]
    images: Sequence[str]
    sounds: Sequence[str]
    prompts: Sequence[str]
    modes: Sequence[Mode]


def sketches_of(source: TableSource, common: Common, numbers: range) -> list[Sketch] | None:
    """Of sound rows, which all have an id; None where one of them is not of the plainest kind."""
    rows: Rows = source.data["jobs"]
    groups = alike(rows, numbers)
    if len(groups) > MOST_GROUPS:
        return None
    found = []
    for group in groups:
        if (sketch := _sketch(source, common, group)) is None:
            return None
        found.append(sketch)
    return found


def _sketch(source: TableSource, common: Common, group: Alike) -> Sketch | None:
    cells, count = group.cells, len(group.numbers)
    speaker = complete(Row(group.numbers[0], next(source.rows(group.numbers[:1])), source), common)
    content = speaker.content
    if ID not in cells or "sound_file" not in content or content.keys() - _PAID - _UNPAID:
        return None
    try:
        texts = dict(texts_in(group, values_in(group, common, speaker), common, speaker))
    except TemplateError:
        return None
    modes = cells.get(("mode",)) or [content.get("mode", Mode.STD.value)] * count
    return Sketch(
        numbers=group.numbers,
        ids=cells[ID],
        images=cells.get(("image",)) or [content["image"]] * count,
        sounds=cells.get(("sound_file",)) or [content["sound_file"]] * count,
        prompts=texts.get(PROMPT) or [""] * count,
        modes=list(map(MODES.__getitem__, modes)),
    )
