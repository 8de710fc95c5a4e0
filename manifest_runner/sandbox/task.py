"""A task as the sandbox keeps it, what it costs, how long it takes, and how it is shown to a client. All pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from manifest_runner.models import Box, Mode, ServiceStatus, Units, units_text
from manifest_runner.sandbox.rules import CreateOrder
from manifest_runner.sandbox.settings import SandboxSettings
from manifest_runner.sandbox.sound import FRAME_RATE

UNITS_A_SECOND = {Mode.STD: Decimal("0.4"), Mode.PRO: Decimal("0.8")}
UNITS_A_SPEECH = Decimal("0.05")
REALISTIC_START, REALISTIC_FACTOR = 30, 3  # seconds: 30 s, and 3 s for each second of sound

REFUSE_MARK = "[sandbox:refuse]"  # in a prompt: the create call is refused by content policy
FAIL_MARK = "[sandbox:fail]"  # in a prompt: the task is taken, and ends as failed
FAIL_MESSAGE = "Failure to pass the content risk control system (rehearsed: the prompt asked for it)"


class ResultRole(StrEnum):
    VIDEO = "video"
    WATERMARK = "watermark"
    AUDIO = "audio"


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaFacts:
    """A checked picture or recording in the media folder. `key` is its sha256 and its file's name."""

    key: str
    format: str
    seconds: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class NewTask:
    order: CreateOrder
    image: MediaFacts
    audio: MediaFacts
    wait_ms: int  # from creation, at least


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    task_id: int  # 18 digits; text as soon as it leaves
    external_task_id: str | None
    status: ServiceStatus
    status_message: str
    mode: Mode
    prompt: str
    watermark: bool
    callback_url: str | None
    image_key: str
    audio_key: str
    audio_format: str
    seconds: Decimal
    wait_ms: int
    units: Units | None
    created_ms: int
    updated_ms: int
    mouth: Box | None = None  # in pixels of the upright picture, when the order says where it is

    @property
    def rehearses_failure(self) -> bool:
        return FAIL_MARK in self.prompt


def deduction(mode: Mode, seconds: Decimal) -> Units:
    """Units for a finished task: whole seconds are billed, to the nearest.

    The one published measurement, 11.3 s of sound for 4.4 units, rules out rounding up.
    """
    return UNITS_A_SECOND[mode] * seconds.quantize(Decimal(1), ROUND_HALF_UP)


def waiting_time(settings: SandboxSettings, seconds: Decimal) -> int:
    """Milliseconds that a task lasts at least."""
    if settings.render_time is not None:
        return round(settings.render_time * 1000)
    if settings.speed is not None:
        return round((REALISTIC_START + REALISTIC_FACTOR * float(seconds)) * 1000 / settings.speed)
    return 0


def remaining_ms(task: Task, now_ms: int) -> int:
    """What is left of the wait; never more than the whole of it, however the clock was set meanwhile."""
    return min(max(task.created_ms + task.wait_ms - now_ms, 0), task.wait_ms)


def created_fields(task: Task) -> dict[str, object]:
    """What a create call answers."""
    return {
        "task_id": str(task.task_id),
        "task_status": task.status,
        "task_info": {"external_task_id": task.external_task_id or ""},
        "created_at": task.created_ms,
        "updated_at": task.updated_ms,
    }


def task_fields(task: Task, links: Mapping[ResultRole, str]) -> dict[str, object]:
    """What a query answers and a callback carries. `links` are the results that can still be fetched."""
    fields = created_fields(task) | {
        "task_status_msg": task.status_message,
        "watermark_info": {"enabled": task.watermark},
    }
    if task.status is ServiceStatus.SUCCEED:
        fields["task_result"] = {"videos": _videos(task, links)}
    if task.units is not None:
        fields["final_unit_deduction"] = units_text(task.units)
    return fields


def _videos(task: Task, links: Mapping[ResultRole, str]) -> list[dict[str, str]]:
    if ResultRole.VIDEO not in links:
        return []
    video = {
        "id": f"{task.task_id}-video",
        "url": links[ResultRole.VIDEO],
        "duration": units_text(video_seconds(task.seconds)),
    }
    if ResultRole.WATERMARK in links:
        video["watermark_url"] = links[ResultRole.WATERMARK]
    return [video]


def video_seconds(sound_seconds: Decimal) -> Decimal:
    """How long the video is: as many whole pictures as cover the sound."""
    return Decimal(math.ceil(sound_seconds * FRAME_RATE)) / FRAME_RATE
