"""Media made on the spot, and a client that shares nothing with the project's own."""

from __future__ import annotations

import base64
import io
import math
import time
import wave
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import av
import httpx
import jwt
import numpy as np
from PIL import Image

AVATAR = "/v1/videos/avatar/image2video"
WEBHOOK_SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="
CODECS = {"mp3": ("mp3", "libmp3lame"), "m4a": ("ipod", "aac"), "aac": ("adts", "aac")}


def picture(width: int = 320, height: int = 400, kind: str = "PNG", **options: Any) -> bytes:
    """A gradient with a disc in it."""
    y, x = np.mgrid[0:height, 0:width]
    disc = (x - width / 2) ** 2 + (y - height * 0.4) ** 2 < (min(width, height) / 4) ** 2
    colours = np.stack([x * 255 // width, y * 255 // height, np.where(disc, 220, 90)], axis=-1)
    file = io.BytesIO()
    Image.fromarray(colours.astype(np.uint8)).save(file, kind, **options)
    return file.getvalue()


def tone(seconds: float, rate: int, *, quiet_from: float = math.inf) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A tone that swells and fades; silent after `quiet_from` seconds."""
    at = np.arange(round(seconds * rate)) / rate
    samples = np.sin(2 * np.pi * 220 * at) * (0.3 + 0.25 * np.sin(2 * np.pi * at))
    return np.where(at < quiet_from, samples * 32767, 0).astype(np.int16)


def recording(
    seconds: float, kind: str = "wav", *, rate: int = 24_000, quiet_from: float = math.inf
) -> bytes:
    samples = tone(seconds, rate, quiet_from=quiet_from)
    file = io.BytesIO()
    if kind == "wav":
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(rate)
            writer.writeframes(samples.tobytes())
        return file.getvalue()
    container_format, codec = CODECS[kind]
    with av.open(file, "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def token(keys: Mapping[str, str], *, secret: str | None = None, **claims: Any) -> str:
    now = int(time.time())
    payload = {"iss": keys["KLING_ACCESS_KEY"], "exp": now + 1800, "nbf": now - 5, **claims}
    payload = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(payload, secret or keys["KLING_SECRET_KEY"], algorithm="HS256")


class Client:
    """Calls a sandbox. Reads of the whole answer; `created` fields default to a small valid task."""

    def __init__(self, base_url: str, keys: Mapping[str, str]) -> None:
        headers = {"Authorization": f"Bearer {token(keys)}"}
        self.http = httpx.Client(base_url=base_url, headers=headers, timeout=30, trust_env=False)

    def create(self, **fields: Any) -> httpx.Response:
        body = {"image": PORTRAIT, "sound_file": SOUND, **fields}
        return self.http.post(AVATAR, json={name: value for name, value in body.items() if value is not None})

    def created(self, **fields: Any) -> str:
        reply = self.create(**fields)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["data"]["task_id"])

    def look(self, any_id: str) -> dict[str, Any]:
        data: dict[str, Any] = self.http.get(f"{AVATAR}/{any_id}").json()["data"]
        return data

    def ended(self, any_id: str, *, within: float = 20) -> dict[str, Any]:
        deadline = time.monotonic() + within
        while (task := self.look(any_id))["task_status"] not in ("succeed", "failed"):
            assert time.monotonic() < deadline, f"still {task['task_status']} after {within} s"
            time.sleep(0.02)
        return task


def refusal(reply: httpx.Response) -> tuple[int, int]:
    """HTTP status and code of an answer that says no, once its envelope is found whole."""
    body = reply.json()
    assert set(body) == {"code", "message", "request_id"}
    assert body["message"] and body["request_id"]
    return reply.status_code, body["code"]


PORTRAIT = base64_text(picture())
SOUND = base64_text(recording(2.0))
