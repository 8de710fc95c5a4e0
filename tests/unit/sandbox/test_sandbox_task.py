from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from manifest_runner.models import Mode, ServiceStatus
from manifest_runner.sandbox.account import OnceASecond, resource_packs
from manifest_runner.sandbox.app import names_this_machine
from manifest_runner.sandbox.refusals import Refusal
from manifest_runner.sandbox.settings import SandboxSettings
from manifest_runner.sandbox.task import (
    ResultRole,
    Task,
    created_fields,
    deduction,
    remaining_ms,
    task_fields,
    video_seconds,
    waiting_time,
)

TASK = Task(
    task_id=179548592863500000,
    external_task_id="welcome-en",
    status=ServiceStatus.SUCCEED,
    status_message="",
    mode=Mode.STD,
    prompt="",
    watermark=True,
    callback_url=None,
    image_key="i",
    audio_key="a",
    audio_format="wav",
    seconds=Decimal("11.265"),
    wait_ms=8000,
    units=Decimal("4.40"),
    created_ms=1_000_000,
    updated_ms=1_005_000,
)


@pytest.mark.parametrize(
    ("mode", "seconds", "units"),
    [
        (Mode.STD, "11.3", "4.4"),  # the published measurement
        (Mode.STD, "2", "0.8"),
        (Mode.STD, "2.5", "1.2"),
        (Mode.PRO, "11.3", "8.8"),
        (Mode.PRO, "300.04", "240.0"),
    ],
)
def test_whole_seconds_are_billed(mode: Mode, seconds: str, units: str) -> None:
    assert deduction(mode, Decimal(seconds)) == Decimal(units)


def settings(**options: float) -> SandboxSettings:
    return SandboxSettings(state=Path("unused"), access_key="a", secret_key="s", **options)  # type: ignore[arg-type]


def test_a_task_takes_a_given_time_or_a_realistic_one_made_shorter_or_none() -> None:
    assert waiting_time(settings(render_time=1.5), Decimal(10)) == 1500
    assert waiting_time(settings(speed=60), Decimal(10)) == 1000
    assert waiting_time(settings(), Decimal(10)) == 0


@pytest.mark.parametrize(
    ("now_ms", "left"),
    [(1_000_000, 8000), (1_003_000, 5000), (1_008_000, 0), (9_000_000, 0), (5_000, 8000)],
    ids=["at once", "on the way", "just over", "long over", "the clock was set back"],
)
def test_what_is_left_of_a_wait_survives_any_clock(now_ms: int, left: int) -> None:
    assert remaining_ms(TASK, now_ms) == left


def test_a_finished_task_is_shown_as_the_page_has_it() -> None:
    shown = task_fields(TASK, {ResultRole.VIDEO: "http://v", ResultRole.WATERMARK: "http://w"})
    result = shown.pop("task_result")
    assert shown == {
        "task_id": "179548592863500000",
        "task_status": "succeed",
        "task_status_msg": "",
        "task_info": {"external_task_id": "welcome-en"},
        "watermark_info": {"enabled": True},
        "final_unit_deduction": "4.4",
        "created_at": 1_000_000,
        "updated_at": 1_005_000,
    }
    assert isinstance(result, dict)
    (video,) = result["videos"]
    assert video.pop("id")
    assert video == {"url": "http://v", "watermark_url": "http://w", "duration": "11.28"}


def test_a_result_past_its_retention_lists_no_video_and_other_states_no_result() -> None:
    assert task_fields(TASK, {})["task_result"] == {"videos": []}
    failed = replace(TASK, status=ServiceStatus.FAILED, units=None, status_message="why")
    shown = task_fields(failed, {})
    assert "task_result" not in shown
    assert "final_unit_deduction" not in shown
    assert shown["task_status_msg"] == "why"
    assert created_fields(replace(TASK, external_task_id=None))["task_info"] == {"external_task_id": ""}


@pytest.mark.parametrize(
    ("sound", "video"), [("2", "2"), ("2.001", "2.04"), ("11.265", "11.28"), ("2.04", "2.04")]
)
def test_a_video_covers_its_sound_with_whole_pictures(sound: str, video: str) -> None:
    assert video_seconds(Decimal(sound)) == Decimal(video)


def test_one_question_a_second() -> None:
    clock = [100.0]
    gate = OnceASecond(lambda: clock[0])
    gate.check()
    clock[0] += 0.9
    with pytest.raises(Refusal) as caught:
        gate.check()
    assert (caught.value.code, caught.value.response().headers["retry-after"]) == (1302, "1")
    clock[0] += 0.2
    gate.check()


def test_a_pack_carries_its_slots_and_what_is_left() -> None:
    def pack(deducted: str) -> dict[str, object]:
        answer = resource_packs(slots=7, opened_ms=1_700_000_000_000, deducted=Decimal(deducted))
        infos = answer["resource_pack_subscribe_infos"]
        assert isinstance(infos, list)
        return dict(infos[0])

    assert "-7Con-" in str(pack("0")["resource_pack_name"])
    assert pack("4.45")["remaining_quantity"] == 999_995.55
    assert pack("4.45")["status"] == "online"
    assert (pack("2000000")["remaining_quantity"], pack("2000000")["status"]) == (0, "runOut")


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1:8080", True),
        ("localhost", True),
        ("[::1]:8080", True),
        ("sandbox.test:1", True),
        ("evil.example:8080", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("[::1", False),
    ],
)
def test_only_a_host_that_is_this_machine_is_built_on(host: str, is_ours: bool) -> None:
    assert names_this_machine(host, "sandbox.test") is is_ours
