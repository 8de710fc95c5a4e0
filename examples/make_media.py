"""Makes the media that the example campaigns use: two drawn portraits and four short recordings.

    python examples/make_media.py [--out DIR]

The results are in the repository (examples/assets), so nobody has to run this. It works without espeak-ng too; the
recordings then come from the built-in synthesiser and say no words.
"""

from __future__ import annotations

import argparse
import wave
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from studio.people import GUIDE, PRESENTER
from studio.portrait import draw
from studio.voice import RATE, Samples, speak

PORTRAITS = {"presenter.png": PRESENTER, "guide.jpg": GUIDE}


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What is said, by whom."""

    text: str
    voice: str  # espeak-ng's name for it
    pitch: float  # Hz, for the synthesiser


RECORDINGS = {
    "welcome.mp3": Recording(
        text="Hello, and welcome. It is good to have you here. Let me show you around.",
        voice="en-us+f2",
        pitch=205,
    ),
    "spring.wav": Recording(
        text="Spring is here, and so is our new collection.",
        voice="en-us+f2",
        pitch=205,
    ),
    "tour.m4a": Recording(
        text="Hi, I am your guide today. Three short stops, and then you know everything.",
        voice="en-gb+m3",
        pitch=118,
    ),
    "thanks.aac": Recording(
        text="Thank you for your time. See you soon!",
        voice="en-gb+m3",
        pitch=118,
    ),
}
# By suffix: FFmpeg's container, codec, and bits a second.
ENCODINGS = {
    ".mp3": ("mp3", "libmp3lame", 64_000),
    ".m4a": ("ipod", "aac", 64_000),
    ".aac": ("adts", "aac", 64_000),
}


def make_portraits(folder: Path) -> None:
    for name, person in PORTRAITS.items():
        picture = draw(person)
        if name.endswith(".png"):
            picture.save(folder / name, optimize=True)
        else:
            picture.save(folder / name, quality=92, optimize=True)
        print(f"{folder / name}: drawn")


def make_recordings(folder: Path) -> None:
    for name, recording in RECORDINGS.items():
        sound, maker = speak(recording.text, voice=recording.voice, pitch=recording.pitch)
        write_sound(folder / name, sound)
        print(f"{folder / name}: {len(sound) / RATE:.1f} s by {maker}")


def write_sound(path: Path, sound: Samples) -> None:
    """Write mono samples (between -1 and 1, at RATE) in the format that the suffix names."""
    samples = (sound * 32_767).round().astype("<i2")
    if path.suffix == ".wav":
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, len(samples), "NONE", ""))
            file.writeframes(samples.tobytes())
        return
    form, codec, bit_rate = ENCODINGS[path.suffix]
    # bitexact leaves out the encoder's name and the time, so the same sound gives the same file.
    with av.open(str(path), "w", format=form, options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.bit_rate = bit_rate
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples.astype(np.int16)[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the media that the example campaigns use.")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "assets", help="folder to write to"
    )
    folder: Path = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    make_portraits(folder)
    make_recordings(folder)


if __name__ == "__main__":
    main()
