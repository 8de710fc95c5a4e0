from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import threading
from pathlib import Path

import media_kit as kit
import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from manifest_runner.errors import MediaError
from manifest_runner.media import probe_image
from manifest_runner.media.facts import ImageFacts
from manifest_runner.media.fit import decoding
from manifest_runner.media.fit import image as fit_image
from manifest_runner.media.fit.decoding import scaled
from manifest_runner.media.fit.image import FittedImage
from manifest_runner.media.fit.recipes import image_fitting
from manifest_runner.media.probe import tiff as probing
from manifest_runner.media.room import Room
from manifest_runner.models import Box, Fit, Pad
from manifest_runner.sandbox.media_rules import check_image

NAME = "'a.jpg'"
AUTO = Fit()
RED, BLUE, GREEN, GRAY = (220, 20, 20), (20, 20, 220), (20, 200, 20), (128, 128, 128)


def corners(width: int = 400, height: int = 300) -> Image.Image:
    """Red in the upper left, blue in the upper right, green in the lower left, gray elsewhere."""
    image = Image.new("RGB", (width, height), GRAY)
    across, down = width // 4, height // 4
    image.paste(RED, (0, 0, across, down))
    image.paste(BLUE, (width - across, 0, width, down))
    image.paste(GREEN, (0, height - down, across, height))
    return image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def facts_of(data: bytes, orientation: int = 1, **known: object) -> ImageFacts:
    """A picture's facts, its pixels looked at directly."""
    with Image.open(io.BytesIO(data)) as image:
        kind = {"MPO": "jpeg"}.get(image.format, image.format.lower())
        turned = orientation >= 5 and kind not in ("tiff", "heif")
        width, height = image.size[::-1] if turned else image.size
        values = {
            "format": kind,
            "width": width,
            "height": height,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "orientation": orientation,
            "colours": image.mode,
            "transparent": image.has_transparency_data,
            "frames": getattr(image, "n_frames", 1),
        }
    return ImageFacts(**{**values, **known})


def fitted(data: bytes, fit: Fit = AUTO, orientation: int = 1, **known: object) -> FittedImage:
    recipe, objections = image_fitting(facts_of(data, orientation, **known), fit)
    assert not objections
    assert recipe is not None
    result = fit_image.fit_image(io.BytesIO(data), recipe, name=NAME)
    check_image("image", result.data)
    assert result.sha256 == hashlib.sha256(result.data).hexdigest()
    return result


def opened(result: FittedImage) -> Image.Image:
    image = Image.open(io.BytesIO(result.data))
    assert image.size == (result.width, result.height)
    return image


def near(found: object, wanted: tuple[int, ...], most: int = 8) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= most


def shows_its_corners(image: Image.Image) -> bool:
    image = image.convert("RGB")
    right, bottom = image.width - 10, image.height - 10
    spots = {(10, 10): RED, (right, 10): BLUE, (10, bottom): GREEN, (right, bottom): GRAY}
    return all(near(image.getpixel(spot), colour) for spot, colour in spots.items())


