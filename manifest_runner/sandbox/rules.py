"""The input rules of the page, field by field: a JSON body becomes an order, or a refusal that names the parameter.

Only what can be told without looking into the media is decided here; `media_rules` does the rest. An optional
field that is null or an empty string counts as absent, as the page's own example sends it. Unknown fields are
passed over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import NoReturn
from urllib.parse import urlsplit

from manifest_runner.models import Box, Mode
from manifest_runner.sandbox.refusals import BAD_REQUEST, Refusal, bad_parameter

MAX_PROMPT = 2500  # characters
MAX_SPEECH = 1000  # characters
SLOWEST, QUICKEST = 0.8, 2.0
MAX_COORDINATE = 1_000_000  # pixels; no picture that is taken comes near it
MAX_PAGE, MAX_PAGE_SIZE = 1000, 500

Body = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateOrder:
    """A create call whose fields are well formed. `image`, `sound_file`: an http(s) URL or bare Base64."""

    image: str
    sound_file: str | None
    audio_id: str | None
    prompt: str
    mode: Mode
    watermark: bool
    callback_url: str | None
    external_task_id: str | None
    mouth: Box | None = None  # ours, not the page's: where the mouth is, for a preview


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechOrder:
    text: str
    voice_id: str
    voice_language: str
    voice_speed: Decimal  # 0.8 to 2.0, one decimal


def parse_body(raw: bytes) -> Body:
    """The JSON object of a request."""
    try:
        body = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refusal(BAD_REQUEST, "Invalid request: the body is no JSON") from None
    if not isinstance(body, dict):
        raise Refusal(BAD_REQUEST, "Invalid request: the body must be a JSON object")
    return body


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def create_order(body: Body) -> CreateOrder:
    image = _required_text(body, "image")
    _check_reference("image", image)
    sound_file, audio_id = _text(body, "sound_file"), _text(body, "audio_id")
    if (sound_file is None) == (audio_id is None):
        found = "both were" if sound_file else "none was"
        raise bad_parameter("audio_id, sound_file:", f"exactly one of the two must be given, {found}")
    if sound_file is not None:
        _check_reference("sound_file", sound_file)
    return CreateOrder(
        image=image,
        sound_file=sound_file,
        audio_id=audio_id,
        prompt=_prompt(body),
        mode=_mode(body),
        watermark=_watermark(body),
        callback_url=_callback_url(body),
        external_task_id=_text(body, "external_task_id"),
        mouth=_mouth(body),
    )


def speech_order(body: Body) -> SpeechOrder:
    text = _required_text(body, "text")
    if len(text) > MAX_SPEECH:
        raise bad_parameter("text", f"has {len(text)} characters; at most {MAX_SPEECH} are allowed")
    if not text.strip():
        raise bad_parameter("text", "has nothing to say")
    language = _required_text(body, "voice_language")
    if language not in ("zh", "en"):
        raise bad_parameter("voice_language", "must be zh or en")
    voice_id = _required_text(body, "voice_id")
    return SpeechOrder(text=text, voice_id=voice_id, voice_language=language, voice_speed=_voice_speed(body))


def query_number(
    query: Mapping[str, str], name: str, *, default: int | None, lowest: int, highest: int
) -> int:
    """A whole number of a query string, within its bounds. Required when it has no default."""
    text = query.get(name, "")
    if not text:
        if default is None:
            raise bad_parameter(name, "is required")
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise bad_parameter(name, "must be a whole number")
    if not lowest <= int(text) <= highest:
        raise bad_parameter(name, f"must lie between {lowest} and {highest}")
    return int(text)


def is_url(reference: str) -> bool:
    return reference[:8].lower().startswith(("http://", "https://"))


def _text(body: Body, name: str) -> str | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise bad_parameter(name, "must be text")
    try:
        value.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can write and nothing can store
        raise bad_parameter(name, "holds characters that are none") from None
    return value


def _required_text(body: Body, name: str) -> str:
    value = _text(body, name)
    if value is None:
        raise bad_parameter(name, "is required")
    return value


def _check_reference(name: str, value: str) -> None:
    if value[:5].lower() == "data:":
        raise bad_parameter(name, "must be bare Base64 without a `data:` prefix, or a URL")
    if is_url(value):
        _check_url(name, value)


def _check_url(name: str, value: str) -> None:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(ord(character) <= 32 for character in value):
        raise bad_parameter(name, "is no usable http(s) URL")


def _prompt(body: Body) -> str:
    prompt = _text(body, "prompt") or ""
    if len(prompt) > MAX_PROMPT:
        raise bad_parameter("prompt", f"has {len(prompt)} characters; at most {MAX_PROMPT} are allowed")
    return prompt


def _mode(body: Body) -> Mode:
    mode = _text(body, "mode") or Mode.STD
    if mode not in list(Mode):
        raise bad_parameter("mode", "must be std or pro")
    return Mode(mode)


def _watermark(body: Body) -> bool:
    info = body.get("watermark_info")
    if info is None or info == "":
        return False
    if not isinstance(info, dict):
        raise bad_parameter("watermark_info", "must be an object: {enabled: boolean}")
    enabled = info.get("enabled", False)
    if not isinstance(enabled, bool):
        raise bad_parameter("watermark_info.enabled", "must be true or false")
    return enabled


def _mouth(body: Body) -> Box | None:
    preview = body.get("preview")
    if preview is None or preview == "":
        return None
    if not isinstance(preview, dict):
        raise bad_parameter("preview", "must be an object: {mouth: [x, y, w, h]}")
    mouth = preview.get("mouth")
    if mouth is None or mouth == "":
        return None
    if (
        not isinstance(mouth, list)
        or len(mouth) != 4
        or any(isinstance(number, bool) or not isinstance(number, int) for number in mouth)
    ):
        raise bad_parameter("preview.mouth", "must be four whole numbers: [x, y, w, h]")
    left, top, width, height = mouth
    if min(left, top) < 0 or min(width, height) < 1 or max(mouth) > MAX_COORDINATE:
        raise bad_parameter(
            "preview.mouth", "must have its corner inside the picture, and a size of at least 1 x 1"
        )
    return Box(left=left, top=top, width=width, height=height)


def _callback_url(body: Body) -> str | None:
    url = _text(body, "callback_url")
    if url is not None:
        _check_url("callback_url", url)
    return url


def _voice_speed(body: Body) -> Decimal:
    speed = body.get("voice_speed")
    if speed is None or speed == "":
        return Decimal("1.0")
    if isinstance(speed, bool) or not isinstance(speed, int | float):
        raise bad_parameter("voice_speed", "must be a number")
    return Decimal(repr(float(min(max(speed, SLOWEST), QUICKEST)))).quantize(Decimal("0.1"), ROUND_HALF_UP)
