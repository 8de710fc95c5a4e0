"""The service's limits on media, and what a probed file has against them. Pure.

The figures are the service's own, from the request body's description of its Avatar page. It writes "MB" without
saying whether a million bytes or 1024 * 1024 are meant. The smaller reading is taken: a file between the two is
easily made smaller, while one that the service refuses has cost a place in the queue.
"""

from __future__ import annotations

from decimal import Decimal

from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.source import megabytes

IMAGE_FORMATS = ("jpeg", "png")  # "Supported image formats: .jpg / .jpeg / .png"
IMAGE_MAX_BYTES = 10_000_000  # "Image file size ≤ 10MB"; of the decoded file, not of its Base64 text
IMAGE_MIN_SIDE = 300  # pixels; "dimensions ≥ 300px"
IMAGE_MAX_ASPECT = Decimal("2.5")  # longer side to shorter; "aspect ratio between 1:2.5 ~ 2.5:1"

AUDIO_MAX_BYTES = 5_000_000  # "max 5MB"
AUDIO_MIN_SECONDS = Decimal(2)  # "Duration must be between 2-300 seconds"
AUDIO_MAX_SECONDS = Decimal(300)
# "Accepted formats: .mp3/.wav/.m4a/.aac". The codecs are those that each of these names stands for everywhere.
AUDIO_CODECS = {"mp3": ("mp3",), "wav": ("pcm_",), "m4a": ("aac", "alac"), "aac": ("aac",)}

Objection = tuple[str, str]
"""What is wrong, and how to mend it. The sentence goes on from the name of the file: "'a.png' " + what."""


def image_problems(facts: ImageFacts) -> list[Objection]:
    """Everything the service would refuse this picture for."""
    found: list[Objection] = []
    if facts.format not in IMAGE_FORMATS:
        found.append(
            (f"is a {facts.format.upper()} picture; JPEG or PNG is wanted.", "Save it as JPEG or PNG.")
        )
    if facts.bytes > IMAGE_MAX_BYTES:
        found.append(
            (
                f"has {megabytes(facts.bytes)}; at most {megabytes(IMAGE_MAX_BYTES)} are taken.",
                "Save it as JPEG, or scale it down.",
            )
        )
    short, long = sorted((facts.width, facts.height))
    size = f"{facts.width} x {facts.height} pixels"
    if short < IMAGE_MIN_SIDE:
        found.append(
            (
                f"is {size}; each side must have at least {IMAGE_MIN_SIDE}.",
                "Use a larger original: enlarging a small one gives a blurred video.",
            )
        )
    if long > short * IMAGE_MAX_ASPECT:
        found.append(
            (
                f"is {size}; the longer side may be at most {IMAGE_MAX_ASPECT} times the shorter.",
                f"Crop the longer side to {int(short * IMAGE_MAX_ASPECT)} pixels or less.",
            )
        )
    return found


def audio_problems(facts: AudioFacts) -> list[Objection]:
    """Everything the service would refuse this recording for."""
    found: list[Objection] = []
    codecs = AUDIO_CODECS.get(facts.container, ())
    if not facts.codec.startswith(codecs):
        found.append(
            (
                f"holds {facts.codec} sound in a {facts.container} file; MP3, WAV (PCM), M4A or AAC is wanted.",
                "Export it as MP3.",
            )
        )
    if facts.bytes > AUDIO_MAX_BYTES:
        found.append(
            (
                f"has {megabytes(facts.bytes)}; at most {megabytes(AUDIO_MAX_BYTES)} are taken.",
                "Export it as MP3 at 128 kbit/s: five minutes fit.",
            )
        )
    if facts.seconds < AUDIO_MIN_SECONDS:
        found.append(
            (
                f"lasts {facts.seconds.normalize():f} s; at least {AUDIO_MIN_SECONDS} s are wanted.",
                "Use a longer recording, or add silence.",
            )
        )
    if facts.seconds > AUDIO_MAX_SECONDS:
        found.append(
            (
                f"lasts more than {AUDIO_MAX_SECONDS} s.",
                f"Cut it into parts of at most {AUDIO_MAX_SECONDS} s, a job each.",
            )
        )
    return found
