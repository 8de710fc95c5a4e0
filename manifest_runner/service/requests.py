"""What is sent to the service: frozen values, and the exact bytes of their bodies, a piece at a time.

A portrait and a recording are megabytes of Base64. The body is never put together as a whole: its length is reckoned,
and its pieces are made when the connection takes them.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property

from manifest_runner.models import Box, Mode

PIECE = 64 * 1024
"""Most bytes of a piece of a body."""

_SLICE = (
    PIECE // 4 * 3
)  # bytes of content that make one piece; whole groups of three, so no padding lies between
_URL = re.compile(r"https?://.", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class CreateRequest:
    """One create call. `image` and `sound_file` are a URL (text), or the file's own bytes, which go as Base64; exactly
    one of `sound_file` and `audio_id` is given. Fields that are None are left out of the body. `preview_mouth` is for
    a sandbox alone."""

    external_task_id: str
    image: str | bytes = field(repr=False)  # megabytes, or a URL with a signature in it
    sound_file: str | bytes | None = field(default=None, repr=False)
    audio_id: str | None = None
    prompt: str | None = None
    mode: Mode = Mode.STD
    watermark: bool | None = None
    callback_url: str | None = field(default=None, repr=False)
    preview_mouth: Box | None = None  # in the picture as it is sent

    def __post_init__(self) -> None:
        if not self.external_task_id:  # without it, a lost answer could never be looked up
            raise ValueError("a create call needs an external_task_id")
        if (self.sound_file is None) == (self.audio_id is None):
            raise ValueError("a create call takes exactly one of sound_file and audio_id")
        for name, media in (("image", self.image), ("sound_file", self.sound_file)):
            if isinstance(media, str) and not _URL.match(
                media
            ):  # Base64 text given here would be sent as a URL
                raise ValueError(f"{name} is text, but no http(s) URL: content is given as bytes")

    @property
    def held_bytes(self) -> int:
        """Bytes of media that are kept in memory with it."""
        return sum(len(media) for media in (self.image, self.sound_file) if isinstance(media, bytes))

    @cached_property
    def body_bytes(self) -> int:
        """Length of the JSON body."""
        return sum(
            _base64_length(part) if isinstance(part, memoryview) else len(part) for part in self._parts()
        )

    def chunks(self) -> Iterator[bytes]:
        """The JSON body in pieces of at most `PIECE` bytes."""
        for part in self._parts():
            if isinstance(part, memoryview):
                yield from (b64encode(part[at : at + _SLICE]) for at in range(0, len(part), _SLICE))
            else:
                yield from (part[at : at + PIECE] for at in range(0, len(part), PIECE))

    def _parts(self) -> Iterator[bytes | memoryview]:
        """The body as JSON text and, in between, the contents that are to be written as Base64."""
        text = b"{"
        for name, value in self._fields():
            text += _json(name) + b":"
            if isinstance(value, bytes):
                yield text + b'"'
                yield memoryview(value)
                text = b'"'
            else:
                text += _json(value)
            text += b","
        yield text[:-1] + b"}"

    def _fields(self) -> list[tuple[str, object]]:
        mouth = self.preview_mouth
        fields: list[tuple[str, object]] = [
            ("external_task_id", self.external_task_id),
            ("image", self.image),
            ("sound_file", self.sound_file),
            ("audio_id", self.audio_id),
            ("prompt", self.prompt),
            ("mode", self.mode.value),
            ("watermark_info", None if self.watermark is None else {"enabled": self.watermark}),
            ("callback_url", self.callback_url),
            ("preview", {"mouth": [mouth.left, mouth.top, mouth.width, mouth.height]} if mouth else None),
        ]
        return [(name, value) for name, value in fields if value is not None]


@dataclass(frozen=True, kw_only=True)
class SpeechRequest:
    """One text-to-speech call. `voice_speed` is sent with one decimal."""

    text: str
    voice_id: str
    voice_language: str
    voice_speed: Decimal = Decimal("1.0")

    @cached_property
    def body(self) -> bytes:
        """The JSON body, built once: a thousand characters at most."""
        one_decimal = self.voice_speed.quantize(Decimal("0.1"), ROUND_HALF_UP)
        return _json(
            {
                "text": self.text,
                "voice_id": self.voice_id,
                "voice_language": self.voice_language,
                "voice_speed": float(one_decimal),  # a float of one decimal is written as it was read
            }
        )

    @property
    def body_bytes(self) -> int:
        return len(self.body)

    def chunks(self) -> Iterator[bytes]:
        yield self.body


def _base64_length(content: memoryview) -> int:
    return (len(content) + 2) // 3 * 4


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
