from __future__ import annotations

import hashlib
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from media_kit import picture, png_block, png_claiming, rotated, wav
from PIL import Image

from manifest_runner.errors import MediaError
from manifest_runner.media import probe_image
from manifest_runner.media.probe import picture_blocks as probing


@pytest.mark.parametrize(
    ("kind", "name"),
    [("PNG", "png"), ("JPEG", "jpeg"), ("WEBP", "webp"), ("GIF", "gif"), ("BMP", "bmp")],
)
def test_the_facts_are_those_of_the_bytes(kind, name):
    data = picture(320, 400, kind)
    facts = probe_image(data)
    assert (facts.format, facts.width, facts.height) == (name, 320, 400)
    assert (facts.bytes, facts.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_file_is_judged_by_its_content_and_not_by_its_name(tmp_path: Path):
    path = tmp_path / "portrait.png"
    path.write_bytes(picture(kind="JPEG"))
    assert probe_image(path).format == "jpeg"


def test_a_phones_file_of_several_jpegs_is_a_jpeg():
    data = picture(kind="MPO", save_all=True, append_images=[Image.new("RGB", (64, 64))])
    facts = probe_image(data)
    assert (facts.format, facts.width, facts.height) == ("jpeg", 320, 400)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (320, 400)), (3, (320, 400)), (6, (400, 320)), (8, (400, 320))]
)
def test_the_sides_are_those_that_people_see(kind, orientation, size):
    facts = probe_image(rotated(kind, orientation))
    assert (facts.width, facts.height) == size


@pytest.mark.parametrize(
    "exif",
    [
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x02x\0\0\0\0\0\0\0",  # the orientation is text
        b"this is no EXIF block",
    ],
)
def test_a_senseless_orientation_is_passed_over(exif):
    data = picture()
    end_of_header = 8 + 25
    data = data[:end_of_header] + png_block(b"eXIf", exif) + data[end_of_header:]
    facts = probe_image(data)
    assert (facts.width, facts.height) == (320, 400)


def test_exif_behind_the_pixels_of_a_png_is_not_waited_for():
    data = picture()
    exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    facts = probe_image(data[:-12] + png_block(b"eXIf", exif) + data[-12:])
    assert (facts.width, facts.height) == (320, 400)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"external_task_id,image,sound_file\n", "it looks like text"),
        (b"<html><body>404 Not Found</body></html>", "it looks like a web page"),
        (b"%PDF-1.7 ...", "it looks like a PDF document"),
        (b"", "it looks like an empty file"),
        (bytes(1000), "it looks like nothing but zeros"),
        (wav(0.1), "it looks like a WAV recording"),
    ],
)
def test_what_is_no_picture_is_called_what_it_is(data, words):
    with pytest.raises(MediaError, match=r"^'x\.png' is no picture that can be read") as caught:
        probe_image(data, name="'x.png'")
    assert words in caught.value.what
    assert "JPEG or PNG" in caught.value.mend


