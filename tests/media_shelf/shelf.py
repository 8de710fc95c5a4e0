"""A shelf of awkward media: what people really send. Each file is made on the spot, and its fate is known beforehand.

`python shelf.py FOLDER` makes them all; `table.py` takes each through probe, fit and the sandbox's own check.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import shelf_pictures as p
import shelf_sounds as s

from manifest_runner.errors import MediaError
from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.fit.audio import fit_audio
from manifest_runner.media.fit.image import fit_image
from manifest_runner.media.fit.recipes import audio_fitting, image_fitting
from manifest_runner.media.probe.audio import probe_audio
from manifest_runner.media.probe.image import probe_image
from manifest_runner.models import Fit, FitMode, Pad
from manifest_runner.sandbox.media_rules import check_audio, check_image

AUTO = Fit()
OFF = Fit(mode=FitMode.OFF)
TRIM = Fit(trim=True)


@dataclass(frozen=True, kw_only=True)
class Item:
    """`refused`: a word of the problem; empty, it is accepted. `fitted`: whether something has to be done to it."""

    name: str
    made: Callable[[], bytes]
    sound: bool
    fit: Fit = AUTO
    refused: str = ""
    fitted: bool = True
    needs: str = ""  # a module without which it can't be made

    @property
    def file_name(self) -> str:
        return self.name.split(" ")[0]

    @property
    def there(self) -> bool:
        return not self.needs or find_spec(self.needs) is not None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`problem` is empty for what was accepted by the sandbox's own check, in the form in which it would be sent."""

    what: str = ""  # what it is
    planned: str = ""  # what would be done
    done: str = ""
    problem: str = ""
    seconds: float = 0  # of what is sent, as the sandbox measures
    promised: float = 0  # seconds, as planned


def picture(name: str, made: Callable[[], bytes], **rest: object) -> Item:
    return Item(name=name, made=made, sound=False, **rest)  # type: ignore[arg-type]


def sound(name: str, made: Callable[[], bytes], **rest: object) -> Item:
    return Item(name=name, made=made, sound=True, **rest)  # type: ignore[arg-type]


def saved(
    kind: str, image: Callable[..., object] = p.photo, *size: int, **options: object
) -> Callable[[], bytes]:
    return lambda: p.saved(image(*size), kind, **options)  # type: ignore[arg-type]


def cut(made: Callable[[], bytes], share: float = 0.6) -> Callable[[], bytes]:
    """The first part of a file."""

    def part() -> bytes:
        data = made()
        return data[: int(len(data) * share)]

    return part


WIDE = saved("JPEG", p.photo, 1600, 400)
TALL = saved("JPEG", p.photo, 320, 1400)
M4A = partial(s.encoded, "ipod", "aac")

PICTURES = (
    picture("phone-48mp.jpg", p.phone_picture),
    *(picture(f"orientation-{n}.jpg", partial(p.turned, n)) for n in range(2, 9)),
    picture("orientation-6.webp", partial(p.turned, 6, "WEBP")),
    picture("orientation-6.tiff", partial(p.turned, 6, "TIFF")),
    picture("lossy.webp", saved("WEBP")),
    picture("lossless.webp", saved("WEBP", lossless=True)),
    picture("animated.webp", partial(p.several, "WEBP")),
    picture("photo.avif", saved("AVIF", speed=10)),
    picture("photo.heic", p.heic, needs="pillow_heif"),
    picture("8-bit.tiff", saved("TIFF")),
    picture("16-bit.tiff", saved("TIFF", p.sixteen_bit_gray)),
    picture("cmyk.tiff", saved("TIFF", lambda: p.photo().convert("CMYK"))),
    picture("pages.tiff", partial(p.several, "TIFF")),
    picture("lzw.tiff", saved("TIFF", compression="tiff_lzw")),
    picture("animated.gif", partial(p.several, "GIF")),
    picture("see-through.gif", p.palette_with_hole),
    picture("windows.bmp", saved("BMP")),
    picture("16-bit.png", p.sixteen_bit_png),
    picture("16-bit-gray.png", saved("PNG", p.sixteen_bit_gray)),
    picture("palette.png", saved("PNG", lambda: p.photo().quantize(64))),
    picture("black-and-white.png", saved("PNG", lambda: p.photo().convert("1"))),
    picture("gray.png", saved("PNG", lambda: p.photo().convert("L")), fitted=False),
    picture("gray-alpha.png", saved("PNG", lambda: p.with_hole(p.photo()).convert("LA")), fitted=False),
    picture("interlaced.png", p.interlaced_png, fitted=False),
    picture("animated.apng", partial(p.several, "PNG")),
    picture("cmyk-adobe.jpg", saved("JPEG", lambda: p.photo().convert("CMYK"))),
    picture("progressive.jpg", saved("JPEG", progressive=True), fitted=False),
    picture("jpeg-named.png", saved("JPEG"), fitted=False),
    picture("png-named.jpg", saved("PNG"), fitted=False),
    picture("two-in-one-mpo.jpg", partial(p.several, "MPO"), fitted=False),
    picture("wide.jpg", WIDE, refused="2.5 times"),
    picture("wide.jpg (fit.pad: blur)", WIDE, fit=Fit(pad=Pad.BLUR)),
    picture("tall.jpg", TALL, refused="2.5 times"),
    picture("tall.jpg (fit.pad: colour)", TALL, fit=Fit(pad=Pad.COLOUR)),
    picture("299-pixels.png", saved("PNG", p.photo, 299, 320), refused="at least 300"),
    picture("300-pixels.png", saved("PNG", p.photo, 300, 320), fitted=False),
    picture("5000-pixels.jpg", saved("JPEG", p.photo, 5000, 3000)),
    picture("bomb-20000x20000.png", p.bomb, refused="too many pixels"),
    picture("truncated.jpg", cut(saved("JPEG")), refused="cut off"),
    picture("truncated.png", cut(saved("PNG")), refused="cut off"),
    picture("truncated.webp", cut(saved("WEBP")), refused="cut off"),
    picture("truncated.tiff", cut(saved("TIFF")), refused="cut off"),
    picture("empty.jpg", lambda: b"", refused="empty"),
    picture("error-page.jpg", lambda: p.ERROR_PAGE, refused="web page"),
    picture("broken-exif.jpg", p.broken_exif, fitted=False),
    picture("wide-gamut.jpg", p.display_p3),
    picture("drawing.svg", lambda: p.DRAWING, refused="no picture that can be read"),
    picture("see-through-noise.png", p.see_through_noise),
    picture("see-through.webp", saved("WEBP", lambda: p.with_hole(p.photo()))),
    picture("lossy.webp (fit: off)", saved("WEBP"), fit=OFF, refused="JPEG or PNG is wanted"),
)

