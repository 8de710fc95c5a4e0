from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.fit import recipes as fitting
from manifest_runner.media.fit.geometry import MAX_SIDE, canvas_around, least_short_side, within_largest
from manifest_runner.media.fit.recipes import audio_fitting, image_fitting
from manifest_runner.media.limits import AUDIO_MAX_BYTES, audio_problems, image_problems
from manifest_runner.media.room import DECODING_ROOM, jpeg_fraction
from manifest_runner.models import Fit, FitMode, Pad

AUTO = Fit()
OFF = Fit(mode=FitMode.OFF)


def image(kind="jpeg", width=720, height=960, size=200_000, **rest):
    return ImageFacts(format=kind, width=width, height=height, bytes=size, sha256="0" * 64, **rest)


def audio(container="mp3", codec="mp3", seconds="11.3", size=90_000, channels=1, rate=44_100):
    return AudioFacts(
        container=container,
        codec=codec,
        seconds=Decimal(seconds),
        channels=channels,
        sample_rate=rate,
        bytes=size,
        sha256="0" * 64,
    )


@pytest.mark.parametrize(
    "facts",
    [
        image(),
        image("png"),
        image("png", colours="RGBA", transparent=True),
        image("png", colours="L"),
        image("png", colours="LA", transparent=True),
        image(size=10_000_000),
        image(width=300, height=750),
        image(width=4096, height=4096),
    ],
)
def test_a_picture_that_fits_goes_as_it_is(facts):
    assert image_fitting(facts, AUTO) == (None, [])


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (image(orientation=6), "turned upright"),
        (image("webp"), "WebP to JPEG"),
        (image("avif"), "AVIF to JPEG"),
        (image("heif"), "HEIC to JPEG"),
        (image("bmp"), "BMP to JPEG"),
        (image("tiff", colours="CMYK"), "TIFF to JPEG, CMYK to RGB"),
        (
            image("gif", colours="P", frames=2),
            "the first of its pictures, GIF to JPEG, palette to full colours",
        ),
        (image("png", colours="P", transparent=True), "palette to full colours"),
        (image("png", colours="I;16", bits=16), "PNG to JPEG, 16-bit to 8-bit"),
        (image("png", bits=16), "PNG to JPEG, 16-bit to 8-bit"),
        (image("webp", colours="RGBA", transparent=True), "WebP to PNG"),
        (image(size=10_000_001), "saved in less than 10 MB"),
        (image(width=5000, height=2000), "scaled from 5000 x 2000 to 4096 x 1639"),
        (
            image("heif", width=4284, height=5712),
            "HEIC to JPEG, scaled from 4284 x 5712 to 3072 x 4096",
        ),
    ],
)
def test_what_is_done_to_a_picture_is_said_in_words(facts, words):
    recipe, objections = image_fitting(facts, AUTO)
    assert (recipe.what, objections) == (words, [])


def test_a_recipe_can_be_a_key_and_is_the_same_for_the_same_facts():
    facts = image("webp")
    assert len({image_fitting(facts, AUTO)[0], image_fitting(facts, AUTO)[0]}) == 1
    facts = audio("ogg", "opus")
    assert len({audio_fitting(facts, AUTO)[0], audio_fitting(facts, AUTO)[0]}) == 1


def test_a_turned_picture_is_wanted_upright():
    recipe, _ = image_fitting(image(width=6048, height=8064, orientation=6), AUTO)
    assert (recipe.width, recipe.height) == (3072, 4096)
    assert (recipe.stored, recipe.source, recipe.turn) == ((8064, 6048), (6048, 8064), 6)


@pytest.mark.parametrize("kind", ["tiff", "heif"])
def test_a_picture_that_its_decoder_turns_is_not_turned_twice(kind):
    recipe, _ = image_fitting(image(kind, width=400, height=600, orientation=6), AUTO)
    assert (recipe.turn, recipe.stored) == (1, (400, 600))


