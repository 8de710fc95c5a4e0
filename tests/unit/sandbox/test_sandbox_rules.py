from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from manifest_runner.errors import UsageError
from manifest_runner.models import Box, Mode
from manifest_runner.sandbox.refusals import Refusal
from manifest_runner.sandbox.rules import create_order, parse_body, query_number, speech_order
from manifest_runner.sandbox.settings import SandboxSettings, webhook_key
from manifest_runner.sandbox.task import waiting_time

VALID: dict[str, Any] = {"image": "aW1hZ2U=", "sound_file": "c291bmQ="}
SPEECH: dict[str, Any] = {"text": "Hello", "voice_id": "v1", "voice_language": "en"}

NAN, INF = float("nan"), float("inf")

REFUSED = [
    ({"image": None}, "image"),
    ({"image": ""}, "image"),
    ({"image": 7}, "image"),
    ({"image": "data:image/png;base64,aW1hZ2U="}, "image"),
    ({"image": "DATA:image/png;base64,aW1hZ2U="}, "image"),
    ({"image": "https://"}, "image"),
    ({"image": "http://host:99999/a.png"}, "image"),
    ({"image": "http://[::1/a.png"}, "image"),
    ({"image": "http://host/a b.png"}, "image"),
    ({"sound_file": None}, "sound_file"),
    ({"sound_file": ""}, "audio_id"),
    ({"audio_id": "1"}, "audio_id"),
    ({"sound_file": "data:audio/mpeg;base64,c291bmQ="}, "sound_file"),
    ({"sound_file": None, "audio_id": 12}, "audio_id"),
    ({"prompt": "x" * 2501}, "prompt"),
    ({"prompt": ["x"]}, "prompt"),
    ({"prompt": "half \ud83d"}, "prompt"),
    ({"mode": "fast"}, "mode"),
    ({"mode": "STD"}, "mode"),
    ({"mode": 1}, "mode"),
    ({"watermark_info": True}, "watermark_info"),
    ({"watermark_info": {"enabled": "true"}}, "watermark_info.enabled"),
    ({"watermark_info": {"enabled": 1}}, "watermark_info.enabled"),
    ({"callback_url": "ftp://host/x"}, "callback_url"),
    ({"callback_url": "just words"}, "callback_url"),
    ({"external_task_id": 7}, "external_task_id"),
    ({"preview": True}, "preview"),
    ({"preview": [1, 2, 3, 4]}, "preview"),
    *(
        ({"preview": {"mouth": mouth}}, "preview.mouth")
        for mouth in (
            "1,2,3,4",
            {"x": 1},
            [1, 2, 3],
            [1, 2, 3, 4, 5],
            [1, 2, 3, 4.0],
            [1, 2, 3, "4"],
            [1, 2, True, 4],
            [1, 2, None, 4],
            [-1, 2, 3, 4],
            [1, -2, 3, 4],
            [1, 2, 0, 4],
            [1, 2, 3, 0],
            [1, 2, 3, -4],
            [1, 2, 3, 10**400],
        )
    ),
]


@pytest.mark.parametrize(("change", "named"), REFUSED)
def test_a_field_that_breaks_a_rule_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(Refusal) as caught:
        create_order({**VALID, **change})
    assert caught.value.code == 1201
    assert named in caught.value.message


def test_the_defaults_are_those_of_the_page() -> None:
    order = create_order(VALID)
    assert (order.mode, order.prompt, order.watermark, order.callback_url) == (Mode.STD, "", False, None)
    assert (order.external_task_id, order.audio_id) == (None, None)


def test_empty_strings_and_nulls_count_as_absent_and_unknown_fields_are_passed_over() -> None:
    empty = dict.fromkeys(("prompt", "mode", "callback_url", "external_task_id", "audio_id"), "")
    assert create_order({**VALID, **empty, "watermark_info": None, "later": {"more": 1}}) == create_order(
        VALID
    )


def test_everything_given_is_taken() -> None:
    order = create_order(
        {
            "image": "HTTPS://host/portrait.png",
            "audio_id": "123",
            "prompt": "ü" * 2500,
            "mode": "pro",
            "watermark_info": {"enabled": True},
            "callback_url": "http://127.0.0.1:9/hook",
            "external_task_id": "a/b ?#%",
        }
    )
    assert (order.mode, order.watermark, order.audio_id, order.sound_file) == (Mode.PRO, True, "123", None)
    assert order.external_task_id == "a/b ?#%"


