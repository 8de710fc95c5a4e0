from __future__ import annotations

import json
from decimal import Decimal

import pytest

from manifest_runner.models import Mode
from manifest_runner.service import CreateRequest, SpeechRequest


def test_a_create_body_holds_what_is_given_and_nothing_else() -> None:
    request = CreateRequest(external_task_id="007", image="aW1n", sound_file="https://a.example/s.mp3")
    assert json.loads(request.body) == {
        "external_task_id": "007",
        "image": "aW1n",
        "sound_file": "https://a.example/s.mp3",
        "mode": "std",
    }
    assert request.body_bytes == len(request.body)


def test_a_create_body_with_everything() -> None:
    request = CreateRequest(
        external_task_id="id",
        image="aW1n",
        audio_id="9",
        prompt='Größe "groß" 你好 \ud800',
        mode=Mode.PRO,
        watermark=False,
        callback_url="https://a.example/hook?token=hush",
    )
    assert json.loads(request.body) == {
        "external_task_id": "id",
        "image": "aW1n",
        "audio_id": "9",
        "prompt": 'Größe "groß" 你好 \ud800',
        "mode": "pro",
        "watermark_info": {"enabled": False},
        "callback_url": "https://a.example/hook?token=hush",
    }


def test_the_body_is_built_once() -> None:
    request = CreateRequest(external_task_id="id", image="aW1n", audio_id="9")
    assert request.body is request.body


def test_a_repr_holds_no_megabytes_and_no_signed_address() -> None:
    shown = repr(
        CreateRequest(
            external_task_id="id", image="hush" * 1000, sound_file="hush", callback_url="https://hush.example"
        )
    )
    assert "hush" not in shown


@pytest.mark.parametrize(
    "fields",
    [
        {"external_task_id": "id"},
        {"external_task_id": "id", "sound_file": "a", "audio_id": "b"},
        {"external_task_id": "", "sound_file": "a"},
    ],
)
def test_impossible_creates_can_not_be_built(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="a create call"):
        CreateRequest(image="aW1n", **fields)


@pytest.mark.parametrize(
    ("speed", "written"), [("1.0", b"1.0"), ("0.8", b"0.8"), ("1.25", b"1.3"), ("1.1", b"1.1"), ("2", b"2.0")]
)
def test_a_voices_speed_is_a_number_with_one_decimal(speed: str, written: bytes) -> None:
    request = SpeechRequest(text="Hello", voice_id="v", voice_language="en", voice_speed=Decimal(speed))
    assert (
        request.body
        == b'{"text":"Hello","voice_id":"v","voice_language":"en","voice_speed":' + written + b"}"
    )
    assert request.body_bytes == len(request.body)
