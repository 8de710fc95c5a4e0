"""A voice for the example recordings: espeak-ng where it is installed, otherwise a small formant synthesiser.

The synthesiser says no words. It makes syllables of vowel-like sound with the rhythm and melody of speech, which is
all a preview's moving mouth and level meter need. `make_media.py` is the script to run.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import wave

import numpy as np
from numpy.typing import NDArray

RATE = 22_050  # Hz, mono; espeak-ng's own
PEAK = 0.8  # of full scale, so that encoders don't clip

# The first three resonances of the vocal tract, in Hz, for a neutral adult voice.
VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
BANDWIDTHS = (80, 100, 140)  # Hz

Samples = NDArray[np.float64]


def speak(text: str, *, voice: str, pitch: float) -> tuple[Samples, str]:
    """Samples of `text` between -1 and 1 at RATE, and the name of what made them.

    `voice` is espeak-ng's; `pitch`, in Hz, is the synthesiser's.
    """
    program = shutil.which("espeak-ng")
    if program is not None:
        return _levelled(_by_espeak(program, text, voice)), "espeak-ng"
    return _levelled(synthesise(text, pitch=pitch)), "the built-in synthesiser"


def synthesise(text: str, *, pitch: float) -> Samples:
    """Voice-like sound with a syllable for each vowel of `text` and pauses at its punctuation."""
    sounds = [_silence(0.15)]
    letters = text.lower()
    for place, letter in enumerate(letters):
        if letter in VOWELS:
            # The melody falls over the sentence and rises a little on every third syllable.
            height = pitch * (1.12 - 0.25 * place / len(letters) + 0.08 * (place % 3 == 0))
            sounds.append(_syllable(VOWELS[letter], height, seconds=0.15 + 0.02 * (place % 4)))
            sounds.append(_silence(0.02))
        elif letter in ",;:":
            sounds.append(_silence(0.18))
        elif letter in ".!?":
            sounds.append(_silence(0.35))
    return np.concatenate(sounds)


def _syllable(formants: tuple[int, int, int], pitch: float, *, seconds: float) -> Samples:
    """A glottal buzz through three resonators, with a soft start and end."""
    count = int(seconds * RATE)
    time = np.arange(count) / RATE
    vibrato = 1 + 0.012 * np.sin(2 * np.pi * 5.2 * time)
    phase = np.cumsum(pitch * vibrato) / RATE
    sound = (phase % 1) ** 2 - 1 / 3  # air pressure builds up, then the vocal folds snap shut
    for centre, width in zip(formants, BANDWIDTHS, strict=True):
        sound = _resonate(sound, centre, width)
    fade = int(0.03 * RATE)
    envelope = np.ones(count)
    envelope[:fade] = np.linspace(0, 1, fade)
    envelope[-fade:] = np.linspace(1, 0, fade)
    return sound * envelope


def _resonate(sound: Samples, centre: float, width: float) -> Samples:
    """A two-pole resonator, as a convolution with its impulse response."""
    time = np.arange(int(RATE * 4 / width)) / RATE
    response = np.exp(-np.pi * width * time) * np.sin(2 * np.pi * centre * time)
    return np.convolve(sound, response / np.abs(response).sum())[: len(sound)]


def _by_espeak(program: str, text: str, voice: str) -> Samples:
    arguments = [program, "-v", voice, "-s", "155", "--stdin", "--stdout"]
    made = subprocess.run(arguments, input=text.encode(), capture_output=True, check=True, timeout=60)
    with wave.open(io.BytesIO(made.stdout)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
            raise SystemExit(f"espeak-ng's voice {voice!r} does not speak at {RATE} Hz, 16 bit, mono.")
        # Written to a pipe its header can't know the length: everything that follows is sound.
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return np.concatenate([_silence(0.15), samples / 32_768, _silence(0.25)])


def _levelled(sound: Samples) -> Samples:
    return sound * (PEAK / max(float(np.abs(sound).max()), 1e-9))


def _silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE))