@pytest.mark.parametrize("preview", [None, "", {}, {"mouth": None}, {"mouth": ""}, {"later": 1}])
def test_a_preview_may_say_nothing_of_a_mouth(preview: object) -> None:
    assert create_order({**VALID, "preview": preview}) == create_order(VALID)


def test_a_preview_may_say_where_the_mouth_is() -> None:
    order = create_order({**VALID, "preview": {"mouth": [0, 7, 1, 2]}})
    assert order.mouth == Box(left=0, top=7, width=1, height=2)


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b'"text"', b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_body(raw)
    assert caught.value.code == 1200


SPEECH_REFUSED = [
    ({"text": ""}, "text"),
    ({"text": " \n"}, "text"),
    ({"text": "x" * 1001}, "text"),
    ({"voice_id": ""}, "voice_id"),
    ({"voice_language": "de"}, "voice_language"),
    ({"voice_language": None}, "voice_language"),
    ({"voice_speed": "1.0"}, "voice_speed"),
    ({"voice_speed": True}, "voice_speed"),
    ({"voice_speed": [1]}, "voice_speed"),
]


@pytest.mark.parametrize(("change", "named"), SPEECH_REFUSED)
def test_a_speech_that_breaks_a_rule_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(Refusal) as caught:
        speech_order({**SPEECH, **change})
    assert (caught.value.code, f": {named} " in caught.value.message) == (1201, True)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (None, "1.0"),
        ("", "1.0"),
        (0.1, "0.8"),
        (9, "2.0"),
        (1.25, "1.3"),
        (1.94, "1.9"),
        (1, "1.0"),
        (10**400, "2.0"),
        (1e999, "2.0"),
    ],
)
def test_the_speed_of_a_voice_is_clamped_to_one_decimal(given: object, taken: str) -> None:
    assert speech_order({**SPEECH, "voice_speed": given}).voice_speed == Decimal(taken)


@pytest.mark.parametrize("text", ["0", "1001", "-1", "1.0", "x", "١", "9" * 30])
def test_a_page_number_outside_its_bounds_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="pageNum"):
        query_number({"pageNum": text}, "pageNum", default=1, lowest=1, highest=1000)


def test_a_query_number_has_its_default_or_is_required() -> None:
    assert query_number({}, "pageNum", default=1, lowest=1, highest=1000) == 1
    assert query_number({"pageNum": "1000"}, "pageNum", default=1, lowest=1, highest=1000) == 1000
    with pytest.raises(Refusal, match="start_time is required"):
        query_number({}, "start_time", default=None, lowest=0, highest=9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"slots": 0}, "slots"),
        ({"workers": 0}, "workers"),
        ({"port": 70000}, "port"),
        ({"render_time": 1.0, "speed": 2.0}, "not both"),
        *(({"render_time": value}, "render time") for value in (-1.0, NAN, INF, 1e300, 7 * 86_400.1)),
        *(({"speed": value}, "speed") for value in (0.0, -1.0, NAN, INF, 1e-300, 1e300)),
        *(({"retention_days": value}, "retention") for value in (0, NAN, INF, 1e-300, 36_501)),
        ({"secret_key": ""}, "secret key"),
        ({"webhook_secret": "whsec_!!"}, "webhook secret"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any], said: str, tmp_path: Any) -> None:
    with pytest.raises(UsageError, match=said):
        SandboxSettings(**{"state": tmp_path, "access_key": "a", "secret_key": "s", **change})


@pytest.mark.parametrize(
    "change", [{"render_time": 7 * 86_400.0}, {"speed": 0.001}, {"speed": 1e6}, {"retention_days": 36_500}]
)
def test_settings_at_their_bounds_give_times_that_can_be_stored(
    change: dict[str, Any], tmp_path: Any
) -> None:
    settings = SandboxSettings(state=tmp_path, access_key="a", secret_key="s", **change)
    assert 0 <= waiting_time(settings, Decimal(300)) < 2**53
    assert 0 < settings.retention_ms < 2**53


def test_settings_reach_another_process_whole(tmp_path: Any) -> None:
    settings = SandboxSettings(
        state=tmp_path, access_key="a", secret_key="s", receiver=("::1", 80), allow_local_callbacks=True
    )
    assert SandboxSettings.from_json(settings.to_json()) == settings
    assert not SandboxSettings(state=tmp_path, access_key="a", secret_key="s").allow_local_callbacks


def test_the_webhook_key_is_what_the_prefix_hides() -> None:
    assert webhook_key("whsec_dGVzdA==") == b"test"
