"""The parts of a speaking portrait by themselves: openings, blinks, breath, patches and marks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from preview_kit import PRESENTER, WELCOME, astronaut, loudness

from manifest_runner.models import Mode
from manifest_runner.sandbox.preview.breath import RUNGS, Breath, breathing, doubled, lifted
from manifest_runner.sandbox.preview.eyes import look_at_eyes
from manifest_runner.sandbox.preview.face import find_faces
from manifest_runner.sandbox.preview.lips import look_at_mouth
from manifest_runner.sandbox.preview.mouth import mouth_area, open_mouth
from manifest_runner.sandbox.preview.opening import opening_envelope, opening_of, voice_levels
from manifest_runner.sandbox.preview.overlay import Overlay
from manifest_runner.sandbox.preview.patch import cut_patch
from manifest_runner.sandbox.preview.picture import draw_marks, load_portrait, planes_of, to_frame
from manifest_runner.sandbox.preview.puppet import BLINK, Puppet, blink_times
from manifest_runner.sandbox.preview.sheet import Area

RATE = 48_000


def tone(hertz: float, seconds: float = 1.0, strength: float = 0.5) -> np.ndarray:
    at = np.arange(round(seconds * RATE)) / RATE
    return np.tile(strength * np.sin(2 * np.pi * hertz * at), (2, 1)).astype(np.float32)


def heard(samples: np.ndarray) -> np.ndarray:
    return voice_levels(iter([samples]))


def test_the_level_is_that_of_the_voice_s_band() -> None:
    assert np.allclose(heard(tone(1000)), 0.5 / np.sqrt(2), rtol=0.02)
    for hertz in (50, 100, 9000):
        assert heard(tone(hertz)).max() < 0.02


def test_levels_come_out_the_same_however_the_blocks_are_cut() -> None:
    sound = np.concatenate([tone(440), tone(900, strength=0.2)], axis=1)
    cut = [sound[:, start : start + 1152] for start in range(0, sound.shape[1], 1152)]
    assert np.array_equal(heard(sound), voice_levels(iter(cut)))


def test_silence_and_noise_that_never_is_a_voice_keep_the_mouth_closed() -> None:
    assert opening_of(np.zeros(0)).shape == (0,)
    assert not opening_of(np.full(50, 5e-5)).any()
    hum = tone(50, 4.0, strength=0.3)
    hum[:, :RATE] += tone(600)
    openings = opening_of(heard(hum))
    assert openings[5:25].min() > 0.8
    assert not openings[31:].any()


def test_openings_are_within_bounds_rise_quickly_and_fall_to_zero() -> None:
    levels = np.concatenate([np.zeros(20), np.full(20, 0.4), np.zeros(20)])
    openings = opening_of(levels)
    assert openings.shape == levels.shape
    assert 0 <= openings.min() <= openings.max() <= 1
    assert not openings[:20].any()
    assert openings[21] > 0.9
    assert 0 < openings[40] < openings[39]
    assert not openings[46:].any()


def test_openings_do_not_depend_on_how_loud_the_recording_is() -> None:
    levels = voice_levels(iter([tone(500) * np.linspace(0, 1, RATE, dtype=np.float32)]))
    assert np.allclose(opening_of(levels), opening_of(levels / 50))


def test_the_envelope_follows_real_speech() -> None:
    level = loudness(WELCOME)
    openings = opening_envelope(WELCOME, "mp3")
    assert abs(openings.size - level.size) <= 1
    both = min(openings.size, level.size)
    assert np.corrcoef(openings[:both], level[:both])[0, 1] > 0.8


def test_blinks_are_short_now_and_then_and_equal_for_equal_seeds() -> None:
    blinks = blink_times("a", 7500)
    assert np.array_equal(blinks, blink_times("a", 7500))
    assert not np.array_equal(blinks, blink_times("b", 7500))
    starts = np.flatnonzero((blinks[1:] > 0) & (blinks[:-1] == 0))
    assert (np.diff(starts) / 25).min() >= 2.4
    assert (np.diff(starts) / 25).max() <= 5.1
    assert (blinks > 0).sum() == starts.size * len(BLINK)
    assert not blink_times("a", 3).any()


def test_a_closed_mouth_is_the_portrait_itself_and_an_open_one_stays_in_its_area() -> None:
    portrait = load_portrait(PRESENTER, Mode.STD)
    pixels = np.asarray(portrait)
    mouth = look_at_mouth(portrait, *find_faces(portrait)[0].mouth, exact=False)
    area = mouth_area(mouth, portrait.size)
    here = pixels[area.top : area.bottom, area.left : area.right]
    assert np.array_equal(open_mouth(pixels, mouth, area, 0), here)
    changed = np.abs(open_mouth(pixels, mouth, area, 1).astype(int) - here).max(axis=2)
    assert changed.max() > 100
    edges = (changed[:2], changed[-2:], changed[:, :2], changed[:, -2:])
    assert max(int(edge.max()) for edge in edges) <= 2


@pytest.mark.parametrize(("path", "middle"), [(PRESENTER, (360, 457)), (astronaut(), (315, 199))])
def test_lips_are_found_more_closely_than_the_finder_has_them(path: Path, middle: tuple[int, int]) -> None:
    portrait = load_portrait(path, Mode.STD)
    mouth = look_at_mouth(portrait, *find_faces(portrait)[0].mouth, exact=False)
    assert np.hypot(*np.subtract(mouth.axes.centre, middle)) < 0.06 * mouth.axes.width
    assert mouth.teeth_show  # both smile: the lips part below the teeth that show
    assert 0.12 < float(mouth.seam_at(np.float32(0))) < 0.26


def test_eyes_that_blink_change_and_nothing_else() -> None:
    portrait = load_portrait(PRESENTER, Mode.STD)
    face = find_faces(portrait)[0]
    mouth = look_at_mouth(portrait, *face.mouth, exact=False)
    still, blinks = np.zeros(50), np.zeros(50, dtype=np.uint8)
    blinks[20:24] = BLINK
    awake = Puppet(portrait, mouth, face, openings=still, blinks=blinks * 0, watermark=False)
    blinking = Puppet(portrait, mouth, face, openings=still, blinks=blinks, watermark=False)
    for index in (19, 24):
        assert np.array_equal(awake.frame(index), blinking.frame(index))
    apart = np.abs(planes_of(awake.frame(21))[0].astype(int) - planes_of(blinking.frame(21))[0])
    rows, columns = np.nonzero(apart > 8)
    assert rows.min() > 290 and rows.max() < 385
    assert columns.min() > 240 and columns.max() < 480
    assert (apart > 60).sum() > 1000
    left, right = look_at_eyes(portrait, face.eyes)
    assert abs(left.axes.point(left.u, left.v)[1] - right.axes.point(right.u, right.v)[1]) < 6


def test_the_head_breathes_slowly_and_the_edges_of_the_picture_rest() -> None:
    frame = to_frame(np.asarray(load_portrait(PRESENTER, Mode.STD)))
    head = Area(left=240, top=200, width=240, height=360)
    breath = Breath.of(head, 370, (720, 960))
    rungs = breathing(frame, breath)
    assert len(rungs) == RUNGS
    assert np.array_equal(rungs[0], frame)
    assert 3 < breath.rise < 7
    for rung in rungs:
        luma = planes_of(rung)[0]
        assert np.array_equal(luma[-2:], planes_of(frame)[0][-2:])
    whole = round(breath.rise)
    lifted_by_hand = planes_of(frame)[0][200 + whole : 560 + whole, 240:480].astype(int)
    assert np.abs(planes_of(rungs[-1])[0][200:560, 240:480] - lifted_by_hand).mean() < 1
    assert [breath.rung_at(seconds) for seconds in (0, 2.1, 4.2)] == [0, RUNGS - 1, 0]


def test_rows_between_rows_leave_the_rows_alone() -> None:
    plane = np.random.default_rng(1).integers(0, 256, (20, 8), dtype=np.uint8)
    twice = doubled(plane)
    assert np.array_equal(twice[0::2], plane)
    assert np.array_equal(lifted(twice, 0, 3, 5), plane[3:8])
    assert np.array_equal(lifted(twice, 2, 3, 5), plane[5:10])


@pytest.mark.parametrize("top", [0, 300, 800])
def test_a_patch_fits_what_is_around_it_at_any_height(top: int) -> None:
    portrait = load_portrait(PRESENTER, Mode.STD)
    pixels = np.asarray(portrait)
    area = Area(left=100, top=top, width=200, height=160)
    breath = Breath.of(Area(left=60, top=max(0, top - 20), width=300, height=200), 300, portrait.size)
    unchanged = pixels[area.top : area.bottom, area.left : area.right]
    patch = cut_patch(pixels, area, unchanged, breath.reach)
    nothing = Overlay.of(draw_marks(portrait.size, watermark=False, meter=False))
    for index, rung in enumerate(breathing(to_frame(pixels), breath)):
        for number, plane in enumerate(planes_of(rung)):
            plane[:] = nothing.over(plane, number)
        laid = rung.copy()
        patch.lay(laid, nothing, breath.lift(index))
        assert np.abs(laid.astype(int) - rung).max() <= 1


def test_marks_lie_over_the_moving_mouth_and_do_not_move() -> None:
    portrait = load_portrait(astronaut(), Mode.STD)
    face = find_faces(portrait)[0]
    mouth = look_at_mouth(portrait, *face.mouth, exact=False)
    openings = np.linspace(0, 1, 60)
    options = {"openings": openings, "blinks": np.zeros(60, dtype=np.uint8)}
    plain, marked = (
        Puppet(portrait, mouth, face, watermark=watermark, **options) for watermark in (False, True)
    )
    alpha = np.asarray(draw_marks(portrait.size, watermark=True, meter=False).getchannel("A"))
    area = mouth_area(mouth, portrait.size)
    here = (slice(area.top, area.bottom), slice(area.left, area.right))
    assert (alpha[here] > 60).any()
    for index in (0, 30, 59):
        apart = planes_of(marked.frame(index))[0][here].astype(int) - planes_of(plain.frame(index))[0][here]
        assert np.abs(apart[alpha[here] == 0]).max() == 0
        assert apart[alpha[here] > 60].mean() > 20
