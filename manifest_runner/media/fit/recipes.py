"""What has to be done to a picture or a recording so that the service takes it, or why nothing can be. Pure.

A recipe says what `fit_image` or `fit_audio` will do. It is made from the facts alone, so that a plan can show it
before anything is decoded; the same facts and the same wishes give the same recipe.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from importlib.util import find_spec

from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.fit.geometry import MAX_SIDE, canvas_around, within_largest
from manifest_runner.media.limits import (
    AUDIO_MAX_BYTES,
    AUDIO_MAX_SECONDS,
    AUDIO_MIN_SECONDS,
    IMAGE_FORMATS,
    IMAGE_MAX_BYTES,
    Objection,
    audio_format_problem,
    audio_problems,
    audio_size_problem,
    image_aspect_problem,
    image_format_problem,
    image_problems,
    image_side_problem,
    too_long_problem,
    too_short_problem,
)
from manifest_runner.media.room import DECODABLE, DECODING_ROOM, room_for
from manifest_runner.media.source import megabytes
from manifest_runner.models import Fit, FitMode, Pad

BIT_RATES = (320, 256, 224, 192, 160, 128, 112, 96, 80, 64)
"""kbit/s, as MP3 has them at 44.1 and 48 kHz."""

_PLAIN_COLOURS = ("RGB", "RGBA", "L", "LA")
_COLOUR_WORDS = {"P": "palette to full colours", "PA": "palette to full colours", "CMYK": "CMYK to RGB"}
_IMAGE_NAMES = {"webp": "WebP", "heif": "HEIC"}
_TURNED_BY_DECODER = ("tiff", "heif")  # their decoders hand them out upright
_SIDEWAYS = 5  # from this EXIF orientation on, width and height change places

_AUDIO_NAMES = {"ogg": "Ogg", "matroska": "Matroska", "asf": "WMA"}
_SEVERAL_CODECS = ("ogg", "matroska", "avi", "wav", "m4a")  # containers that don't tell what is in them
_LAST = Decimal("299.9")  # seconds that are kept: an MP3 encoder adds up to 0.05 s, which some count
_ENCODER_ADDS = 1  # second, generously: its delay, its padding, its header


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRecipe:
    """What `fit_image` does to a picture. All sizes are (width, height) in pixels.

    `width` and `height` are the result's, sides of a padded one included. They are an upper bound: a picture whose
    file still is too large is scaled down further.
    """

    what: str  # for people
    width: int
    height: int
    format: str  # of the source
    stored: tuple[int, int]  # as the decoder hands it out, before it is turned
    turn: int  # the EXIF orientation that is left to be applied; 1: none
    picture: tuple[int, int]  # upright, scaled, without the sides that are added
    pad: Pad | None  # set where sides are added
    target: str  # `jpeg` or `png`
    colours: str  # what is done to them, in words; may be empty
    several: bool  # the file has several pictures, of which the first is taken
    room: int  # bytes that decoding takes

    @property
    def source(self) -> tuple[int, int]:
        """The size of the whole picture, upright."""
        return self.stored[::-1] if self.turn >= _SIDEWAYS else self.stored


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioRecipe:
    """What `fit_audio` does to a recording: it becomes an MP3 of a constant bit rate."""

    what: str  # for people
    seconds: Decimal  # of the result
    made_of: str  # the source's format, in words
    source_seconds: Decimal
    channels: int  # 1 or 2
    sample_rate: int  # Hz: 44100 or 48000
    kbps: int  # kbit/s
    cut: bool  # what comes after `seconds` is left out


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A file that was made to fit. `what` says what was really done, with the final figures."""

    data: bytes = field(repr=False)
    what: str
    sha256: str  # of `data`


def image_fitting(facts: ImageFacts, fit: Fit) -> tuple[ImageRecipe | None, list[Objection]]:
    """How this picture is made to fit; no recipe and no objections: it goes as it is."""
    if fit.mode is FitMode.OFF:
        return None, image_problems(facts)
    if found := _beyond_mending(facts, fit):
        return None, found
    recipe = _image_recipe(facts, fit.pad)
    if _goes_as_it_is(facts):
        return None, []
    if recipe.room > DECODING_ROOM:
        return None, [_too_many_pixels(facts)]
    return recipe, []


def audio_fitting(facts: AudioFacts, fit: Fit) -> tuple[AudioRecipe | None, list[Objection]]:
    """How this recording is made to fit; no recipe and no objections: it goes as it is."""
    if fit.mode is FitMode.OFF:
        return None, audio_problems(facts)
    if not facts.seconds:
        return None, [
            Objection("has no sound in it.", "Give a recording of a voice.", "recording without sound")
        ]
    long = too_long_problem(facts)
    if long and not fit.trim:
        mend = (
            f"Shorten it, cut it into parts of at most {AUDIO_MAX_SECONDS} s with a job each, or set"
            f" `fit.trim: true` to have its first {AUDIO_MAX_SECONDS} s alone."
        )
        return None, [long._replace(mend=mend)]
    if not (long or audio_format_problem(facts) or audio_size_problem(facts) or too_short_problem(facts)):
        return None, []
    return _audio_recipe(facts, cut=long is not None), []


