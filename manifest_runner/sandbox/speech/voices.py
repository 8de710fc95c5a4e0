"""Recordings of texts, for rehearsing without the service: spoken by espeak-ng where it is installed.

Where it is not, nobody speaks: a voice-like sound has the rhythm of the text. Syllables are buzzes through two or
three resonances, as vowels are; each voice has its own pitch, sentences fall, questions rise, punctuation pauses.
Either way the same text and voice give the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler

from manifest_runner.sandbox.rules import SpeechOrder
from manifest_runner.sandbox.speech.espeak import NoVoice, Recital, recite

RATE = 24_000  # Hz
LEAD, TAIL = 0.3, 0.9  # seconds of silence around the speech; with it "Hello Ana!" is long enough for a video
LONGEST = 300.0  # seconds of a recording that a create call takes; a text that lasts longer is cut off there
SYLLABLE = {"en": 0.24, "zh": 0.22}  # seconds, at speed 1
PAUSES = {",": 0.2, ";": 0.25, ":": 0.25, ".": 0.35, "!": 0.35, "?": 0.35}
WIDE_STOPS = str.maketrans("，、；：。！？", ",,;:.!?")
VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))  # Hz
CHARACTERS = "⺀-鿿가-힣"  # scripts that write a syllable as one character
BANDWIDTH = 110.0  # Hz of a resonance

Samples = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Beat:
    """One syllable (`sound` picks its vowel) or, without a sound, a pause. `lift` bends the pitch."""

    seconds: float
    sound: str = ""
    lift: float = 1.0


def speak(order: SpeechOrder) -> bytes:
    """An mp3 of the text. Blocks: about 0.1 s, and 10 ms for each second of speech."""
    return _mp3(synthesise(order))


def synthesise(order: SpeechOrder) -> Samples:
    """The speech as samples between -1 and 1, shape (n,), at RATE."""
    try:
        speech = _at_our_rate(recite(order, most_seconds=LONGEST - LEAD - TAIL))
    except NoVoice:
        speech = hum(order)
    return np.concatenate([np.zeros(round(LEAD * RATE)), speech, np.zeros(round(TAIL * RATE))])


def _at_our_rate(recital: Recital) -> Samples:
    resampler = AudioResampler(format="flt", layout="mono", rate=RATE)
    frame = _frame(np.frombuffer(recital.pcm, np.int16), recital.rate)
    blocks = [*resampler.resample(frame), *resampler.resample(None)] if recital.pcm else []
    return np.concatenate([np.zeros(0), *(block.to_ndarray()[0].astype(np.float64) for block in blocks)])


def hum(order: SpeechOrder) -> Samples:
    """The sound without words, shape (n,), at RATE."""
    seed = hashlib.sha256(f"{order.voice_id}\n{order.voice_language}\n{order.text}".encode()).digest()
    noise = np.random.default_rng(int.from_bytes(seed[:8], "big"))
    pitch = voice_pitch(order.voice_id)
    pace = float(order.voice_speed)
    parts = [np.zeros(0)]
    for beat in beats(order.text, order.voice_language):
        count = round(beat.seconds / pace * RATE)
        parts.append(_syllable(beat, pitch, count, noise) if beat.sound else np.zeros(count))
    return np.concatenate(parts)


def voice_pitch(voice_id: str) -> float:
    """Hz, between a low and a high speaking voice, always the same for one voice."""
    return 95 + hashlib.sha256(voice_id.encode()).digest()[0] / 255 * 125


def beats(text: str, language: str) -> Iterator[Beat]:
    """The rhythm of a text: a beat a syllable (a Chinese character is one), a pause where it is punctuated."""
    for sentence in re.findall(r"[^.!?]*[.!?]+|[^.!?]+", text.translate(WIDE_STOPS)):
        question = sentence.endswith("?")
        pieces = re.findall(rf"[{CHARACTERS}]|[^\W_{CHARACTERS}]+|[,;:.!?]+", sentence)
        for index, piece in enumerate(pieces):
            if piece[0] in PAUSES:
                yield Beat(PAUSES[piece[0]])  # `...` is one pause
                continue
            through = index / len(pieces)
            lift = 1 + 0.25 * (through**2 if question else 0.5 - through)
            for sound in re.findall(r"[aeiouy]+", piece.lower()) or [piece]:
                yield Beat(SYLLABLE[language], sound, lift)


def _syllable(beat: Beat, pitch: float, count: int, noise: np.random.Generator) -> Samples:
    time = np.arange(count) / RATE
    glide = pitch * beat.lift * (1 + 0.06 * np.cos(np.pi * np.arange(count) / max(count, 1)))
    phase = 2 * np.pi * np.cumsum(glide) / RATE
    digest = hashlib.sha256(beat.sound.encode()).digest()
    voice = np.zeros(count)
    for harmonic in range(1, int(3600 / pitch)):
        voice += _resonance(harmonic * pitch, VOWELS[digest[0] % len(VOWELS)]) * np.sin(harmonic * phase)
    voice /= np.abs(voice).max(initial=1e-9)
    envelope = np.minimum(1, time / 0.03) * np.minimum(1, (count / RATE - time) / 0.06)
    onset = noise.standard_normal(count) * np.exp(-time / 0.018) * (0.05 + digest[1] / 255 * 0.12)
    syllable: Samples = 0.55 * voice * envelope + onset
    return syllable


def _resonance(frequency: float, formants: tuple[int, ...]) -> float:
    """How strongly a vowel's formants let a frequency through; the throat's own buzz falls with its height."""
    gain: float = sum(
        strength / (1 + ((frequency - formant) / BANDWIDTH) ** 2)
        for formant, strength in zip(formants, (1.0, 0.6, 0.3), strict=True)
    )
    return (gain + 0.02) / (1 + frequency / 900)


def _mp3(samples: Samples) -> bytes:
    pcm = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    file = BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=RATE, options={"b": "64000"}, layout="mono")
        container.mux(stream.encode(_frame(pcm, RATE)))
        container.mux(stream.encode(None))
    return file.getvalue()


def _frame(pcm: npt.NDArray[np.int16], rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate
    frame.pts, frame.time_base = 0, Fraction(1, rate)
    return frame
