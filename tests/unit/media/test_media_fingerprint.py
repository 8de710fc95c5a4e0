from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType

import pytest

from manifest_runner.media import fingerprint, fingerprint_parts
from manifest_runner.models import Job, Location, Mode, Speech

JOB = Job(external_task_id="a", image="a.png", sound_file="a.wav", output="a.mp4", prompt="Calm")
SPEECH = Speech(text="Hello", voice_id="v", voice_language="en")
SPOKEN = replace(JOB, sound_file=None, speech=SPEECH)


def parts(job: Job = JOB, image: str | None = "1" * 64, audio: str | None = "2" * 64) -> dict[str, str]:
    return fingerprint_parts(job, image_sha256=image, audio_sha256=audio)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert before.keys() == after.keys() == {"image", "audio", "prompt", "mode", "watermark"}
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("after", "fields"),
    [
        (parts(image="3" * 64), {"image"}),
        (parts(audio="3" * 64), {"audio"}),
        (parts(replace(JOB, prompt="Wild")), {"prompt"}),
        (parts(replace(JOB, prompt=None)), {"prompt"}),
        (parts(replace(JOB, mode=Mode.PRO)), {"mode"}),
        (parts(replace(JOB, watermark=True)), {"watermark"}),
        (parts(replace(JOB, mode=Mode.PRO, watermark=True)), {"mode", "watermark"}),
        (parts(SPOKEN, audio=None), {"audio"}),
        (parts(replace(JOB, sound_file=None, audio_id="2" * 64), audio=None), {"audio"}),
        (parts(replace(JOB, sound_file="2" * 64), audio=None), {"audio"}),
    ],
)
def test_what_is_paid_for_counts_field_by_field(after, fields):
    assert changed(parts(), after) == fields
    assert fingerprint(after) != fingerprint(parts())


@pytest.mark.parametrize(
    "same",
    [
        replace(JOB, external_task_id="b"),
        replace(JOB, output="elsewhere/b.mp4"),
        replace(JOB, tags=("vip",)),
        replace(JOB, vars=MappingProxyType({"name": "Ana"})),
        replace(JOB, callback_url="https://example.com/hook"),
        replace(JOB, location=Location(file="m.yaml", line=9)),
        replace(JOB, image="renamed.png", sound_file="./moved/a.wav"),
    ],
)
def test_what_only_this_side_sees_does_not_count(same):
    assert fingerprint(parts(same)) == fingerprint(parts())


def test_a_url_counts_by_its_text():
    one = replace(JOB, image="https://example.com/1.png", sound_file="https://example.com/1.mp3")
    other = replace(one, image="https://example.com/2.png", sound_file="https://example.com/2.mp3")
    before, after = parts(one, None, None), parts(other, None, None)
    assert changed(before, after) == {"image", "audio"}
    assert before == parts(one, None, None)


@pytest.mark.parametrize(
    ("speech", "same"),
    [
        (replace(SPEECH, text="Hi"), False),
        (replace(SPEECH, voice_id="w"), False),
        (replace(SPEECH, voice_language="zh"), False),
        (replace(SPEECH, voice_speed=Decimal("1.1")), False),
        (replace(SPEECH, voice_speed=Decimal("1.00")), True),
    ],
)
def test_speech_counts_by_what_is_said_and_how(speech, same):
    before, after = parts(SPOKEN, audio=None), parts(replace(SPOKEN, speech=speech), audio=None)
    assert changed(before, after) == (set() if same else {"audio"})


def test_an_empty_prompt_is_no_prompt():
    assert parts(replace(JOB, prompt="")) == parts(replace(JOB, prompt=None))


def test_it_names_its_version_and_never_moves_by_accident():
    mark = fingerprint(parts())
    assert re.fullmatch(r"1:[0-9a-f]{64}", mark)
    assert mark == fingerprint(dict(reversed(parts().items())))
    # Stored in ledgers: if this figure changes, VERSION has to as well, or every row looks edited.
    assert mark == "1:970abcba89a822c8fe9c99f9ee6e14461180c60b4f67336139ddebd48d00e349"
