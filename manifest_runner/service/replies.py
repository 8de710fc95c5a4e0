"""The shape of the service's replies: bytes in, frozen values out. Nothing else knows it.

Fields that are missing become None, unknown ones are kept in `extra`, and no value is trusted further than its
type. What is no envelope at all, or lacks what the call was made for, raises GarbledReply.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from manifest_runner.errors import GarbledReply
from manifest_runner.models import ServiceStatus, Units, quantity_from
from manifest_runner.service.cleaning import (
    flag_from,
    id_from,
    message_from,
    moment_from,
    url_from,
)
from manifest_runner.service.strict_json import parse_json

_TASK_FIELDS = frozenset(
    {
        *("task_id", "task_status", "task_status_msg", "task_info", "task_result"),
        *("watermark_info", "final_unit_deduction", "created_at", "updated_at"),
    }
)
_SLOTS_IN_NAME = re.compile(r"(?:^|-)([0-9]{1,4})Con(?:-|$)", re.IGNORECASE)
_CODES = range(1_000_000)
_NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """What every answer comes in. `data` is still raw. `where` names the call to people."""

    code: int
    http_status: int
    message: str | None
    request_id: str | None
    data: object
    where: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Video:
    """One result of a task. The addresses expire; asking for the task again gives fresh ones."""

    id: str | None
    url: str | None
    watermark_url: str | None
    seconds: Units | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A task as the service tells of it. `status_text` is the word it used, `units` what it deducted."""

    task_id: str
    status: ServiceStatus
    status_text: str
    status_message: str | None = None
    external_task_id: str | None = None
    videos: tuple[Video, ...] = ()
    watermark_enabled: bool | None = None
    units: Units | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    request_id: str | None = None
    extra: Mapping[str, object] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskPage:
    """One page of the list. `listed` counts its entries as sent: fewer than asked for means the last page,
    also where an entry could not be read and is missing from `tasks`."""

    tasks: tuple[Task, ...]
    listed: int
    request_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenAudio:
    """Speech the service made. `audio_id` goes into a create call."""

    audio_id: str
    url: str | None = None
    seconds: Units | None = None
    units: Units | None = None
    task_id: str | None = None
    request_id: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourcePack:
    """Units bought in advance. `slots` is read from the name (`...-5Con-...`); figures lag by up to 12 h."""

    name: str
    pack_id: str | None
    pack_type: str | None
    status: str | None
    total: Units | None
    remaining: Units | None
    purchased_at: datetime | None
    effective_at: datetime | None
    invalid_at: datetime | None
    slots: int | None


def parse_envelope(
    raw: bytes,
    http_status: int,
    *,
    where: str = "The call",
    retry_after: float | None = None,
    redact: Callable[[str], str] = str,
) -> Envelope:
    """The envelope in a reply's body; GarbledReply for whatever is none.

    `redact` blots our keys out of a text: services quote what they were sent, and in any field.
    """
    try:
        value = parse_json(raw, redact=redact)
    except ValueError as error:
        reason = str(error) if raw.strip() else "it is empty"
    else:
        if isinstance(value, dict) and (code := _code_from(value.get("code"))) is not None:
            return Envelope(
                code=code,
                http_status=http_status,
                message=message_from(value.get("message")),
                request_id=id_from(value.get("request_id")),
                data=value.get("data"),
                where=where,
            )
        reason = "it has no code"
    raise GarbledReply(
        f"{where}: the answer (HTTP {http_status}) is not the service's: {reason}.",
        http_status=http_status,
        retry_after=retry_after,
    )


def task_from(envelope: Envelope) -> Task:
    """The one task of an answer. GarbledReply when there is none, or it has no id."""
    task = task_of(envelope.data, envelope.request_id)
    if task is None:
        raise without(envelope, "a task with an id")
    return task


