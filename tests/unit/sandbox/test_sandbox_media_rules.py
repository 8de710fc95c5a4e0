from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from sandbox_kit import base64_text, picture, recording

from manifest_runner.sandbox import media_rules
from manifest_runner.sandbox.media_rules import check_audio, check_duration, check_image, from_base64
from manifest_runner.sandbox.refusals import Refusal
from manifest_runner.sandbox.sound import BadRecording, level_envelope, measure, pcm_blocks, sniff_format


def png_header(width: int, height: int) -> bytes:
    """A PNG that only claims its size."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + body
        + struct.pack(">I", zlib.crc32(body))
        + b"\0\0\0\x10IDAT"
    )


MEASURED = """
import re, sys
from pathlib import Path
from manifest_runner.sandbox.media_rules import check_image
data = sys.stdin.buffer.read()
def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

before = peak()
check_image("image", data)
print(peak() - before)
"""


def film() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        sound = container.add_stream("aac", rate=24_000, layout="mono")
        for index in range(75):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 72_000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 24_000
        container.mux(sound.encode(frame))
        container.mux(video.encode(None) + sound.encode(None))
    return file.getvalue()


GIF = io.BytesIO()
Image.new("P", (400, 400)).save(GIF, "GIF")

BAD_IMAGES = [
    (picture(299, 400), "299 x 400"),
    (picture(400, 299, "JPEG"), "400 x 299"),
    (picture(300, 751), "aspect"),
    (picture(751, 300), "aspect"),
    (GIF.getvalue(), "no jpeg or png"),
    (b"this is text named portrait.png", "no jpeg or png"),
    (b"", "no jpeg or png"),
    (picture()[:-300], "cut short"),
    (picture(kind="JPEG")[:-2000], "cut short"),
    (png_header(60_000, 60_000), "too many pixels"),
    (png_header(9000, 9000), "too many pixels"),
    (png_header(7072, 7072), "too many pixels"),
]


@pytest.mark.parametrize(("data", "said"), BAD_IMAGES)
def test_a_picture_that_breaks_a_rule_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(Refusal, match=said) as caught:
        check_image("image", data)
    assert caught.value.code == 1201
    assert "image" in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        picture(300, 300),
        picture(300, 750),
        picture(750, 300, "JPEG"),
        picture(320, 320, "MPO", save_all=True, append_images=[Image.new("RGB", (320, 320))]),
    ],
    ids=["smallest", "tallest", "widest", "a phone's jpeg of several pictures"],
)
def test_a_picture_at_the_edge_of_the_rules_is_taken(data: bytes) -> None:
    check_image("image", data)


def noise_jpeg(**options: object) -> bytes:
    file = io.BytesIO()
    values = np.random.default_rng(3).integers(0, 256, (360, 400, 3), np.uint8)
    Image.fromarray(values).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "restart_marker_rows": 1}])
def test_a_jpeg_is_decoded_to_its_last_row_though_small(options: dict[str, object]) -> None:
    data = noise_jpeg(**options)
    check_image("image", data)
    # The end marker's, the last row's, half of it, nearly all of it.
    for missing in (3, 200, 2000, len(data) // 2, len(data) - 700):
        with pytest.raises(Refusal, match="cut short"):
            check_image("image", data[:-missing])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="2026-11-25: the peak is read there")
def test_a_large_jpeg_takes_no_large_memory() -> None:
    file = io.BytesIO()
    Image.new("RGB", (8000, 7900), (90, 120, 150)).save(file, "JPEG")
    reply = subprocess.run(
        [sys.executable, "-c", MEASURED], input=file.getvalue(), capture_output=True, check=True
    )
    assert int(reply.stdout) < 60_000  # KB; decoded whole, it has 190 MB


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = [0], [0]
    load = Image.Image.load

    def counted(self: Image.Image) -> object:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.05)
        running[0] -= 1
        return load(self)

    monkeypatch.setattr(media_rules, "BIG", 1)
    monkeypatch.setattr(PngImageFile, "load", counted)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: check_image("image", picture()), range(4)))
    assert most == [1]


BAD_RECORDINGS = [
    (recording(1.9), "lasts 1.900 s"),
    (recording(301, rate=4000), "more than 300 s"),
    (recording(301, "mp3", rate=8000), "more than 300 s"),
    (b"this is text named voice.mp3", "no mp3, wav, m4a or aac"),
    (b"", "no mp3"),
    (b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n", "no mp3"),
    (b"ID3\x04\x00\x00\x00\x00\x00\x05junk!", "can't be decoded|no sound"),
    (recording(3, "m4a")[:3000], "can't be decoded|no sound"),
    (b"RIFF\x24\x00\x00\x00WAVEfmt ", "can't be decoded"),
    (film(), "is a video"),
]


@pytest.mark.parametrize(("data", "said"), BAD_RECORDINGS)
def test_a_recording_that_breaks_a_rule_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(Refusal, match=said) as caught:
        check_audio("sound_file", data)
    assert caught.value.code == 1201


@pytest.mark.parametrize("kind", ["wav", "mp3", "m4a", "aac"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_the_length_is_measured_on_the_sound_itself(kind: str, rate: int) -> None:
    facts = check_audio("sound_file", recording(3.3, kind, rate=rate))
    assert facts.format == kind
    assert abs(facts.seconds - Decimal("3.3")) < Decimal("0.1")


def test_exactly_300_seconds_are_taken_with_the_padding_that_encoders_add() -> None:
    assert check_audio("sound_file", recording(300, "mp3", rate=8000)).seconds >= 300
    assert check_audio("sound_file", recording(300, rate=4000)).seconds == 300
    with pytest.raises(Refusal):
        check_audio("sound_file", recording(300.05, rate=4000))
    with pytest.raises(Refusal):
        check_duration("audio_id", Decimal("1.999"))


def test_an_album_cover_makes_no_film_of_a_recording() -> None:
    tag = b"APIC" + struct.pack(">I", 0) + b"\0\0"
    cover = b"\0image/png\0\x03\0" + picture(300, 300)
    size = len(cover)
    tag = b"APIC" + struct.pack(">I", size) + b"\0\0" + cover
    length = len(tag)
    header = b"ID3\x03\0\0" + bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))
    assert measure(header + tag + recording(2.5, "mp3"), stop_after=301).format == "mp3"


def test_a_name_is_not_believed_but_the_bytes_are() -> None:
    assert sniff_format(recording(2, "aac")) == "aac"
    assert sniff_format(b"ID3\x03\0\0\0\0\0\0" + recording(2, "aac")) == "aac"
    assert sniff_format(b"\0" * 100 + b"\xff\xfb\x90") == "mp3"
    assert sniff_format(b"OggS" + b"\0" * 60) is None


def test_a_recording_with_a_few_bad_packets_plays_and_a_ruined_one_is_refused() -> None:
    good = bytearray(recording(6, "aac"))
    scratched = bytearray(good)
    scratched[9000:9040] = b"\xaa" * 40
    assert measure(bytes(scratched), stop_after=301).seconds > 5
    ruined = bytearray(good)
    for start in range(200, len(ruined) - 100, 160):
        ruined[start : start + 60] = b"\x55" * 60
    with pytest.raises(BadRecording):
        measure(bytes(ruined), stop_after=301)


def test_a_stream_that_changes_its_rate_is_still_decoded_whole() -> None:
    data = recording(2, "aac", rate=24_000) + recording(2, "aac", rate=48_000)
    assert abs(float(measure(data, stop_after=301).seconds) - 4) < 0.2
    assert all(block.shape[0] == 2 for block in pcm_blocks(data, "aac"))


def test_the_envelope_follows_the_sound_and_leaves_silence_still(tmp_path: Path) -> None:
    path = tmp_path / "sound"
    path.write_bytes(recording(4, quiet_from=2))
    levels = level_envelope(path, "wav")
    assert levels.shape == (100,)
    assert levels[:45].max() > 0.8
    assert levels[75:].max() < 0.05
    path.write_bytes(recording(2, quiet_from=0))
    assert not level_envelope(path, "wav").any()


@pytest.mark.parametrize("text", ["not base64!", "aGVsbG8", "aGVs\nbG8=", "_-__", "ä"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="Base64"):
        from_base64("image", text, max_bytes=100)


def test_a_file_over_the_limit_is_refused_and_one_at_it_is_not() -> None:
    assert len(from_base64("image", base64_text(b"x" * 1000), max_bytes=1000)) == 1000
    for size in (1001, 5000):
        with pytest.raises(Refusal, match="larger"):
            from_base64("image", base64_text(b"x" * size), max_bytes=1000)
