"""The jobs of a sheet's sound rows, made together where rows fill in the same columns: in half the time.

The first of such rows is made into a job by itself; the others are like it, but for what their columns say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from types import MappingProxyType
from typing import Any

from manifest_runner.manifest.columns import (
    ID,
    MOST_GROUPS,
    PROMPT,
    Alike,
    Path,
    alike,
    texts_in,
    values_in,
)
from manifest_runner.manifest.jobs import MODES, fill_in, job_of
from manifest_runner.manifest.places import FieldLocations
from manifest_runner.manifest.rows import Common, Row
from manifest_runner.manifest.sheet import Rows
from manifest_runner.manifest.source import TableSource
from manifest_runner.manifest.templates import TemplateError, expand_all
from manifest_runner.models import Job, Speech

_IMAGE, _SOUND, _AUDIO_ID, _MODE, _OUTPUT = ("image",), ("sound_file",), ("audio_id",), ("mode",), ("output",)
_TEXT = ("speech", "text")
_DIFFER: frozenset[Path] = frozenset([ID, _IMAGE, _SOUND, _AUDIO_ID, _MODE, _OUTPUT, PROMPT, _TEXT])


def jobs_alike(source: TableSource, common: Common, numbers: Sequence[int]) -> Iterator[Job] | None:
    """The jobs of a few hundred rows, which are sound, in the order of the numbers; None where they differ in more than
    their columns can tell."""
    rows: Rows = source.data["jobs"]
    if not all(column.path in _DIFFER or column.path[0] == "vars" for column in rows.columns):
        return None
    groups = alike(rows, numbers)
    if len(groups) > MOST_GROUPS or not all(ID in group.cells for group in groups):
        return None
    try:
        made = [_made(source, common, group) for group in groups]
    except TemplateError:  # a text may be too long to fill in all of them at once
        return None
    if len(made) == 1:
        return made[0]
    placed = dict(zip(chain.from_iterable(group.numbers for group in groups), chain(*made), strict=True))
    return map(placed.__getitem__, numbers)


def _made(source: TableSource, common: Common, group: Alike) -> Iterator[Job]:
    """Raises TemplateError, before the first of them is made."""
    row = Row(group.numbers[0], next(source.rows(group.numbers[:1])), source)
    speaker = fill_in(row, common)
    values = values_in(group, common, speaker)
    texts = dict(texts_in(group, values, common, speaker))
    count = len(group.numbers)
    outputs = expand_all(group.cells.get(_OUTPUT) or [speaker.template] * count, values, common.names)
    return _like(job_of(speaker.content, row), source, group, texts, outputs)


def _like(
    first: Job, source: TableSource, group: Alike, texts: Mapping[Path, Sequence[str]], outputs: Sequence[str]
) -> Iterator[Job]:
    """Jobs like the first of a group, but for what its columns say."""

    count = len(group.numbers)
    none = [None] * count

    def column(path: Path, usual: str | None) -> Sequence[Any]:
        return group.cells.get(path) or [usual] * count

    columns = zip(
        group.numbers,
        group.cells[ID],
        column(_IMAGE, first.image),
        outputs,
        column(_SOUND, first.sound_file),
        column(_AUDIO_ID, first.audio_id),
        _speeches(first.speech, texts.get(_TEXT)) or none,
        texts.get(PROMPT) or none,
        map(MODES.__getitem__, column(_MODE, first.mode.value)),
        _vars(first.vars, group),
        strict=True,
    )
    for number, key, image, output, sound_file, audio_id, speech, prompt, mode, own in columns:
        yield Job(
            external_task_id=key,
            image=image,
            output=output,
            sound_file=sound_file,
            audio_id=audio_id,
            speech=speech,
            prompt=prompt or None,
            mode=mode,
            watermark=first.watermark,
            callback_url=first.callback_url,
            fit=first.fit,
            captions=first.captions,
            mouth=first.mouth,
            priority=first.priority,
            tags=first.tags,
            vars=own,
            location=source.where_row(number),
            field_locations=FieldLocations(source, number),
        )


def _speeches(first: Speech | None, texts: Sequence[str] | None) -> list[Speech] | None:
    return [replace(first, text=text) for text in texts] if first and texts else None


def _vars(first: Mapping[str, str], group: Alike) -> list[Mapping[str, str]]:
    """The vars of each row, in the order of the first one's."""
    count = len(group.numbers)
    if not any(path[0] == "vars" for path in group.cells):
        return [first] * count
    columns = [group.cells.get(("vars", name)) or [value] * count for name, value in first.items()]
    return [MappingProxyType(dict(zip(first, row, strict=True))) for row in zip(*columns, strict=True)]