SOUNDS = (
    sound("studio-60s.wav", lambda: s.wav(s.voice(60, 48_000, 2), 48_000)),
    sound("24-bit-96k.wav", lambda: s.wav(s.voice(10, 96_000, 2), 96_000, "pcm_s24le")),
    sound("float.wav", lambda: s.wav(s.voice(5), 48_000, "pcm_f32le"), fitted=False),
    sound("u-law.wav", lambda: s.wav(s.voice(5, 8_000), 8_000, "pcm_mulaw"), fitted=False),
    sound("piped.wav", s.piped_wav, fitted=False),
    sound("rf64.wav", lambda: s.wav(s.voice(5), 48_000, muxer={"rf64": "always"}), fitted=False),
    sound("sony.w64", lambda: s.encoded("w64", "pcm_s16le", s.voice(5), 48_000)),
    sound("8-khz-mono.wav", lambda: s.wav(s.voice(5, 8_000), 8_000), fitted=False),
    sound("five-channels.wav", lambda: s.wav(s.voice(5, 48_000, 6), 48_000), fitted=False),
    sound("five-channels-long.wav", lambda: s.wav(s.voice(12, 48_000, 6), 48_000)),
    sound("silent.wav", lambda: s.wav(np.zeros((16_000 * 4, 1), np.int16), 16_000), fitted=False),
    sound("blip-0.05s.wav", lambda: s.wav(s.voice(0.05), 48_000)),
    sound("vbr-without-header.mp3", s.vbr_without_header, fitted=False),
    sound("album-cover.mp3", lambda: s.with_cover(s.mp3(5), p.saved(p.photo(), "JPEG")), fitted=False),
    sound("claims-3-hours.mp3", lambda: s.claiming(s.mp3(10), 413_438), fitted=False),
    sound("three-hours-claims-10-s.mp3", s.three_hours, refused="more than 300 s"),
    sound("three-hours-claims-10-s.mp3 (fit.trim: true)", s.three_hours, fit=TRIM),
    sound("short-1.2s.mp3", partial(s.mp3, 1.2)),
    sound("long-310s.mp3", partial(s.mp3, 310, 16_000, kbps=32), refused="more than 300 s"),
    sound("long-310s.mp3 (fit.trim: true)", partial(s.mp3, 310, 16_000, kbps=32), fit=TRIM),
    sound("few-damaged.mp3", lambda: s.damaged(s.mp3(20), 0.01), fitted=False),
    sound("raw-adts.aac", lambda: s.encoded("adts", "aac", s.voice(5), 48_000), fitted=False),
    sound("plain.m4a", lambda: M4A(s.voice(5), 48_000), fitted=False),
    sound("faststart.m4a", lambda: M4A(s.voice(5), 48_000, muxer={"movflags": "faststart"}), fitted=False),
    sound(
        "fragmented.m4a",
        lambda: M4A(
            s.voice(5), 48_000, muxer={"movflags": "frag_keyframe+empty_moov", "frag_duration": "1000000"}
        ),
        fitted=False,
    ),
    sound("lossless-alac.m4a", lambda: s.encoded("ipod", "alac", s.voice(5), 48_000), fitted=False),
    sound(
        "vorbis.ogg",
        lambda: s.encoded("ogg", "vorbis", s.voice(5, 44_100, 2), 44_100, options={"strict": "-2"}),
    ),
    sound("opus.ogg", lambda: s.encoded("ogg", "libopus", s.voice(5), 48_000)),
    sound("lossless.flac", lambda: s.encoded("flac", "flac", s.voice(5), 48_000)),
    sound("apple.aiff", lambda: s.encoded("aiff", "pcm_s16be", s.voice(5), 48_000)),
    sound("windows.wma", lambda: s.encoded("asf", "wmav2", s.voice(5, 44_100, 2), 44_100, bit_rate=128_000)),
    sound(
        "phone-note.amr",
        lambda: s.encoded("amr", "libopencore_amrnb", s.voice(5, 8_000), 8_000, bit_rate=12_200),
    ),
    sound("sound.mka", lambda: s.encoded("matroska", "flac", s.voice(5), 48_000)),
    sound("browser.webm", lambda: s.encoded("webm", "libopus", s.voice(5), 48_000)),
    sound("film.mp4", s.film, refused="is a video"),
    sound("film-named.mp3", s.film, refused="is a video"),
    sound("truncated.mp3", cut(partial(s.mp3, 10)), fitted=False),
    sound(
        "truncated.m4a",
        cut(lambda: M4A(s.voice(10), 48_000, muxer={"movflags": "faststart"})),
        refused="cut off",
    ),
    sound("truncated-index.m4a", cut(lambda: M4A(s.voice(10), 48_000)), refused="cut off"),
    sound("truncated.wav", cut(lambda: s.wav(s.voice(10), 48_000)), refused="cut off"),
    sound("text-named.mp3", lambda: s.TEXT, refused="looks like text"),
    sound("empty.mp3", lambda: b"", refused="empty"),
    sound("playlist-named.mp3", lambda: s.PLAYLIST, refused="playlist"),
    sound(
        "opus.ogg (fit: off)",
        lambda: s.encoded("ogg", "libopus", s.voice(5), 48_000),
        fit=OFF,
        refused="is wanted",
    ),
)

