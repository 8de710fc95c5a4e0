"""The example media: the committed ones are fit to be sent, and the script makes them anew anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from manifest_runner.media import audio_problems, image_problems, probe_audio, probe_image

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PICTURES = {"presenter.png": "png", "guide.jpg": "jpeg"}
SOUNDS = {"welcome.mp3": "mp3", "spring.wav": "wav", "tour.m4a": "m4a", "thanks.aac": "aac"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder of media made where there is no espeak-ng, and what the script printed."""
    folder = tmp_path_factory.mktemp("made") / "new" / "assets"
    bare = tmp_path_factory.mktemp("no-programs")
    command = [sys.executable, str(EXAMPLES / "make_media.py"), "--out", str(folder)]
    ended = subprocess.run(
        command,
        env={**os.environ, "PATH": str(bare)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return folder, ended.stdout


def check_fit(folder: Path) -> None:
    """Every picture and recording is what its name says, and nothing of it would be refused."""
    for name, kind in PICTURES.items():
        image = probe_image(folder / name)
        assert (image.format, image_problems(image)) == (kind, []), name
        assert image.bytes < 400_000, name
    for name, kind in SOUNDS.items():
        audio = probe_audio(folder / name)
        assert (audio.container, audio_problems(audio)) == (kind, []), name
        assert 2.5 < audio.seconds < 8, name


def test_the_committed_media_would_be_accepted_and_are_small():
    assets = EXAMPLES / "assets"
    check_fit(assets)
    files = [path for path in assets.iterdir() if path.is_file()]
    assert {path.name for path in files} == {*PICTURES, *SOUNDS, "README.md"}
    assert sum(path.stat().st_size for path in files) < 1_500_000


def test_the_script_works_without_espeak(made):
    folder, said = made
    check_fit(folder)
    assert {path.name for path in folder.iterdir()} == {*PICTURES, *SOUNDS}
    assert said.count("by the built-in synthesiser") == len(SOUNDS)


@pytest.mark.parametrize("name", PICTURES)
def test_the_committed_portraits_are_what_the_script_draws(made, name):
    with Image.open(made[0] / name) as new, Image.open(EXAMPLES / "assets" / name) as old:
        difference = np.asarray(new.convert("RGB"), np.int16) - np.asarray(old.convert("RGB"), np.int16)
    assert np.abs(difference).mean() < 3  # of 255: encoders differ a little from release to release


@pytest.mark.parametrize("name", SOUNDS)
def test_the_recordings_are_loud_and_not_clipped(name):
    loudest = _loudest(EXAMPLES / "assets" / name)
    assert 0.3 < loudest < 1


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="2026-11-24: espeak-ng is not installed")
def test_with_espeak_the_words_are_spoken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from studio.voice import RATE, speak

    sound, maker = speak("Thank you for your time.", voice="en-gb+m3", pitch=118)
    assert maker == "espeak-ng"
    assert 1 < len(sound) / RATE < 5
    assert 0.79 < float(np.abs(sound).max()) < 0.81


def _loudest(path: Path) -> float:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono")
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        return max(float(np.abs(frame.to_ndarray()).max()) for frame in frames)
