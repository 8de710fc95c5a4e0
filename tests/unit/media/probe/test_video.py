"""What passes for a fetched video: whole files made on the spot, and every way in which one can be less than that."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from manifest_runner.errors import MediaError
from manifest_runner.media import probe_video

RATE, SOUND_RATE = 10, 16_000
WIDTH, HEIGHT = 96, 64
FRAMES = 12


def record(path: Path, *, index_first: bool = False, picture: bool = True, sound: bool = True) -> Path:
    """A real MP4 of 1.2 s. `index_first` puts the moov box before the mdat box."""
    options = {"movflags": "+faststart"} if index_first else {}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        video = audio = None
        if picture:
            video = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
            video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if sound:
            audio = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        noise = np.random.default_rng(3)
        for number in range(FRAMES):
            if video is not None:
                pixels = noise.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
                image = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                image.pts, image.time_base = number, Fraction(1, RATE)
                container.mux(video.encode(image))
            if audio is not None:
                count = SOUND_RATE // RATE
                tone = np.array([[math.sin(n / 9) for n in range(count)]], dtype=np.float32)
                heard = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                heard.sample_rate, heard.pts = SOUND_RATE, number * count
                heard.time_base = Fraction(1, SOUND_RATE)
                container.mux(audio.encode(heard))
        for stream in (video, audio):
            if stream is not None:
                container.mux(stream.encode(None))
    return path


def boxes(data: bytes) -> dict[str, tuple[int, int]]:
    """Where each top-level box starts and ends."""
    found, position = {}, 0
    while position < len(data):
        length = int.from_bytes(data[position : position + 4])
        found[data[position + 4 : position + 8].decode()] = (position, position + length)
        position += length
    return found


def without(data: bytes, kind: str) -> bytes:
    start, end = boxes(data)[kind]
    return data[:start] + data[end:]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("videos")
    return {
        "index last": record(folder / "last.mp4").read_bytes(),
        "index first": record(folder / "first.mp4", index_first=True).read_bytes(),
        "silent": record(folder / "silent.mp4", sound=False).read_bytes(),
        "no picture": record(folder / "sound.mp4", picture=False).read_bytes(),
    }


def probe(folder: Path, data: bytes):
    path = folder / "fetched.part"
    path.write_bytes(data)
    return probe_video(path)


def test_the_samples_are_laid_out_as_they_are_called(samples):
    assert list(boxes(samples["index last"])) == ["ftyp", "free", "mdat", "moov"]
    assert list(boxes(samples["index first"])) == ["ftyp", "moov", "free", "mdat"]


@pytest.mark.parametrize(
    ("kind", "has_sound"), [("index last", True), ("index first", True), ("silent", False)]
)
def test_a_whole_file(samples, tmp_path, kind, has_sound):
    facts = probe(tmp_path, samples[kind])
    assert (facts.seconds, facts.width, facts.height) == (Decimal("1.200"), WIDTH, HEIGHT)
    assert (facts.has_sound, facts.bytes) == (has_sound, len(samples[kind]))


@pytest.mark.parametrize("kind", ["index last", "index first"])
@pytest.mark.parametrize("part", [0.001, 0.02, 0.1, 0.3, 0.5, 0.9, 0.99])
def test_a_file_cut_anywhere(samples, tmp_path, kind, part):
    data = samples[kind]
    with pytest.raises(MediaError, match="cut short"):
        probe(tmp_path, data[: max(1, int(len(data) * part))])


@pytest.mark.parametrize("kind", ["index last", "index first"])
def test_a_file_without_its_last_byte(samples, tmp_path, kind):
    with pytest.raises(MediaError, match="cut short"):
        probe(tmp_path, samples[kind][:-1])


def test_a_cut_file_that_a_player_would_open(samples, tmp_path):
    """With the index in front FFmpeg shows what is there; only the boxes tell that the rest is missing."""
    data = samples["index first"]
    start, end = boxes(data)["mdat"]
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: start + (end - start) // 2])
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).width == WIDTH
    with pytest.raises(MediaError, match=f"a box at byte {start} does not fit"):
        probe_video(path)


@pytest.mark.parametrize(
    ("kind", "end_of", "missing"),
    [
        ("index first", "ftyp", "mdat, moov"),
        ("index first", "moov", "mdat"),
        ("index last", "free", "mdat, moov"),
        ("index last", "mdat", "moov"),
    ],
)
def test_a_file_cut_between_two_boxes(samples, tmp_path, kind, end_of, missing):
    data = samples[kind]
    with pytest.raises(MediaError, match=f"{missing} is missing"):
        probe(tmp_path, data[: boxes(data)[end_of][1]])


@pytest.mark.parametrize("kind", ["moov", "mdat"])
def test_a_file_that_lacks_a_box(samples, tmp_path, kind):
    with pytest.raises(MediaError, match=f"no whole MP4: {kind} is missing"):
        probe(tmp_path, without(samples["index first"], kind))


@pytest.mark.parametrize(
    "data",
    [
        b"The link has run out. Ask for a new one.\n",
        b"<!DOCTYPE html><html><body>403 Forbidden</body></html>",
        b'{"code": 1000, "message": "signature does not match"}',
        bytes(64),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
    ],
    ids=["text", "html", "json", "zeros", "png"],
)
def test_something_else_under_a_videos_name(tmp_path, data):
    with pytest.raises(MediaError, match="does not start like one"):
        probe(tmp_path, data)


def test_an_empty_file(tmp_path):
    with pytest.raises(MediaError, match="ftyp, mdat, moov is missing"):
        probe(tmp_path, b"")


def test_a_file_of_sound_alone(samples, tmp_path):
    with pytest.raises(MediaError, match="holds no picture"):
        probe(tmp_path, samples["no picture"])


def test_more_than_the_file_at_the_end(samples, tmp_path):
    """Two answers one behind the other, or a gateway's words after the video."""
    with pytest.raises(MediaError, match="cut short"):
        probe(tmp_path, samples["index first"] + b"Proxy error: upstream closed")