STORED = {  # how a picture lies in the file so that this EXIF orientation puts it upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "PNG", "TIFF"])
def test_pictures_come_out_upright(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(corners().transpose(STORED[orientation]), kind, exif=exif)
    result = fitted(data, orientation=orientation)
    assert (result.width, result.height) == (400, 300)
    assert shows_its_corners(opened(result))


def test_heic_is_turned_once():
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    pillow_heif.from_pillow(corners().transpose(STORED[6])).save(file, quality=90, exif=exif.tobytes())
    facts = ImageFacts(format="heif", width=400, height=300, bytes=1000, sha256="")
    recipe, _ = image_fitting(facts, Fit())
    result = fit_image.fit_image(file, recipe, name=NAME)
    assert shows_its_corners(opened(result))
    assert result.what.startswith("HEIC to JPEG, quality 95")


def test_a_large_heic_is_scaled_without_a_seam():
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(corners(4400, 1800)).save(file, quality=60)
    recipe, _ = image_fitting(ImageFacts(format="heif", width=4400, height=1800, bytes=1, sha256=""), Fit())
    result = fit_image.fit_image(file, recipe, name=NAME)
    assert (result.width, result.height) == (4096, 1676)
    assert shows_its_corners(opened(result))


@pytest.mark.parametrize(
    "image",
    [
        corners(),
        corners().convert("CMYK"),
        corners().convert("RGBA"),
        corners().quantize(16),
    ],
    ids=lambda image: image.mode,
)
@pytest.mark.parametrize("size", [(400, 300), (4400, 1800)])
def test_colours_stay_in_every_mode(image, size):
    kind = "GIF" if image.mode == "P" else "TIFF"
    result = fitted(saved(image.resize(size, Image.Resampling.NEAREST), kind))
    assert result.what.split(", ")[0] == f"{kind} to JPEG"
    assert opened(result).mode == "RGB"
    assert shows_its_corners(opened(result))


@pytest.mark.parametrize(
    ("mode", "dtype", "white"),
    [
        ("I;16", np.uint16, 65_535),
        ("I;16B", ">u2", 65_535),
        ("I", np.int32, 65_535),
        ("I", np.int32, 255),
        ("F", np.float32, 1.0),
        ("F", np.float32, 700),
    ],
)
def test_more_than_eight_bits_become_eight(mode, dtype, white):
    """A ramp from black to white stays one, whatever white is."""
    ramp = np.tile(np.linspace(0, white, 400).astype(dtype), (320, 1))
    image = Image.fromarray(ramp)
    assert image.mode == mode
    found = np.asarray(opened(fitted(saved(image, "TIFF"))).convert("L"), np.int32)[160]
    assert near(found[[0, 100, 200, 300, 399]], (0, 64, 128, 191, 255), most=3)


def test_values_that_are_no_numbers_are_black():
    values = np.full((320, 400), 0.5, np.float32)
    values[:, :100] = np.nan
    values[:, 100:200] = np.inf
    found = opened(fitted(saved(Image.fromarray(values), "TIFF"))).convert("L")
    assert found.getpixel((20, 20)) <= 4
    assert found.getpixel((350, 20)) in range(124, 132)


def test_black_and_white_becomes_gray_when_it_is_scaled():
    image = Image.fromarray(np.indices((1800, 4500)).sum(axis=0) % 2 == 0)
    found = opened(fitted(saved(image, "PNG"))).convert("L")
    assert found.size == (4096, 1639)
    assert found.reduce(64).getextrema()[0] > 100


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_what_one_sees_through_stays_so(kind):
    image = corners(4400, 1800).convert("RGBA")
    image.paste((0, 0, 0, 0), (1500, 600, 2500, 1200))
    result = opened(fitted(saved(image, kind)))
    assert (result.format, result.mode) == ("PNG", "RGBA")
    assert result.getpixel((1862, 838))[3] == 0
    assert result.getpixel((10, 10))[3] == 255
    assert shows_its_corners(result)


def test_the_colour_that_a_palette_makes_see_through_stays_so():
    image = corners().quantize(8)
    gone = image.getpixel((10, 10))
    result = opened(fitted(saved(image, "GIF", transparency=gone)))
    assert result.mode == "RGBA"
    assert result.getpixel((10, 10))[3] == 0
    assert near(result.getpixel((390, 10)), (*BLUE, 255))


def test_a_channel_that_hides_nothing_makes_no_png():
    result = fitted(saved(corners().convert("RGBA"), "WEBP", lossless=True))
    assert "WebP to JPEG" in result.what


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_of_several_pictures_the_first_is_taken(kind):
    others = [Image.new("RGB", (400, 300), colour) for colour in ("white", "black")]
    result = fitted(saved(corners(), kind, save_all=True, append_images=others))
    assert result.what.startswith("the first of its pictures")
    assert shows_its_corners(opened(result))


def test_nothing_but_pixels_is_kept():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    data = saved(
        corners(),
        "JPEG",
        exif=exif,
        comment=b"SecretComment",
        icc_profile=profile_with_other_red(),
        xmp=b"SecretXmp",
    )
    sent = fitted(data, orientation=6).data
    assert b"Secret" in data and b"Exif" in data
    assert b"Secret" not in sent and b"Exif" not in sent and b"ICC_PROFILE" not in sent


def test_nothing_but_pixels_is_kept_in_a_png():
    image = corners().convert("RGBA")
    image.putalpha(100)
    image.info.update(Secret="Secret")
    sent = fitted(saved(image, "WEBP", exif=b"Exif\0\0Secret", xmp=b"Secret", lossless=True)).data
    assert {kind for kind in (b"tEXt", b"iTXt", b"eXIf", b"iCCP", b"tIME") if kind in sent} == set()


def profile_with_other_red() -> bytes:
    """sRGB's profile with another red, under another name."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = int.from_bytes(profile[(place := profile.find(b"rXYZ") + 4) : place + 4])
    profile[at + 8 : at + 12] = round(0.515 * 65_536).to_bytes(4)
    return bytes(profile.replace("sRGB".encode("utf-16-be"), "Wide".encode("utf-16-be")))


def test_a_profile_is_applied():
    plain = opened(fitted(saved(corners(), "WEBP", lossless=True))).getpixel((10, 10))
    wide = fitted(saved(corners(), "WEBP", lossless=True, icc_profile=profile_with_other_red()))
    assert opened(wide).getpixel((10, 10))[0] > plain[0] + 10


@pytest.mark.parametrize("profile", [b"", b"no profile", profile_with_other_red()[:200], bytes(5_000_000)])
def test_a_profile_that_makes_no_sense_is_left_out_of_account(profile):
    result = fitted(saved(corners(), "TIFF", icc_profile=profile))
    assert shows_its_corners(opened(result))


def test_a_profile_for_other_colours_is_left_out_of_account():
    result = fitted(saved(corners().convert("CMYK"), "TIFF", icc_profile=profile_with_other_red()))
    assert shows_its_corners(opened(result))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("size", [(300, 611), (701, 205), (777, 1000)])
def test_bands_leave_no_seam(mode, size, monkeypatch):
    """The result is that of scaling the whole at once, but for rounding."""
    y, x = np.mgrid[0:1234, 0:777]
    waves = [127 + 120 * np.sin(x / (7 + part) + y / (5 + 3 * part)) for part in range(4)]
    values = np.stack(waves, axis=-1).astype(np.uint8)
    step = 1.0
    if mode in ("I;16", "F"):
        step = 257.0
        image = Image.fromarray(values[..., 0].astype({"I;16": np.uint16, "F": np.float32}[mode]) * 257)
    else:
        image = {
            "CMYK": Image.merge("CMYK", [Image.fromarray(values[..., part]) for part in range(4)]),
            "RGBA": Image.fromarray(values),
        }.get(mode, Image.fromarray(values[..., :3])).convert(mode)
    monkeypatch.setattr(decoding, "_BAND", 50)
    found, whole = scaled(image, size), image.resize(size, Image.Resampling.LANCZOS)
    assert found.mode == whole.mode == mode
    if mode == "RGBA":  # where one sees nearly through it, colours are rounded a lot
        found, whole = found.convert("RGBa"), whole.convert("RGBa")
    difference = np.abs(np.asarray(found, np.float64) - np.asarray(whole, np.float64))
    assert difference.max() <= 2 * step


def test_a_jpeg_is_decoded_at_a_fraction_of_its_size():
    data = saved(corners(8400, 6300), "JPEG", quality=80)
    result = fitted(data)
    assert (result.width, result.height) == (4096, 3072)
    assert shows_its_corners(opened(result))


def test_a_jpeg_whose_scans_leave_no_room_comes_out_smaller(monkeypatch):
    data = saved(corners(4800, 3600), "JPEG", quality=80, progressive=True)
    monkeypatch.setattr(decoding, "DECODING_ROOM", 130_000_000)
    result = fitted(data)
    assert (result.width, result.height) == (2400, 1800)
    assert shows_its_corners(opened(result))
    monkeypatch.setattr(decoding, "DECODING_ROOM", 60_000_000)
    with pytest.raises(MediaError, match="too many pixels"):
        fitted(data)


def test_a_tiff_in_one_large_strip_is_refused(monkeypatch):
    data = saved(corners(4400, 3300), "TIFF", compression="tiff_lzw", tiffinfo={278: 3300})
    monkeypatch.setattr(probing, "DECODING_ROOM", 100_000_000)
    with pytest.raises(MediaError, match="too many pixels"):
        fitted(data)
    with pytest.raises(MediaError, match="too many pixels"):  # and is known to be before anything is sent
        probe_image(data)


def noise(width: int, height: int, mode: str) -> Image.Image:
    values = np.random.default_rng(4).integers(0, 256, (height, width, len(mode)), np.uint8)
    return Image.fromarray(values)


def test_quality_gives_way_before_size(monkeypatch):
    data = saved(noise(600, 400, "RGB"), "BMP")
    full = fitted(data)
    assert "quality 95" in full.what
    monkeypatch.setattr(fit_image, "IMAGE_MAX_BYTES", len(full.data) - 1)
    smaller = fitted(data)
    assert "quality 92" in smaller.what
    assert (smaller.width, smaller.height) == (600, 400)


@pytest.mark.parametrize(("mode", "most"), [("RGB", 1_000_000), ("RGBA", 1_500_000)])
def test_size_gives_way_in_the_end(mode, most, monkeypatch):
    data = saved(noise(1500, 600, mode), "PNG")
    monkeypatch.setattr(fit_image, "IMAGE_MAX_BYTES", most)
    result = fitted(data, bytes=10_000_001)
    assert most * 0.7 < len(result.data) <= most
    assert 2.45 < result.width / result.height <= 2.5
    assert f"scaled from 1500 x 600 to {result.width} x {result.height}" in result.what
    assert result.place(Box(0, 0, 1500, 600)) == Box(0, 0, result.width, result.height)


@pytest.mark.parametrize("pad", Pad)
@pytest.mark.parametrize("size", [(1200, 400), (400, 1200), (1003, 401)])
def test_a_padded_picture_stands_in_the_middle(pad, size):
    result = fitted(saved(corners(*size), "PNG"), Fit(pad=pad))
    image = opened(result)
    assert max(image.size) <= 2.5 * min(image.size)
    place = result.picture
    assert (place.width, place.height) == size
    assert shows_its_corners(
        image.crop((place.left, place.top, place.left + place.width, place.top + place.height))
    )
    assert result.place(Box(100, 50, 200, 80)) == Box(place.left + 100, place.top + 50, 200, 80)


def test_sides_have_the_mean_colour_of_the_edges():
    image = Image.new("RGB", (1200, 400), "green")
    image.paste((200, 100, 0), (0, 0, 1200, 20))
    image.paste((100, 100, 200), (0, 380, 1200, 400))
    result = opened(fitted(saved(image, "PNG"), Fit(pad=Pad.COLOUR)))
    assert near(result.getpixel((600, 5)), (150, 100, 100))
    assert near(result.getpixel((5, 475)), (150, 100, 100))


def test_blurred_sides_are_the_picture_out_of_focus_and_darker():
    image = Image.new("RGB", (1200, 400), (200, 200, 200))
    image.paste((250, 0, 0), (0, 0, 300, 400))
    result = opened(fitted(saved(image, "PNG"), Fit(pad=Pad.BLUR)))
    assert near(result.getpixel((1000, 10)), (160, 160, 160))


def test_sides_of_a_see_through_picture():
    image = Image.new("RGBA", (1200, 400), (200, 100, 0, 100))
    result = opened(fitted(saved(image, "PNG"), Fit(pad=Pad.COLOUR)))
    assert near(result.getpixel((600, 5)), (200, 100, 0, 100), most=1)
    assert opened(fitted(saved(image, "PNG"), Fit(pad=Pad.BLUR))).mode == "RGBA"
    empty = Image.new("RGBA", (1200, 400))
    assert opened(fitted(saved(empty, "PNG"), Fit(pad=Pad.COLOUR))).getpixel((600, 5))[3] == 0


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        (Box(0, 0, 8000, 4000), Box(0, 0, 4096, 2048)),
        (Box(4000, 2000, 100, 50), Box(2048, 1024, 52, 26)),
        (Box(-100, -100, 200, 200), Box(0, 0, 52, 52)),
        (Box(7990, 3990, 500, 500), Box(4090, 2042, 6, 6)),
        (Box(8000, 0, 10, 10), None),
        (Box(0, -20, 10, 20), None),
        (Box(10, 10, 0, 5), None),
    ],
)
def test_a_box_is_found_again(box, wanted):
    result = FittedImage(
        data=b"",
        what="",
        sha256="",
        width=4096,
        height=2048,
        picture=Box(0, 0, 4096, 2048),
        source=(8000, 4000),
    )
    assert result.place(box) == wanted


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_what_is_cut_off_or_damaged_is_a_problem_and_no_more(kind):
    data = saved(Image.open(io.BytesIO(kit.picture(900, 300))), kind)
    recipe, _ = image_fitting(facts_of(data, orientation=3), Fit(pad=Pad.BLUR))
    for share in (0.0, 0.3, 0.7):
        with pytest.raises(MediaError, match=r"^'a\.jpg' is ") as caught:
            fit_image.fit_image(io.BytesIO(data[: int(len(data) * share)]), recipe, name=NAME)
        assert caught.value.mend


def test_another_picture_than_the_one_that_was_checked_is_refused():
    recipe, _ = image_fitting(facts_of(saved(corners(), "WEBP")), Fit())
    with pytest.raises(MediaError, match="something else when it was checked"):
        fit_image.fit_image(io.BytesIO(saved(corners(500, 400), "WEBP")), recipe, name=NAME)


def test_more_pixels_than_anybody_decodes_are_refused(monkeypatch):
    data = saved(corners(), "WEBP")
    recipe, _ = image_fitting(facts_of(data), Fit())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(MediaError, match="too many pixels"):
        fit_image.fit_image(io.BytesIO(data), recipe, name=NAME)


def test_heic_without_the_extra_says_what_to_install(monkeypatch):
    monkeypatch.setattr(decoding, "picture_formats", lambda: ("JPEG", "PNG"))
    recipe, _ = image_fitting(ImageFacts(format="heif", width=400, height=300, bytes=1, sha256=""), Fit())
    with pytest.raises(MediaError) as caught:
        fit_image.fit_image(io.BytesIO(b"\0\0\0\x18ftypheic" + bytes(100)), recipe, name=NAME)
    assert "manifest-runner[heic]" in caught.value.mend


SAME = """
import sys, io, hashlib
sys.path[:0] = [{folder!r}, {folder!r} + "/.."]
import test_media_fit_image as t
data = t.saved(t.corners(5000, 1500), "WEBP")
print(t.fitted(data, t.Fit(pad=t.Pad.BLUR)).sha256, t.fitted(t.saved(t.noise(400, 400, "RGBA"), "TIFF")).sha256)
"""


def test_the_same_picture_gives_the_same_bytes_in_every_process():
    command = [sys.executable, "-c", SAME.format(folder=str(Path(__file__).parent))]
    outputs = {subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2)}
    assert len(outputs) == 1
    data = saved(corners(5000, 1500), "WEBP")
    assert fitted(data, Fit(pad=Pad.BLUR)).sha256 in outputs.pop()


def test_large_pictures_wait_for_each_other():
    room = Room(100)
    inside, most, order = [], [], []
    started = threading.Event()

    def work(name: str, need: int) -> None:
        with room.taken(need):
            inside.append(need)
            most.append(sum(inside))
            order.append(name)
            started.set()
            threading.Event().wait(0.02)
            inside.remove(need)

    threads = [
        threading.Thread(target=work, args=(str(number), need))
        for number, need in enumerate([60, 60, 500, 30, 30])
    ]
    for thread in threads:
        thread.start()
        started.wait()
        threading.Event().wait(0.005)
    for thread in threads:
        thread.join()
    assert sorted(order) == list("01234")
    assert max(most) <= 500 and all(total <= 100 for total in most if total < 500)
    with room.taken(100):
        pass  # all of it is free again


IN_THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from manifest_runner.media.fit.image import fit_image
from manifest_runner.media.fit.recipes import image_fitting
from manifest_runner.media.probe.image import probe_image
from manifest_runner.models import Fit

def one(_):
    with open(sys.argv[1], "rb") as file:
        recipe, _ = image_fitting(probe_image(file), Fit())
        return fit_image(file, recipe, name="a").sha256

with ThreadPoolExecutor(8) as pool:
    assert len(set(pool.map(one, range(8)))) == 1
# Not `ru_maxrss`, which begins with what the process had that started this one.
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="2026-11-24: reads /proc, which Linux alone has")
def test_memory_stays_within_its_bound_whatever_the_threads(tmp_path):
    """Eight of these at once would take 1.5 GB; and what each thread has freed would be kept for it."""
    path = tmp_path / "a.webp"
    path.write_bytes(saved(corners(3400, 3400), "WEBP", method=0))
    command = [sys.executable, "-c", IN_THREADS, str(path)]
    memory = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert memory < 480


def test_tags_that_a_tiff_has_of_its_own_are_no_matter(capfd):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[65_000] = "Secret"
    info.tagtype[65_000] = 2
    result = fitted(saved(corners(), "TIFF", compression="tiff_lzw", tiffinfo=info))
    assert shows_its_corners(opened(result))
    assert b"Secret" not in result.data
    assert capfd.readouterr().err == ""
