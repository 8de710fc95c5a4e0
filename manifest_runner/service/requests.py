"""What is sent to the service: frozen values and the exact bytes of their bodies."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property

from manifest_runner.models import Box, Mode


@dataclass(frozen=True, kw_only=True)
class CreateRequest:
    """One create call. `image` and `sound_file` are a URL or bare Base64 text; exactly one of `sound_file`
    and `audio_id` is given. Fields that are None are left out of the body. `preview_mouth` is for a sandbox alone."""

    external_task_id: str
    image: str = field(repr=False)  # megabytes of Base64, or a URL with a signature in it
    sound_file: str | None = field(default=None, repr=False)
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

    @cached_property
    def body(self) -> bytes:
        """The JSON body, built once."""
        mouth = self.preview_mouth
        return _body(
            external_task_id=self.external_task_id,
            image=self.image,
            sound_file=self.sound_file,
            audio_id=self.audio_id,
            prompt=self.prompt,
            mode=self.mode.value,
            watermark_info=None if self.watermark is None else {"enabled": self.watermark},
            callback_url=self.callback_url,
            preview={"mouth": [mouth.left, mouth.top, mouth.width, mouth.height]} if mouth else None,
        )

    @property
    def body_bytes(self) -> int:
        return len(self.body)


@dataclass(frozen=True, kw_only=True)
class SpeechRequest:
    """One text-to-speech call. `voice_speed` is sent with one decimal."""

    text: str
    voice_id: str
    voice_language: str
    voice_speed: Decimal = Decimal("1.0")

    @cached_property
    def body(self) -> bytes:
        """The JSON body, built once."""
        one_decimal = self.voice_speed.quantize(Decimal("0.1"), ROUND_HALF_UP)
        return _body(
            text=self.text,
            voice_id=self.voice_id,
            voice_language=self.voice_language,
            voice_speed=float(one_decimal),  # a float of one decimal is written as it was read
        )

    @property
    def body_bytes(self) -> int:
        return len(self.body)


def _body(**fields: object) -> bytes:
    given = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(given, separators=(",", ":")).encode("ascii")
