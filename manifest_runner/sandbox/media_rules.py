"""The rules that only the media themselves can answer: real format, size, sides, aspect, duration.

Names and headers are not believed: the picture is decoded to its last row (a JPEG's at an eighth of its size, which
reads all the same of the file), the sound to its last packet.
"""

from __future__ import annotations

import base64
import binascii
import threading
from contextlib import nullcontext
from decimal import Decimal
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from manifest_runner.models import Box
from manifest_runner.sandbox.preview.picture import portrait_size
from manifest_runner.sandbox.refusals import bad_parameter
from manifest_runner.sandbox.sound import AudioFacts, BadRecording, measure

MAX_IMAGE = 10 * 1024 * 1024  # bytes of the decoded file
MAX_AUDIO = 5 * 1024 * 1024
MIN_SIDE = 300  # pixels
MAX_ASPECT = 2.5
# Ours, below Pillow's own alarm: above any camera's picture of 10 MB. A PNG is held whole, and thrice to be turned
# and cut to a preview; of 10 MB, it has so many pixels only when there is nothing to see.
MAX_PIXELS_JPEG, MAX_PIXELS_PNG = 64_000_000, 50_000_000
BIG = 12_000_000  # pixels, from which on there is room for one at a time
MIN_SECONDS, MAX_SECONDS = Decimal(2), Decimal(300)
ENCODER_PADDING = Decimal("0.1")  # seconds that mp3 and aac add to a recording of exactly 300 s

_one_big = threading.Lock()


def from_base64(name: str, text: str, *, max_bytes: int) -> bytes:
    """The file in a Base64 field. Raises Refusal; an oversized one before it is decoded."""
    if len(text) * 3 // 4 > max_bytes + 3:
        raise too_large(name, max_bytes)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise bad_parameter(name, "is neither an http(s) URL nor valid Base64") from None
    if len(data) > max_bytes:
        raise too_large(name, max_bytes)
    return data


def too_large(name: str, max_bytes: int) -> Exception:
    return bad_parameter(name, f"is larger than {max_bytes // 1024 // 1024} MB")


def check_image(name: str, data: bytes) -> None:
    """Raises Refusal for a picture that the service would not take."""
    try:
        with Image.open(BytesIO(data), formats=("JPEG", "PNG")) as picture:
            width, height = picture.size
            _check_sides(name, width, height, MAX_PIXELS_PNG if picture.format == "PNG" else MAX_PIXELS_JPEG)
            picture.draft(picture.mode, (1, 1))  # only JPEG's decoder can, and still has to read every block
            with _one_big if width * height >= BIG else nullcontext():
                picture.load()
    except UnidentifiedImageError:
        raise bad_parameter(name, "is no jpeg or png picture") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise bad_parameter(name, "has too many pixels") from None
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow's decoders raise on damaged files
        raise bad_parameter(name, f"is damaged or cut short ({type(error).__name__})") from None


def check_mouth(name: str, mouth: Box, picture: Path) -> None:
    """Raises Refusal for a box that is not wholly inside the picture, which has been checked before."""
    width, height = portrait_size(picture)
    if mouth.left + mouth.width > width or mouth.top + mouth.height > height:
        raise bad_parameter(name, f"must lie inside the picture, which is {width} x {height} pixels upright")


def _check_sides(name: str, width: int, height: int, most_pixels: int) -> None:
    if width * height > most_pixels:
        raise bad_parameter(name, f"has too many pixels ({width} x {height})")
    if min(width, height) < MIN_SIDE:
        raise bad_parameter(name, f"is {width} x {height} pixels; each side needs at least {MIN_SIDE}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise bad_parameter(
            name, f"is {width} x {height} pixels; the aspect must lie between 1:2.5 and 2.5:1"
        )


def check_audio(name: str, data: bytes) -> AudioFacts:
    """The facts of a recording that the service would take. Raises Refusal for any other."""
    try:
        facts = measure(data, stop_after=float(MAX_SECONDS) + 1)
    except BadRecording as error:
        raise bad_parameter(name, str(error)) from None
    longest = MAX_SECONDS if facts.format == "wav" else MAX_SECONDS + ENCODER_PADDING
    check_duration(name, facts.seconds, longest)
    return facts


def check_duration(name: str, seconds: Decimal, longest: Decimal = MAX_SECONDS + ENCODER_PADDING) -> None:
    if seconds < MIN_SECONDS:
        raise bad_parameter(name, f"lasts {seconds} s; at least {MIN_SECONDS} s are needed")
    if seconds > longest:
        raise bad_parameter(name, f"lasts more than {MAX_SECONDS} s")
