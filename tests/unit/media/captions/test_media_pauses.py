"""Pauses in the sound of a fetched video."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from spoken_kit import RATE, silence, voice, write_mp4

from manifest_runner.errors import MediaError
from manifest_runner.media.captions import pauses
from manifest_runner.media.captions.pauses import Pause, Sound, find_pauses, measure_levels, sound_of

PLAN = [
    (0.4, False),
    (1.5, True),
    (0.3, False),
    (2.0, True),
    (0.14, False),
    (1.0, True),
    (0.05, False),
    (1.0, True),
]


def spoken(*, noise: float = 0, level: float = 0.3, rate: int = RATE) -> np.ndarray:
    parts = [
        voice(seconds, level=level, rate=rate) if loud else silence(seconds, rate=rate)
        for seconds, loud in PLAN
    ]
    samples = np.concatenate([*parts, silence(0.6, rate=rate)])
    return samples + np.random.default_rng(1).standard_normal(len(samples)) * noise


def near(value: float) -> object:
    return pytest.approx(value, abs=0.04)


@pytest.mark.parametrize(
    ("noise", "level", "rate", "layout"),
    [
        (0, 0.3, 24_000, "mono"),
        (0, 0.3, 48_000, "stereo"),
        (0, 0.01, 24_000, "mono"),
        (0.003, 0.3, 44_100, "stereo"),
        (0.02, 0.3, 24_000, "mono"),
        (0, 1.0, 16_000, "mono"),
    ],
)
def test_pauses_are_found_however_loud_the_voice_and_the_room(
    noise: float, level: float, rate: int, layout: str, tmp_path: Path
) -> None:
    path = write_mp4(
        tmp_path / "a.mp4", spoken(noise=noise, level=level, rate=rate), rate=rate, layout=layout
    )
    sound = find_pauses(path)
    assert sound.seconds == pytest.approx(7.0, abs=0.1)
    assert (sound.begins, sound.ends) == (near(0.4), near(6.39))
    first, second = sound.pauses  # 50 ms are none
    assert (first.start, first.end) == (near(1.9), near(2.2))
    assert (second.start, second.end) == (near(4.2), near(4.34))
    assert first.seconds == near(0.3)


def test_silence_and_a_steady_hum_have_no_pauses(tmp_path: Path) -> None:
    quiet = find_pauses(write_mp4(tmp_path / "quiet.mp4", silence(3)))
    assert (quiet.begins, quiet.ends, quiet.pauses) == (0, 0, ())
    assert quiet.seconds == pytest.approx(3, abs=0.1)
    hum = find_pauses(write_mp4(tmp_path / "hum.mp4", voice(3)))
    assert (hum.begins, hum.pauses) == (near(0), ())
    assert hum.ends == pytest.approx(3, abs=0.1)


def test_a_click_does_not_part_a_pause() -> None:
    levels = np.full(400, -20.0)
    levels[100:160] = -90
    levels[130:132] = -20
    assert sound_of(levels).pauses == (Pause(1.0, 1.6),)


def test_levels_are_those_of_full_scale_whatever_the_samples_hold() -> None:
    full = np.ones(pauses.WINDOW, np.float32)
    odd = np.full(pauses.WINDOW, np.nan, np.float32)
    huge = np.full(pauses.WINDOW, np.inf, np.float32)
    levels = measure_levels(iter([full, odd[:50], odd[50:], huge, full[:80]]))
    assert levels == pytest.approx([0, -100, 0], abs=0.01)
    assert measure_levels(iter([])).shape == (0,)


def test_what_has_no_sound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no sound"):
        find_pauses(write_mp4(tmp_path / "a.mp4", None))


def test_what_is_no_whole_video_is_refused(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "a.mp4", voice(2))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MediaError, match="cut short"):
        find_pauses(path)
    path.write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(MediaError):
        find_pauses(path)


def test_an_index_that_claims_absurd_things_is_refused(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "a.mp4", voice(2))
    data = bytearray(path.read_bytes())
    place = data.rindex(b"stsz") + 12
    data[place : place + 4] = (200_000_000).to_bytes(4)
    path.write_bytes(data)
    with pytest.raises(MediaError, match="claims"):
        find_pauses(path)


def test_damage_ends_in_a_sound_or_in_our_own_error(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "a.mp4", spoken())
    data = path.read_bytes()
    chance = random.Random(4)
    heard = 0
    for _ in range(60):
        hurt = bytearray(data)
        where = chance.choice([data.index(b"mdat") + 4, data.index(b"moov") + 4])
        for _ in range(chance.choice([1, 5, 50])):
            hurt[chance.randrange(where, min(len(data), where + 20_000))] = chance.randrange(256)
        path.write_bytes(hurt)
        try:
            sound = find_pauses(path)
        except MediaError:
            continue
        heard += 1
        check(sound)
    assert heard


def test_a_damaged_packet_leaves_the_rest_in_its_place(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "a.mp4", spoken())
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    middle = start + (data.index(b"moov") - start) // 2
    data[middle : middle + 300] = bytes(300)
    path.write_bytes(data)
    assert find_pauses(path).ends == near(6.39)


def test_listening_ends_a_little_after_the_longest_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "LONGEST", 3)
    assert find_pauses(write_mp4(tmp_path / "a.mp4", spoken())).seconds == pytest.approx(3, abs=0.1)


def check(sound: Sound) -> None:
    """What holds for any sound."""
    assert 0 <= sound.begins <= sound.ends <= sound.seconds
    moments = [
        sound.begins,
        *(moment for pause in sound.pauses for moment in (pause.start, pause.end)),
        sound.ends,
    ]
    if sound.ends:
        assert moments == sorted(set(moments))