def audio_from(envelope: Envelope) -> SpokenAudio:
    """The speech of a text-to-speech answer. GarbledReply when it has no audio with an id."""
    data = _object(envelope.data)
    for audio in _objects(_object(data.get("task_result")).get("audios")):
        if (audio_id := id_from(audio.get("id"))) is not None:
            return SpokenAudio(
                audio_id=audio_id,
                url=url_from(audio.get("url")),
                seconds=quantity_from(audio.get("duration")),
                units=quantity_from(data.get("final_unit_deduction")),
                task_id=id_from(data.get("task_id")),
                request_id=envelope.request_id,
                created_at=moment_from(data.get("created_at")),
            )
    raise without(envelope, "an audio with an id")


def account_envelope_from(envelope: Envelope) -> Envelope:
    """The account's answers are wrapped twice: the envelope in the envelope (`code`, `msg`)."""
    data = envelope.data
    if not isinstance(data, dict):
        raise without(envelope, "an account")
    code = _code_from(data.get("code", 0))
    if code is None:
        raise without(envelope, "a code of its own")
    return Envelope(
        code=code,
        http_status=envelope.http_status,
        message=message_from(data.get("msg")),
        request_id=envelope.request_id,
        data=data.get("resource_pack_subscribe_infos"),
        where=envelope.where,
    )


def packs_from(account: Envelope) -> tuple[ResourcePack, ...]:
    """The resource packs of an (unwrapped) account answer."""
    return tuple(_pack(item) for item in _objects(account.data))


def task_of(value: object, request_id: str | None) -> Task | None:
    """The task that a JSON value tells of; None where it is none."""
    fields = _object(value)
    task_id = id_from(fields.get("task_id"))
    if task_id is None:
        return None
    status_text = message_from(fields.get("task_status")) or ""
    return Task(
        task_id=task_id,
        status=_status_from(status_text),
        status_text=status_text,
        status_message=message_from(fields.get("task_status_msg")),
        external_task_id=_external_id(_object(fields.get("task_info")).get("external_task_id")),
        videos=tuple(_video(item) for item in _objects(_object(fields.get("task_result")).get("videos"))),
        watermark_enabled=flag_from(_object(fields.get("watermark_info")).get("enabled")),
        units=quantity_from(fields.get("final_unit_deduction")),
        created_at=moment_from(fields.get("created_at")),
        updated_at=moment_from(fields.get("updated_at")),
        request_id=request_id,
        extra=MappingProxyType({name: fields[name] for name in fields.keys() - _TASK_FIELDS}),
    )


def _external_id(value: object) -> str | None:
    """The id a task says it was sent under. Words that can't be an id are kept: they show that it is another's."""
    return id_from(value) or message_from(value)


def _video(fields: Mapping[str, object]) -> Video:
    return Video(
        id=id_from(fields.get("id")),
        url=url_from(fields.get("url")),
        watermark_url=url_from(fields.get("watermark_url")),
        seconds=quantity_from(fields.get("duration")),
    )


def _pack(fields: Mapping[str, object]) -> ResourcePack:
    name = message_from(fields.get("resource_pack_name")) or ""
    slots = _SLOTS_IN_NAME.search(name)
    return ResourcePack(
        name=name,
        pack_id=id_from(fields.get("resource_pack_id")),
        pack_type=message_from(fields.get("resource_pack_type")),
        status=message_from(fields.get("status")),
        total=quantity_from(fields.get("total_quantity")),
        remaining=quantity_from(fields.get("remaining_quantity")),
        purchased_at=moment_from(fields.get("purchase_time")),
        effective_at=moment_from(fields.get("effective_time")),
        invalid_at=moment_from(fields.get("invalid_time")),
        slots=int(slots[1]) if slots else None,
    )


def _status_from(text: str) -> ServiceStatus:
    try:
        return ServiceStatus(text)
    except ValueError:
        return ServiceStatus.UNKNOWN


def _code_from(value: object) -> int | None:
    """A code of up to six digits. Anything else is none: it means nothing, and no database need hold it."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value in _CODES:
        return value
    return None


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else _NOTHING


def _objects(value: object) -> list[Mapping[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def without(envelope: Envelope, wanted: str) -> GarbledReply:
    request = f" (request {envelope.request_id})" if envelope.request_id else ""
    return GarbledReply(
        f"{envelope.where}: the service says it went well, but its answer does not hold {wanted}{request}.",
        http_status=envelope.http_status,
    )
