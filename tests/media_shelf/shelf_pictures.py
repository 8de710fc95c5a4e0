"""The shelf's pictures, made on the spot from one real photograph."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

ORIENTATION, GPS = 0x0112, 0x8825


@cache
def astronaut() -> Image.Image:
    """512 x 512 pixels: Eileen Collins, by NASA, in the public domain; scikit-image brings it along."""
    from skimage import data

    return Image.fromarray(data.astronaut())


def photo(width: int = 640, height: int = 640, *, grain: bool = False) -> Image.Image:
    """The middle of the photograph in any size. `grain` is what a large sensor sees where there is nothing."""
    side = 512 / max(width, height)
    across, down = width * side / 2, height * side / 2
    box = (256 - across, 256 - down, 256 + across, 256 + down)
    image = astronaut().resize((width, height), Image.Resampling.BICUBIC, box)
    if grain:
        tile = np.random.default_rng(1).integers(0, 60, (512, 512), np.uint8)
        noise = Image.fromarray(tile).convert("RGB")
        for left in range(0, width, 512):
            for top in range(0, height, 512):
                part = image.crop((left, top, min(left + 512, width), min(top + 512, height)))
                image.paste(Image.blend(part, noise.crop((0, 0, *part.size)), 0.4), (left, top))
    return image


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int, *, place: bool = False) -> Image.Exif:
    data = Image.Exif()
    data[ORIENTATION] = orientation
    if place:
        data.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    return data


def phone_picture() -> bytes:
    """48 million pixels that lie on their side."""
    return saved(photo(8064, 6048, grain=True), "JPEG", quality=87, exif=exif(6, place=True))


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    return saved(photo(600, 400), kind, exif=exif(orientation))


def several(kind: str, **options: Any) -> bytes:
    """Three pictures in one file: a film, or pages."""
    pictures = [photo(400, 400).rotate(angle) for angle in (0, 10, 20)]
    return saved(pictures[0], kind, save_all=True, append_images=pictures[1:], **options)


def heic() -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(photo()).save(file, quality=60)
    return file.getvalue()


def sixteen_bit_gray() -> Image.Image:
    levels = np.asarray(photo().convert("L"), np.uint16) * 257
    return Image.fromarray(levels)


def with_hole(image: Image.Image) -> Image.Image:
    """One sees through its upper left."""
    image = image.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def palette_with_hole() -> bytes:
    image = photo().quantize(64)
    return saved(image, "GIF", transparency=0)


def see_through_noise() -> bytes:
    """A PNG of more than 10 MB that no encoder makes smaller."""
    noise = np.random.default_rng(2).integers(0, 256, (1800, 1800, 4), np.uint8)
    return saved(Image.fromarray(noise), "PNG", compress_level=0)


def png_block(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(head: bytes, compressed: bytes) -> bytes:
    parts = (png_block(b"IHDR", head), png_block(b"IDAT", compressed), png_block(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def sixteen_bit_png() -> bytes:
    """16 bits a channel, which Pillow can't write."""
    image = photo(400, 400)
    rows = (np.asarray(image, np.uint16) * 257).astype(">u2")
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    return png(struct.pack(">IIBBBBB", 400, 400, 16, 2, 0, 0, 0), zlib.compress(body))


def interlaced_png() -> bytes:
    """Seven passes, each a coarser picture of its own (PNG specification, 8.2), which Pillow can't write."""
    pixels = np.asarray(photo(400, 400))
    passes = (
        (0, 8, 0, 8),
        (0, 8, 4, 8),
        (4, 8, 0, 4),
        (0, 4, 2, 4),
        (2, 4, 0, 2),
        (0, 2, 1, 2),
        (1, 2, 0, 1),
    )
    body = bytearray()
    for top, down, left, across in passes:
        for row in pixels[top::down, left::across]:
            body += b"\0" + row.tobytes()
    return png(struct.pack(">IIBBBBB", 400, 400, 8, 2, 0, 0, 1), zlib.compress(bytes(body)))


def bomb(side: int = 20_000) -> bytes:
    """A black PNG: 1.2 GB of pixels in 1.2 MB. One compressed block of zeros is repeated instead of made anew."""
    total = side * (side * 3 + 1)
    unit = 1 << 22
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packer.compress(bytes(unit))
    packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(unit)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, zlib.DEFLATED, -15)
    end = rest.compress(bytes(total % unit)) + rest.flush()
    checksum = struct.pack(">HH", total % 65_521, 1)  # Adler-32 of zeros
    compressed = b"\x78\xda" + block * (total // unit) + end + checksum
    return png(struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), compressed)


def display_p3() -> bytes:
    """A profile of a wider gamut: sRGB's with red moved outward, which is enough to be another one."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    place = profile.find(b"rXYZ")
    (at,) = struct.unpack_from(">I", profile, place + 4)
    struct.pack_into(">iii", profile, at + 8, *(round(value * 65_536) for value in (0.515, 0.241, -0.001)))
    name = profile.find("sRGB".encode("utf-16-be"))
    while name >= 0:
        profile[name : name + 8] = "Wide".encode("utf-16-be")
        name = profile.find("sRGB".encode("utf-16-be"))
    return saved(photo(), "JPEG", quality=90, icc_profile=bytes(profile), exif=exif(3))


def broken_exif() -> bytes:
    """The block's directory has entries that lead nowhere."""
    block = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x03\xff\xff\xff\xff" * 4
    return saved(photo(), "JPEG", exif=block)


DRAWING = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><circle r='300'/></svg>"
ERROR_PAGE = b"<!DOCTYPE html><html><title>403 Forbidden</title><h1>Sign in to see this file</h1></html>"
