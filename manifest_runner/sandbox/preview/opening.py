"""How far a mouth is open at each picture: the voice in a recording, not its hum and hiss, and closed in pauses.

One number for each picture is all that is kept; the recording itself passes by in windows of a picture each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from manifest_runner.sandbox.sound import SAMPLE_RATE, WINDOW, Pcm, pcm_blocks, windows

LOWEST, HIGHEST = 200, 4000  # Hz: most of a voice, little of mains, traffic, breath and sibilants
SILENCE = 1e-4  # of full scale: what never gets louder than -80 dB is not blown up into speech
ABOVE_NOISE = 6.0  # dB over the quietest tenth of the recording: what is below closes the mouth
GATE_FLOOR, GATE_CEILING = -40.0, -20.0  # dB below the loud passages, between which the gate stays
CURVE = 0.85  # of amplitude: quiet syllables show as well
ATTACK, RELEASE = 0.75, 0.5  # of the way to a louder or quieter level that is gone within one picture
CLOSED = 0.05  # an opening that is no more than a tremor of the lips

Levels = npt.NDArray[np.float64]


def opening_envelope(source: Path, format_name: str) -> Levels:
    """0 (closed) to 1 for each picture; shape (pictures,). Raises BadRecording."""
    return opening_of(voice_levels(pcm_blocks(source, format_name)))


def voice_levels(blocks: Iterator[Pcm]) -> Levels:
    """The voice's amplitude (root mean square, 1 is full scale) in each window of a picture; shape (pictures,)."""
    shape = np.hanning(WINDOW)
    scale = 2 / (WINDOW * float(np.sum(shape**2)))
    first, last = LOWEST * WINDOW // SAMPLE_RATE, HIGHEST * WINDOW // SAMPLE_RATE
    return np.array(
        [_amplitude(window.mean(axis=0), shape, first, last, scale) for window in windows(blocks)]
    )


def _amplitude(window: Pcm, shape: Levels, first: int, last: int, scale: float) -> float:
    spectrum = np.fft.rfft(window * shape[: window.size], WINDOW)[first : last + 1]
    return float(np.sqrt(scale * np.sum(spectrum.real**2 + spectrum.imag**2)))


def opening_of(levels: Levels) -> Levels:
    """Openings for amplitudes, relative to the recording's own loud passages and its own noise."""
    loud = float(np.percentile(levels, 95)) if levels.size else 0.0
    if loud < SILENCE:
        return np.zeros_like(levels)
    quiet = 20 * np.log10(max(float(np.percentile(levels, 10)) / loud, 1e-6))
    gate = 10 ** (float(np.clip(quiet + ABOVE_NOISE, GATE_FLOOR, GATE_CEILING)) / 20)
    wide = np.clip(levels / loud, 0, 1) ** CURVE
    threshold = gate**CURVE
    return _followed(np.clip((wide - threshold) / (1 - threshold), 0, 1))


def _followed(targets: Levels) -> Levels:
    """Lips have mass: they open quickly, close a little more slowly, and rest closed."""
    openings = np.empty_like(targets)
    held = 0.0
    for index, target in enumerate(targets):
        held += (target - held) * (ATTACK if target > held else RELEASE)
        openings[index] = held if held > CLOSED else 0.0
    return openings