def image_words(recipe: ImageRecipe, *, target: str, picture: tuple[int, int], whole: tuple[int, int]) -> str:
    """What is done to a picture, for people. `picture` and `whole` are its size without and with added sides."""
    done = ["the first of its pictures"] if recipe.several else []
    if recipe.turn != 1:
        done.append("turned upright")
    if recipe.format != target:
        done.append(f"{_image_name(recipe.format)} to {_image_name(target)}")
    if recipe.colours:
        done.append(recipe.colours)
    if picture != recipe.source:
        done.append(f"scaled from {_size(recipe.source)} to {_size(picture)}")
    if recipe.pad:
        done.append(f"sides added to {_size(whole)} ({recipe.pad})")
    return ", ".join(done) or f"saved in less than {IMAGE_MAX_BYTES // 1_000_000} MB"


def audio_words(recipe: AudioRecipe, *, kbps: int, seconds: Decimal) -> str:
    """What is done to a recording, for people. `seconds` of sound were found in it, or kept of it."""
    voices = "mono" if recipe.channels == 1 else "stereo"
    done = [
        f"{recipe.made_of} to MP3" if recipe.made_of != "MP3" else "MP3 made anew",
        f"{kbps} kbit/s {voices}",
    ]
    if seconds < AUDIO_MIN_SECONDS:
        done.append(f"padded with silence from {_plain(seconds)} s to {AUDIO_MIN_SECONDS} s")
    if recipe.cut:
        done.append(f"cut after {_plain(recipe.seconds)} s")
    return ", ".join(done)


def _beyond_mending(facts: ImageFacts, fit: Fit) -> list[Objection]:
    found: list[Objection] = []
    strange = facts.format not in DECODABLE
    if strange and (problem := image_format_problem(facts)):
        found.append(problem)
    if facts.format == "heif" and find_spec("pillow_heif") is None:
        found.append(
            Objection(
                "is a HEIC picture, which can be read with an extra only.",
                "Install manifest-runner[heic], or export the picture as JPEG.",
                "HEIC image without the extra that reads it",
            )
        )
    if problem := image_side_problem(facts):
        found.append(problem)
    if not fit.pad and (problem := image_aspect_problem(facts)):
        ways = ", or set `fit.pad: blur` (or `colour`) to have sides added."
        found.append(problem._replace(mend=problem.mend.removesuffix(".") + ways))
    return found


def _too_many_pixels(facts: ImageFacts) -> Objection:
    return Objection(
        f"has {facts.width} x {facts.height} pixels in {megabytes(facts.bytes)}, more than can be decoded safely.",
        f"Scale it down to {MAX_SIDE} pixels a side or less, or save it as JPEG.",
        "image with too many pixels",
    )


def _goes_as_it_is(facts: ImageFacts) -> bool:
    return (
        facts.format in IMAGE_FORMATS
        and facts.orientation == 1
        and facts.colours in _PLAIN_COLOURS
        and facts.bits == 8
        and facts.frames == 1
        and facts.bytes <= IMAGE_MAX_BYTES
        and max(facts.width, facts.height) <= MAX_SIDE
        and image_aspect_problem(facts) is None
    )


def _image_recipe(facts: ImageFacts, pad: Pad | None) -> ImageRecipe:
    source = (facts.width, facts.height)
    turn = 1 if facts.format in _TURNED_BY_DECODER else facts.orientation
    stored = source[::-1] if turn >= _SIDEWAYS else source
    picture = within_largest(source)
    whole = canvas_around(picture) if image_aspect_problem(facts) else picture
    recipe = ImageRecipe(
        what="",
        width=whole[0],
        height=whole[1],
        format=facts.format,
        stored=stored,
        turn=turn,
        picture=picture,
        pad=pad if whole != picture else None,
        target="png" if facts.transparent else "jpeg",
        colours=_colour_words(facts),
        several=facts.frames > 1,
        room=room_for(facts.format, source, picture, facts.bytes),
    )
    return replace(recipe, what=image_words(recipe, target=recipe.target, picture=picture, whole=whole))


def _colour_words(facts: ImageFacts) -> str:
    if facts.colours in _COLOUR_WORDS:
        return _COLOUR_WORDS[facts.colours]
    return f"{facts.bits}-bit to 8-bit" if facts.bits > 8 else ""


def _image_name(kind: str) -> str:
    return _IMAGE_NAMES.get(kind, kind.upper())


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _audio_recipe(facts: AudioFacts, *, cut: bool) -> AudioRecipe:
    seconds = _LAST if cut else max(facts.seconds, AUDIO_MIN_SECONDS)
    made_of = _AUDIO_NAMES.get(facts.container, facts.container.upper())
    if facts.container in _SEVERAL_CODECS and not facts.codec.startswith(("pcm_", "aac")):
        made_of += f" ({facts.codec})"
    recipe = AudioRecipe(
        what="",
        seconds=seconds,
        made_of=made_of,
        source_seconds=facts.seconds,
        channels=min(facts.channels, 2),
        sample_rate=44_100 if facts.sample_rate % 11_025 == 0 else 48_000,
        kbps=_highest_rate(seconds),
        cut=cut,
    )
    return replace(recipe, what=audio_words(recipe, kbps=recipe.kbps, seconds=facts.seconds))


def _highest_rate(seconds: Decimal) -> int:
    """kbit/s. Five minutes fit at 128, two minutes at 320."""
    most = Decimal(AUDIO_MAX_BYTES * 8) / 1000 / (seconds + _ENCODER_ADDS)
    return next((rate for rate in BIT_RATES if rate <= most), BIT_RATES[-1])


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
