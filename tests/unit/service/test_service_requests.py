from __future__ import annotations

import json
import tracemalloc
from base64 import b64encode
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifest_runner.models import Box, Mode
from manifest_runner.service import CreateRequest, SpeechRequest
from manifest_runner.service.requests import PIECE

URL = "https://a.example/s.mp3"


def body_of(request: CreateRequest) -> bytes:
    return b"".join(request.chunks())


def test_a_create_body_holds_what_is_given_and_nothing_else() -> None:
    request = CreateRequest(external_task_id="007", image=b"img", sound_file=URL)
    assert json.loads(body_of(request)) == {
        "external_task_id": "007",
        "image": "aW1n",
        "sound_file": URL,
        "mode": "std",
    }


def test_a_create_body_with_everything() -> None:
    request = CreateRequest(
        external_task_id="id",
        image=b"img",
        audio_id="9",
        prompt='Größe "groß" 你好 \ud800',
        mode=Mode.PRO,
        watermark=False,
        callback_url="https://a.example/hook?token=hush",
        preview_mouth=Box(1, 2, 3, 4),
    )
    assert body_of(request) == (
        b'{"external_task_id":"id","image":"aW1n","audio_id":"9",'
        b'"prompt":"Gr\\u00f6\\u00dfe \\"gro\\u00df\\" \\u4f60\\u597d \\ud800","mode":"pro",'
        b'"watermark_info":{"enabled":false},"callback_url":"https://a.example/hook?token=hush",'
        b'"preview":{"mouth":[1,2,3,4]}}'
    )


# Around the edges of groups of three and of whole pieces, where a length or a padding could go wrong.
SIZES = st.one_of(
    st.integers(0, 10),
    st.sampled_from([PIECE * 3 // 4 + more for more in range(-2, 3)]),
    st.integers(0, 200_000),
)
CONTENT = SIZES.map(lambda size: bytes(range(256)) * (size // 256) + b"x" * (size % 256))
MEDIA = CONTENT | st.text(st.characters(codec=None), max_size=20).map("https://a.example/".__add__)


@given(
    identity=st.text(min_size=1),
    image=MEDIA,
    sound=MEDIA | st.none(),
    prompt=st.none() | st.text(),
    watermark=st.none() | st.booleans(),
    callback=st.none() | st.text(),
)
def test_the_pieces_are_the_json_of_the_whole_and_its_length_is_known_before(
    identity, image, sound, prompt, watermark, callback
) -> None:
    request = CreateRequest(
        external_task_id=identity,
        image=image,
        sound_file=sound,
        audio_id="9" if sound is None else None,
        prompt=prompt,
        watermark=watermark,
        callback_url=callback,
    )
    said = {
        "external_task_id": identity,
        "image": b64encode(image).decode() if isinstance(image, bytes) else image,
        "sound_file": b64encode(sound).decode() if isinstance(sound, bytes) else sound,
        "audio_id": "9" if sound is None else None,
        "prompt": prompt,
        "mode": "std",
        "watermark_info": None if watermark is None else {"enabled": watermark},
        "callback_url": callback,
    }
    whole = json.dumps(
        {name: value for name, value in said.items() if value is not None}, separators=(",", ":")
    )
    pieces = list(request.chunks())
    assert b"".join(pieces) == whole.encode("ascii")
    assert request.body_bytes == len(whole)
    assert max(map(len, pieces)) <= PIECE
    assert request.held_bytes == sum(len(media) for media in (image, sound) if isinstance(media, bytes))


def test_a_body_is_never_in_memory_as_a_whole() -> None:
    request = CreateRequest(external_task_id="id", image=bytes(8_000_000), audio_id="9")
    tracemalloc.start()
    try:
        assert sum(map(len, request.chunks())) == request.body_bytes > 10_000_000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_the_body_can_be_made_again() -> None:
    request = CreateRequest(external_task_id="id", image=b"img", audio_id="9")
    assert body_of(request) == body_of(request)


def test_a_repr_holds_no_megabytes_and_no_signed_address() -> None:
    hidden = "https://hush.example"
    shown = repr(
        CreateRequest(external_task_id="id", image=b"hush" * 1000, sound_file=hidden, callback_url=hidden)
    )
    assert "hush" not in shown


@pytest.mark.parametrize(
    "text", ["aW1n", "", "https://", "/9j/4AAQSkZJRg==", "file:///a.png", "data:image/png;base64,aW1n"]
)
@pytest.mark.parametrize("name", ["image", "sound_file"])
def test_text_that_is_no_url_is_refused(name: str, text: str) -> None:
    """Base64 text that got here by mistake would be sent as an address."""
    fields = {"image": b"img", "sound_file": b"snd", name: text}
    with pytest.raises(ValueError, match=f"{name} is text, but no http"):
        CreateRequest(external_task_id="id", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"external_task_id": "id"},
        {"external_task_id": "id", "sound_file": b"a", "audio_id": "b"},
        {"external_task_id": "", "sound_file": b"a"},
    ],
)
def test_impossible_creates_can_not_be_built(fields: dict[str, str | bytes]) -> None:
    with pytest.raises(ValueError, match="a create call"):
        CreateRequest(image=b"img", **fields)


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