WHOLE_PNG, WHOLE_JPEG = picture(), picture(kind="JPEG")
FLIPPED = bytearray(WHOLE_PNG)
FLIPPED[len(FLIPPED) // 2] ^= 0xFF


@pytest.mark.parametrize(
    "data",
    [
        WHOLE_PNG[:-12],
        WHOLE_PNG[: len(WHOLE_PNG) // 2],
        WHOLE_PNG[:20],
        bytes(FLIPPED),
        WHOLE_JPEG[:-2],
        WHOLE_JPEG[: len(WHOLE_JPEG) // 2],
        WHOLE_JPEG[:10],
        picture(kind="JPEG", progressive=True)[:-2],
    ],
    ids=[
        "no IEND",
        "half a png",
        "a png's start",
        "a bad sum",
        "no EOI",
        "half a jpeg",
        "a jpeg's start",
        "progressive",
    ],
)
def test_a_cut_or_damaged_picture_is_refused(data):
    with pytest.raises(MediaError, match="damaged or cut off") as caught:
        probe_image(data)
    assert "again" in caught.value.mend


def test_a_cut_jpeg_is_not_saved_by_the_end_mark_of_its_thumbnail():
    thumbnail = picture(64, 64, "JPEG")
    segment = b"\xff\xe2" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    data = WHOLE_JPEG[:2] + segment + WHOLE_JPEG[2:]
    assert probe_image(data).format == "jpeg"
    with pytest.raises(MediaError, match="cut off"):
        probe_image(data[:-2])


def test_fill_bytes_before_a_jpegs_mark_are_allowed():
    place = WHOLE_JPEG.index(b"\xff\xdb")
    assert probe_image(WHOLE_JPEG[:place] + b"\xff\xff" + WHOLE_JPEG[place:]).format == "jpeg"


@pytest.mark.parametrize("side", [9_500, 60_000], ids=["what Pillow warns of", "what Pillow refuses"])
def test_a_decompression_bomb_is_refused_by_its_header(side):
    with pytest.raises(MediaError, match="too many pixels") as caught:
        probe_image(png_claiming(side, side))
    assert "4096" in caught.value.mend


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_no_damage_escapes_as_anything_but_a_media_error(kind):
    whole = picture(64, 48, kind)
    dice = random.Random(kind)
    outcomes = set()
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(dice.choice((1, 3, 12))):
            data[dice.randrange(min(len(data), 400))] = dice.randrange(256)
        try:
            probe_image(bytes(data[: dice.randrange(len(data))] if dice.random() < 0.3 else data))
            outcomes.add("taken")
        except MediaError:
            outcomes.add("refused")
    assert outcomes == {"taken", "refused"}


def test_a_broken_exif_block_puts_nothing_on_the_terminal(tmp_path: Path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(picture(kind="JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x04\x01\x12\0\x03\0\0"))
    code = (
        "import sys; from pathlib import Path; from manifest_runner.media import probe_image\n"
        "probe_image(Path(sys.argv[1]))"
    )
    # In a program of its own, because pytest turns every warning into an error.
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


# Hostile files. Memory is the highest that a program of its own had, from start to end.

MOST_MEMORY = 300  # MB


def refused_in_little_memory(path: Path, probe: str = "probe_image") -> str:
    """What a MediaError says of the file."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        f"from manifest_runner.media import {probe} as probe\n"
        "from manifest_runner.media.opening import opened\n"
        "from manifest_runner.media.source import FileSource\n"
        "from manifest_runner.errors import MediaError\n"
        "try:\n"
        "    with opened(FileSource(sys.argv[1]), Path()) as file:\n"
        "        print(probe(file, name='x', sha256='0'))\n"
        "except MediaError as error:\n"
        "    print('refused:', error.what)\n"
        "status = Path('/proc/self/status')\n"
        "lines = status.read_text().splitlines() if status.exists() else []\n"
        "print(max([int(line.split()[1]) // 1024 for line in lines if line.startswith('VmHWM')], default=0))\n"
    )
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert time.monotonic() - started < 30, "a busy machine is slower than a quiet one, but not so much"
    assert ended.stderr == ""
    words, memory = ended.stdout.splitlines()
    assert words.startswith("refused: ")
    assert int(memory) < MOST_MEMORY
    return words


def test_a_png_with_one_huge_block_is_refused(tmp_path: Path):
    path, size = tmp_path / "big.png", 1_500_000_000
    with path.open("wb") as file:
        file.write(WHOLE_PNG[:33] + struct.pack(">I", size) + b"prVt")
        file.seek(size + 4, os.SEEK_CUR)
        file.write(WHOLE_PNG[33:])
    assert "more in it beside its pixels" in refused_in_little_memory(path)


@pytest.mark.parametrize("place", [33, -12], ids=["before its pixels", "behind them"])
def test_a_png_with_many_large_blocks_is_refused(place):
    block = png_block(b"prVt", bytes(9_000_000))
    probe_image(WHOLE_PNG[:place] + block * 3 + WHOLE_PNG[place:])
    with pytest.raises(MediaError, match="beside its pixels"):
        probe_image(WHOLE_PNG[:place] + block * 4 + WHOLE_PNG[place:])


def test_a_png_of_nothing_but_blocks_is_refused(monkeypatch):
    monkeypatch.setattr(probing, "_MOST_BLOCKS", 100)
    with pytest.raises(MediaError, match="beside its pixels"):
        probe_image(WHOLE_PNG[:-12] + png_block(b"IDAT", b"") * 100 + WHOLE_PNG[-12:])


def test_a_jpeg_whose_segments_add_up_is_refused(tmp_path: Path):
    path = tmp_path / "big.jpg"
    with path.open("wb") as file:
        file.write(WHOLE_JPEG[:2])
        for _ in range(22_000):  # 1.4 GB
            file.write(b"\xff\xef\xff\xff")
            file.seek(65_533, os.SEEK_CUR)
        file.write(WHOLE_JPEG[2:])
    assert "beside its pixels" in refused_in_little_memory(path)


@pytest.mark.parametrize("junk", [b"\xff", b"\xff\xd0"], ids=["fill bytes", "marks without a length"])
def test_a_jpeg_of_nothing_but_marks_is_refused(junk, monkeypatch):
    monkeypatch.setattr(probing, "_MOST_READS", 1000)
    with pytest.raises(MediaError, match="beside its pixels"):
        probe_image(WHOLE_JPEG[:2] + junk * 1000 + WHOLE_JPEG[2:])


def test_a_header_that_takes_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(probing, "_SECONDS", -1.0)
    with pytest.raises(MediaError, match="beside its pixels"):
        probe_image(WHOLE_JPEG)


def test_a_gif_of_zeros_is_refused(tmp_path: Path):
    path = tmp_path / "zeros.gif"
    path.write_bytes(picture(kind="GIF")[:13])
    os.truncate(path, 1_500_000_000)
    assert "beside its pixels" in refused_in_little_memory(path)


def tiff(side: int, *more: tuple[int, int, int, int], bits: int = 8, data: bytes = b"") -> bytes:
    """A gray one; `more` are its other tags: number, type, count, value."""
    tags = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, bits), (259, 3, 1, 8), (262, 3, 1, 1)]
    tags = sorted([*tags, (277, 3, 1, 1), *more])
    table = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + table + bytes(4) + data


ONE_STRIP = ((273, 4, 1, 8), (279, 4, 1, 100))


def tiles(side: int) -> tuple[tuple[int, int, int, int], ...]:
    return ((322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, 100))


def test_a_tiff_with_one_huge_tag_is_refused(tmp_path: Path):
    path = tmp_path / "tag.tif"
    path.write_bytes(tiff(400, *ONE_STRIP, (278, 4, 1, 400), (65_000, 7, 1_400_000_000, 1000)))
    os.truncate(path, 1_500_000_000)
    assert "beside its pixels" in refused_in_little_memory(path)


def test_a_tiff_with_a_tile_much_larger_than_it_is_refused(tmp_path: Path):
    path = tmp_path / "tile.tif"
    path.write_bytes(tiff(400, *tiles(20_000), data=zlib.compress(bytes(400))))
    assert "too many pixels to be decoded safely" in refused_in_little_memory(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("tags", "fine"),
    [
        ((*ONE_STRIP, (278, 4, 1, 400)), True),
        (tiles(512), True),
        ((*ONE_STRIP, (278, 4, 1, 400), (278, 4, 1, 400)), False),
        ((*ONE_STRIP, (278, 4, 2, 8)), False),
        ((*ONE_STRIP, (278, 5, 1, 8)), False),
    ],
    ids=["a strip", "a tile", "a size twice", "two sizes in one", "a fraction"],
)
def test_a_tiff_with_tags_that_can_be_understood_in_two_ways_is_refused(tags, fine):
    if fine:
        assert probe_image(tiff(400, *tags)).format == "tiff"
        return
    with pytest.raises(MediaError, match="too many pixels"):
        probe_image(tiff(400, *tags))


def test_a_tiff_whose_one_strip_does_not_fit_is_told_when_it_is_looked_at():
    with pytest.raises(MediaError, match="too many pixels to be decoded safely") as caught:
        probe_image(tiff(9_000, *ONE_STRIP, (278, 4, 1, 9_000)))
    assert "save it as JPEG" in caught.value.mend


def test_a_warning_of_a_decoder_puts_nothing_on_the_terminal():
    code = (
        "import warnings, manifest_runner.media.probe.image\n"
        "warnings.warn_explicit('odd', UserWarning, 'x.py', 1, module='PIL.GifImagePlugin')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