def test_less_than_a_box_at_the_end(samples, tmp_path):
    data = samples["index first"]
    with pytest.raises(MediaError, match=f"ends inside a box header at byte {len(data)}"):
        probe(tmp_path, data + b"\x00\x00\x00")


def test_a_file_that_does_not_say_how_long_it_is(samples, tmp_path):
    data = samples["silent"]
    duration = (
        data.index(b"mdhd") + 20
    )  # in the media header: version and flags, two times, time scale, duration
    with pytest.raises(MediaError, match="does not say how long"):
        probe(tmp_path, data[:duration] + bytes(4) + data[duration + 4 :])


@pytest.mark.parametrize("kind", ["moov", "mdat"])
def test_boxes_of_the_right_size_with_nothing_sensible_in_them(samples, tmp_path, kind):
    data = samples["index first"]
    start, end = boxes(data)[kind]
    with pytest.raises(MediaError):
        probe(tmp_path, data[: start + 8] + b"\xff" * (end - start - 8) + data[end:])


def test_a_last_box_that_leaves_its_length_open(samples, tmp_path):
    data = samples["index first"]
    start, _ = boxes(data)["mdat"]
    assert probe(tmp_path, data[:start] + bytes(4) + data[start + 4 :]).seconds == Decimal("1.200")


def long_box(data: bytes, length: int | None = None) -> bytes:
    """The same file with a 64-bit length on its mdat box, which takes the room of the free box before it."""
    start, _ = boxes(data)["free"]
    _, end = boxes(data)["mdat"]
    stated = (end - start if length is None else length).to_bytes(8)
    return data[:start] + (1).to_bytes(4) + b"mdat" + stated + data[start + 16 :]


def test_a_box_with_a_long_length(samples, tmp_path):
    assert probe(tmp_path, long_box(samples["index last"])).seconds == Decimal("1.200")


@pytest.mark.parametrize("length", [0, 7, 2**40, 2**64 - 1])
def test_a_box_with_an_absurd_long_length(samples, tmp_path, length):
    with pytest.raises(MediaError, match="does not fit"):
        probe(tmp_path, long_box(samples["index last"], length))


@pytest.mark.parametrize("length", [2, 7])
def test_a_box_shorter_than_its_own_header(samples, tmp_path, length):
    """A walk that goes by such lengths would hardly move, or not at all."""
    data = samples["index first"]
    start, _ = boxes(data)["moov"]
    with pytest.raises(MediaError, match=f"box at byte {start} does not fit"):
        probe(tmp_path, data[:start] + length.to_bytes(4) + data[start + 4 :])
