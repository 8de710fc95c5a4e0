"""The service's limits on media, and what a probed file has against them. Pure.

The figures are the service's own, from the request body's description of its Avatar page. It writes "MB" without
saying whether a million bytes or 1024 * 1024 are meant. The smaller reading is taken: a file between the two is
easily made smaller, while one that the service refuses has cost a place in the queue.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

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


class Objection(NamedTuple):
    """What is wrong with a file, and how to mend it."""

    what: str  # the sentence goes on from the name of the file: "'a.png' " + what
    mend: str
    kind: str = ""  # the same for all files of this fault, without figures: what reports group by


def image_problems(facts: ImageFacts) -> list[Objection]:
    """Everything the service would refuse this picture for."""
    checks = (image_format_problem, image_size_problem, image_side_problem, image_aspect_problem)
    return [found for check in checks if (found := check(facts))]


def audio_problems(facts: AudioFacts) -> list[Objection]:
    """Everything the service would refuse this recording for."""
    checks = (audio_format_problem, audio_size_problem, too_short_problem, too_long_problem)
    return [found for check in checks if (found := check(facts))]


def image_format_problem(facts: ImageFacts) -> Objection | None:
    if facts.format in IMAGE_FORMATS:
        return None
    return Objection(
        f"is a {facts.format.upper()} picture; JPEG or PNG is wanted.",
        "Save it as JPEG or PNG.",
        "image that is neither JPEG nor PNG",
    )


def image_size_problem(facts: ImageFacts) -> Objection | None:
    if facts.bytes <= IMAGE_MAX_BYTES:
        return None
    return Objection(
        f"has {megabytes(facts.bytes)}; at most {megabytes(IMAGE_MAX_BYTES)} are taken.",
        "Save it as JPEG, or scale it down.",
        f"image file larger than {IMAGE_MAX_BYTES // 1_000_000} MB",
    )


def image_side_problem(facts: ImageFacts) -> Objection | None:
    if min(facts.width, facts.height) >= IMAGE_MIN_SIDE:
        return None
    return Objection(
        f"is {facts.width} x {facts.height} pixels; each side must have at least {IMAGE_MIN_SIDE}.",
        "Use a larger original: enlarging a small one gives a blurred video.",
        f"image smaller than {IMAGE_MIN_SIDE} px",
    )


def image_aspect_problem(facts: ImageFacts) -> Objection | None:
    short, long = sorted((facts.width, facts.height))
    if long <= short * IMAGE_MAX_ASPECT:
        return None
    return Objection(
        f"is {facts.width} x {facts.height} pixels; the longer side may be at most {IMAGE_MAX_ASPECT} times the"
        " shorter.",
        f"Crop the longer side to {int(short * IMAGE_MAX_ASPECT)} pixels or less.",
        f"image longer than {IMAGE_MAX_ASPECT} times its width or height",
    )


def audio_format_problem(facts: AudioFacts) -> Objection | None:
    if facts.codec.startswith(AUDIO_CODECS.get(facts.container, ())):
        return None
    return Objection(
        f"holds {facts.codec} sound in a {facts.container} file; MP3, WAV (PCM), M4A or AAC is wanted.",
        "Export it as MP3.",
        "recording in a format that is not taken",
    )


def audio_size_problem(facts: AudioFacts) -> Objection | None:
    if facts.bytes <= AUDIO_MAX_BYTES:
        return None
    return Objection(
        f"has {megabytes(facts.bytes)}; at most {megabytes(AUDIO_MAX_BYTES)} are taken.",
        "Export it as MP3 at 128 kbit/s: five minutes fit.",
        f"recording file larger than {AUDIO_MAX_BYTES // 1_000_000} MB",
    )


def too_short_problem(facts: AudioFacts) -> Objection | None:
    if facts.seconds >= AUDIO_MIN_SECONDS:
        return None
    return Objection(
        f"lasts {facts.seconds.normalize():f} s; at least {AUDIO_MIN_SECONDS} s are wanted.",
        "Use a longer recording, or add silence.",
        f"recording shorter than {AUDIO_MIN_SECONDS} s",
    )


def too_long_problem(facts: AudioFacts) -> Objection | None:
    if facts.seconds <= AUDIO_MAX_SECONDS:
        return None
    return Objection(
        f"lasts more than {AUDIO_MAX_SECONDS} s.",
        f"Cut it into parts of at most {AUDIO_MAX_SECONDS} s, a job each.",
        f"recording longer than {AUDIO_MAX_SECONDS} s",
    )
