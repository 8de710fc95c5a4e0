from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from pathlib import Path

import pytest
from media_kit import picture, png_block, png_claiming, rotated, wav
from PIL import Image

from manifest_runner.errors import MediaError
from manifest_runner.media import probe_image


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