SHELF = PICTURES + SOUNDS


def build(folder: Path) -> None:
    """Make what is not there yet. Nothing is in two places: an item with other wishes uses the same file."""
    for item in SHELF:
        path = folder / item.file_name
        if item.there and not path.exists():
            path.write_bytes(item.made())


def as_expected(item: Item, row: dict[str, Any]) -> bool:
    """Whether an outcome, as a dictionary, is what the item is there to show."""
    if item.refused:
        return item.refused in row["problem"]
    return not row["problem"] and bool(row["done"]) == item.fitted


def outcome(item: Item, path: Path) -> Outcome:
    """One file's way, as a run would take it. A Refusal by the sandbox is an error of ours, and raised."""
    with path.open("rb") as file:
        try:
            return _sound(item, file) if item.sound else _picture(item, file)
        except MediaError as error:
            return Outcome(problem=str(error))


def _picture(item: Item, file: BinaryIO) -> Outcome:
    facts = probe_image(file, name=f"'{item.file_name}'")
    recipe, objections = image_fitting(facts, item.fit)
    if objections:
        return Outcome(what=_picture_words(facts), problem=" ".join(found.what for found in objections))
    file.seek(0)
    if recipe is None:
        check_image("image", file.read())
        return Outcome(what=_picture_words(facts))
    fitted = fit_image(file, recipe, name=f"'{item.file_name}'")
    check_image("image", fitted.data)
    again = probe_image(fitted.data)
    assert (again.width, again.height) == (fitted.width, fitted.height)
    assert fitted.width <= recipe.width and fitted.height <= recipe.height
    assert image_fitting(again, item.fit) == (None, [])
    return Outcome(what=_picture_words(facts), planned=recipe.what, done=fitted.what)


def _sound(item: Item, file: BinaryIO) -> Outcome:
    facts = probe_audio(file, name=f"'{item.file_name}'")
    recipe, objections = audio_fitting(facts, item.fit)
    if objections:
        return Outcome(what=_sound_words(facts), problem=" ".join(found.what for found in objections))
    file.seek(0)
    if recipe is None:
        heard = check_audio("sound_file", file.read())
        return Outcome(what=_sound_words(facts), seconds=float(heard.seconds), promised=float(facts.seconds))
    fitted = fit_audio(file, recipe, name=f"'{item.file_name}'")
    heard = check_audio("sound_file", fitted.data)
    assert audio_fitting(probe_audio(fitted.data), item.fit) == (None, [])
    return Outcome(
        what=_sound_words(facts),
        planned=recipe.what,
        done=fitted.what,
        seconds=float(heard.seconds),
        promised=float(recipe.seconds),
    )


def _picture_words(facts: ImageFacts) -> str:
    size = f"{facts.width} x {facts.height}"
    return f"{facts.format} {facts.colours} {size}, {facts.bytes / 1e6:.2f} MB"


def _sound_words(facts: AudioFacts) -> str:
    rate = f"{facts.channels} x {facts.sample_rate / 1000:g} kHz"
    words = f"{facts.container} {facts.codec} {rate}, {facts.seconds} s, {facts.bytes / 1e6:.2f} MB"
    return words + (", silent (a warning)" if facts.silent else "")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