@pytest.mark.parametrize("fit", [AUTO, Fit(pad=Pad.BLUR)])
def test_a_small_picture_is_refused_whatever_the_wishes(fit):
    [found] = image_fitting(image(width=299, height=700), fit)[1]
    assert found.kind == "image smaller than 300 px"
    assert "299 x 700" in found.what


def test_a_long_picture_is_refused_with_the_way_out():
    recipe, [found] = image_fitting(image(width=1600, height=400), AUTO)
    assert recipe is None
    assert "Crop the longer side to 1000 pixels or less, or set `fit.pad: blur`" in found.mend
    assert found.kind


@pytest.mark.parametrize("pad", Pad)
def test_a_long_picture_gets_sides_where_they_are_wished(pad):
    recipe, objections = image_fitting(image(width=1600, height=400), Fit(pad=pad))
    assert not objections
    assert (recipe.width, recipe.height, recipe.picture) == (1600, 640, (1600, 400))
    assert recipe.what == f"sides added to 1600 x 640 ({pad})"


def test_sides_are_added_to_nothing_else():
    recipe, _ = image_fitting(image("webp"), Fit(pad=Pad.BLUR))
    assert recipe.pad is None
    assert image_fitting(image(), Fit(pad=Pad.BLUR)) == (None, [])


def test_everything_that_can_t_be_mended_is_said_at_once():
    found = image_fitting(image("jp2", width=200, height=900), AUTO)[1]
    assert len(found) == 3
    assert len({one.kind for one in found}) == 3


@pytest.mark.parametrize(
    ("kind", "width", "height"),
    [
        ("png", 8000, 8001),
        ("webp", 5000, 5000),
        ("avif", 6000, 6000),
        ("tiff", 7000, 7000),
        ("heif", 9000, 9000),
    ],
)
def test_what_decoding_has_no_room_for_is_refused(kind, width, height):
    recipe, [found] = image_fitting(image(kind, width, height), AUTO)
    assert recipe is None
    assert found.kind == "image with too many pixels"


@pytest.mark.parametrize(
    ("kind", "width", "height"),
    [
        ("jpeg", 8191, 8191),
        ("jpeg", 8064, 6048),
        ("heif", 8064, 6048),
        ("png", 8000, 8000),
        ("webp", 4500, 4500),
    ],
)
def test_what_cameras_and_scanners_make_has_room(kind, width, height):
    recipe, objections = image_fitting(image(kind, width, height), AUTO)
    assert not objections
    assert recipe.room <= DECODING_ROOM


def test_heic_without_the_extra_is_refused_with_the_ways_out(monkeypatch):
    monkeypatch.setattr(fitting, "find_spec", lambda name: None)
    recipe, [found] = image_fitting(image("heif"), AUTO)
    assert recipe is None
    assert "manifest-runner[heic]" in found.mend
    assert "JPEG" in found.mend


@pytest.mark.parametrize("facts", [image(), image("webp", 200, 900), image(orientation=6)])
def test_with_fit_off_a_picture_is_judged_as_the_service_would(facts):
    assert image_fitting(facts, OFF) == (None, image_problems(facts))


@pytest.mark.parametrize("facts", [audio(), audio("ogg", "opus", "301"), audio(seconds="1")])
def test_with_fit_off_a_recording_is_judged_as_the_service_would(facts):
    assert audio_fitting(facts, OFF) == (None, audio_problems(facts))


sides = st.integers(300, 20_000)


@given(sides, sides)
def test_no_rounding_makes_a_picture_longer_than_is_taken(width, height):
    if max(width, height) > 2.5 * min(width, height):
        picture = within_largest((width, height))
        width, height = canvas_around(picture)
        assert width >= picture[0] and height >= picture[1]
    else:
        width, height = within_largest((width, height))
    assert max(width, height) <= MAX_SIDE
    assert max(width, height) <= 2.5 * min(width, height)


@given(sides, sides, st.integers(300, 4000))
def test_a_side_keeps_its_proportion(width, height, long):
    exact = min(width, height) * long / max(width, height)
    assert exact <= least_short_side(long, (width, height)) < exact + 1.001


