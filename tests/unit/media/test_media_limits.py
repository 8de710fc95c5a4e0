from __future__ import annotations

from decimal import Decimal

import pytest

from manifest_runner.media import AudioFacts, ImageFacts, audio_problems, image_problems


def image(kind: str = "png", width: int = 720, height: int = 960, size: int = 200_000) -> ImageFacts:
    return ImageFacts(format=kind, width=width, height=height, bytes=size, sha256="0" * 64)


def audio(
    container: str = "mp3", codec: str = "mp3", seconds: str = "11.3", size: int = 90_000
) -> AudioFacts:
    return AudioFacts(
        container=container,
        codec=codec,
        seconds=Decimal(seconds),
        channels=1,
        sample_rate=44_100,
        bytes=size,
        sha256="0" * 64,
    )


@pytest.mark.parametrize(
    "facts",
    [
        image(),
        image("jpeg"),
        image(size=10_000_000),
        image(width=300, height=300),
        image(width=300, height=750),
        image(width=750, height=300),
        image(width=301, height=752),
    ],
)
def test_pictures_at_the_edges_are_taken(facts):
    assert image_problems(facts) == []


@pytest.mark.parametrize(
    ("facts", "found", "way_out"),
    [
        (image("webp"), "WEBP", "JPEG or PNG"),
        (image(size=10_000_001), "10.0 MB", "JPEG"),
        (image(width=299, height=300), "299 x 300", "larger original"),
        (image(width=300, height=299), "300 x 299", "larger original"),
        (image(width=300, height=751), "300 x 751", "Crop the longer side to 750 pixels"),
        (image(width=753, height=301), "753 x 301", "Crop the longer side to 752 pixels"),
    ],
)
def test_pictures_beyond_an_edge_are_told_the_figure_and_a_way_out(facts, found, way_out):
    [(what, mend, kind)] = image_problems(facts)
    assert found in what
    assert way_out in mend
    assert kind.startswith("image ")


def test_everything_wrong_with_a_picture_is_said_at_once():
    assert len(image_problems(image("gif", width=200, height=900, size=11_000_000))) == 4


@pytest.mark.parametrize(
    "facts",
    [
        audio(),
        audio("wav", "pcm_s16le"),
        audio("wav", "pcm_f32le"),
        audio("m4a", "aac"),
        audio("m4a", "alac"),
        audio("aac", "aac"),
        audio(seconds="2"),
        audio(seconds="300"),
        audio(size=5_000_000),
    ],
)
def test_recordings_at_the_edges_are_taken(facts):
    assert audio_problems(facts) == []


@pytest.mark.parametrize(
    ("facts", "found", "way_out"),
    [
        (audio("ogg", "opus"), "opus sound in a ogg file", "MP3"),
        (audio("flac", "flac"), "flac", "MP3"),
        (audio("wav", "mp3"), "mp3 sound in a wav file", "MP3"),
        (audio("m4a", "mp3"), "mp3 sound in a m4a file", "MP3"),
        (audio("matroska", "aac"), "matroska", "MP3"),
        (audio(size=5_000_001), "5.0 MB", "128 kbit/s"),
        (audio(seconds="1.999"), "lasts 1.999 s", "longer recording"),
        (audio(seconds="1.000"), "lasts 1 s", "longer recording"),
        (audio(seconds="300.001"), "more than 300 s", "Cut it"),
    ],
)
def test_recordings_beyond_an_edge_are_told_the_figure_and_a_way_out(facts, found, way_out):
    [(what, mend, kind)] = audio_problems(facts)
    assert found in what
    assert way_out in mend
    assert kind.startswith("recording ")


def test_everything_wrong_with_a_recording_is_said_at_once():
    assert len(audio_problems(audio("ogg", "vorbis", "301.4", 6_000_000))) == 3


def test_files_of_the_same_fault_are_of_one_kind_whatever_their_figures():
    small = [image_problems(image(width=side, height=side)) for side in (10, 150, 299)]
    assert {found.kind for [found] in small} == {"image smaller than 300 px"}
    short = [audio_problems(audio(seconds=seconds)) for seconds in ("0.1", "1.9")]
    assert {found.kind for [found] in short} == {"recording shorter than 2 s"}