@given(sides, sides)
def test_a_fraction_of_a_jpeg_is_never_smaller_than_what_is_wanted_of_it(width, height):
    picture = within_largest((width, height))
    fraction = jpeg_fraction((width, height), picture)
    assert width / fraction >= picture[0] and height / fraction >= picture[1]


@pytest.mark.parametrize(
    "facts",
    [
        audio(),
        audio("wav", "pcm_f32le"),
        audio("wav", "pcm_mulaw"),
        audio("m4a", "alac"),
        audio("aac", "aac"),
        audio(seconds="2"),
        audio(seconds="300"),
        audio(size=5_000_000),
    ],
)
@pytest.mark.parametrize("fit", [AUTO, Fit(trim=True)])
def test_a_recording_that_fits_is_never_made_anew(facts, fit):
    assert audio_fitting(facts, fit) == (None, [])


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (audio("wav", "pcm_s16le", "60", 11_000_000, 2, 48_000), "WAV to MP3, 320 kbit/s stereo"),
        (audio("wav", "pcm_s24le", "200", 28_000_000, 1, 48_000), "WAV to MP3, 192 kbit/s mono"),
        (audio("ogg", "opus"), "Ogg (opus) to MP3, 320 kbit/s mono"),
        (audio("matroska", "aac", channels=6), "Matroska to MP3, 320 kbit/s stereo"),
        (audio("asf", "wmav2"), "WMA to MP3, 320 kbit/s mono"),
        (audio("m4a", "mp3"), "M4A (mp3) to MP3, 320 kbit/s mono"),
        (
            audio(seconds="1.200"),
            "MP3 made anew, 320 kbit/s mono, padded with silence from 1.2 s to 2 s",
        ),
    ],
)
def test_what_is_done_to_a_recording_is_said_in_words(facts, words):
    recipe, objections = audio_fitting(facts, AUTO)
    assert (recipe.what, objections) == (words, [])


@pytest.mark.parametrize(
    ("seconds", "kbps"),
    [
        ("2", 320),
        ("120", 320),
        ("125", 256),
        ("155", 256),
        ("160", 224),
        ("200", 192),
        ("248", 160),
        ("300", 128),
    ],
)
def test_the_bit_rate_is_the_highest_that_fits(seconds, kbps):
    recipe, _ = audio_fitting(audio("ogg", "opus", seconds), AUTO)
    assert recipe.kbps == kbps


@given(st.decimals(2, 300, places=3))
def test_no_bit_rate_passes_the_limit(seconds):
    recipe, _ = audio_fitting(audio("ogg", "opus", str(seconds)), AUTO)
    assert recipe.kbps * 125 * seconds < AUDIO_MAX_BYTES


@pytest.mark.parametrize(
    ("rate", "wanted"),
    [
        (8_000, 48_000),
        (11_025, 44_100),
        (22_050, 44_100),
        (44_100, 44_100),
        (88_200, 44_100),
        (96_000, 48_000),
    ],
)
def test_sample_rates_stay_in_their_family(rate, wanted):
    assert audio_fitting(audio("ogg", "vorbis", rate=rate), AUTO)[0].sample_rate == wanted


def test_a_long_recording_is_refused_with_three_ways_out():
    recipe, [found] = audio_fitting(audio("ogg", "opus", "301"), AUTO)
    assert recipe is None
    for way in ("Shorten it", "a job each", "`fit.trim: true`"):
        assert way in found.mend
    assert found.kind == "recording longer than 300 s"


def test_a_long_recording_is_cut_where_that_is_wished():
    recipe, objections = audio_fitting(audio(seconds="301"), Fit(trim=True))
    assert not objections
    assert recipe.cut
    assert recipe.seconds <= 300
    assert recipe.what == "MP3 made anew, 128 kbit/s mono, cut after 299.9 s"


def test_a_recording_of_nothing_is_refused():
    recipe, [found] = audio_fitting(audio(seconds="0"), AUTO)
    assert recipe is None
    assert found.kind == "recording without sound"
