"""The pictures of a preview without a mouth: the portrait at a ladder of zoom levels, its marks, and a level meter.

A frame is an array of shape (height * 3 / 2, width), 8 bit: the Y plane, then U and V at half size (yuv420p,
BT.709, limited range), as the encoder takes it. The ladder is drawn once for a task; a frame is a copy of one rung
with the meter drawn in, so the work for each frame does not depend on how the rung was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageDraw, ImageFont, ImageOps

from manifest_runner.models import Mode

Frame = npt.NDArray[np.uint8]

RUNGS = 16
ZOOM = 0.045  # how much closer the loudest rung is than the quietest
BRIGHTER = 0.07  # and how much brighter
BARS = 21
SHORT_SIDE = {
    Mode.STD: 720,
    Mode.PRO: 1080,
}  # pixels; the rule on aspects bounds the long side to 2.5 times that
METER_YUV = (214, 124, 124)  # near-white with a breath of green: reads as a meter on any skin or wall
PREVIEW_TEXT = "PREVIEW"
WATERMARK_TEXT = "SANDBOX"


def output_size(width: int, height: int, mode: Mode) -> tuple[int, int]:
    """The video's size: the portrait's own aspect, its shorter side 720 or 1080, both even (x264 refuses odd)."""
    scale = SHORT_SIDE[mode] / min(width, height)
    return round(width * scale / 2) * 2, round(height * scale / 2) * 2


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height once the camera's orientation (EXIF 5 to 8 lie on their side) is followed."""
    width, height = picture.size
    return (height, width) if picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5 else (width, height)


def portrait_size(path: Path) -> tuple[int, int]:
    """Width and height of the portrait in a file, upright."""
    with Image.open(path, formats=("JPEG", "PNG")) as picture:
        return upright_size(picture)


def load_portrait(path: Path, mode: Mode) -> Image.Image:
    """The portrait upright, on white where it is transparent, at the size of the video."""
    with Image.open(path, formats=("JPEG", "PNG")) as picture:
        size = output_size(*upright_size(picture), mode)
        largest = max(size)
        picture.draft(
            "RGB", (largest, largest)
        )  # lets the JPEG decoder skip detail that would be scaled away
        stored = size if upright_size(picture) == picture.size else size[::-1]
        colours = "RGBA" if picture.has_transparency_data else "RGB"
        picture.load()
        # Made small before anything else: a picture of 50 megapixels must not be there twice.
        plain = picture if picture.mode in ("RGB", "RGBA") else picture.convert(colours)
        scaled = ImageOps.exif_transpose(
            plain.resize(stored, Image.Resampling.LANCZOS, reducing_gap=3.0).convert(colours)
        )
    if colours == "RGB":
        return scaled
    flat = Image.new("RGBA", size, "white")
    flat.alpha_composite(scaled)
    return flat.convert("RGB")


def zoom_ladder(portrait: Image.Image, *, watermark: bool) -> list[Frame]:
    """RUNGS frames, from the whole portrait to the closest and brightest, each with its marks."""
    marks = draw_marks(portrait.size, watermark=watermark, meter=True)
    return [_rung(portrait, index / (RUNGS - 1), marks) for index in range(RUNGS)]


def _rung(portrait: Image.Image, nearness: float, marks: Image.Image) -> Frame:
    width, height = portrait.size
    zoom = 1 + ZOOM * nearness
    left, top = (
        (width - width / zoom) * 0.5,
        (height - height / zoom) * 0.4,
    )  # towards the face, not the chest
    box = (left, top, left + width / zoom, top + height / zoom)
    close = portrait.resize((width, height), Image.Resampling.BICUBIC, box=box)
    lit = close.point([min(255, round(value * (1 + BRIGHTER * nearness))) for value in range(256)] * 3)
    lit.paste(marks, mask=marks.getchannel("A"))
    return to_frame(np.asarray(lit))


def to_frame(pixels: Frame) -> Frame:
    """RGB pixels, shape (height, width, 3), both even, as the encoder takes them."""
    colours = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    planes = colours.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
    return np.ascontiguousarray(planes.to_ndarray(), dtype=np.uint8)


def draw_marks(size: tuple[int, int], *, watermark: bool, meter: bool) -> Image.Image:
    """What lies over every frame and does not move with it, RGBA: black and white only."""
    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    if watermark:
        _draw_watermark(layer)
    if meter:
        pill = MeterPlace.of(*size).pill
        draw.rounded_rectangle(pill, radius=(pill[3] - pill[1]) / 2, fill=(0, 0, 0, 90))
    unit = min(size)
    font = ImageFont.load_default(size=max(12, unit / 36))
    margin, padding = unit / 30, unit / 80
    left, top, right, bottom = draw.textbbox((margin + padding, margin + padding), PREVIEW_TEXT, font=font)
    label = (left - padding, top - padding, right + padding, bottom + padding)
    draw.rounded_rectangle(label, radius=padding, fill=(0, 0, 0, 110))
    draw.text((margin + padding, margin + padding), PREVIEW_TEXT, font=font, fill=(255, 255, 255, 225))
    return layer


def _draw_watermark(layer: Image.Image) -> None:
    """The word in slanting rows over the whole picture: no crop takes it away."""
    width, height = layer.size
    unit = min(layer.size)
    font = ImageFont.load_default(size=unit / 11)
    side = round((width**2 + height**2) ** 0.5)  # a square that still covers the frame when it is turned
    tile = Image.new("RGBA", (side, side), (255, 255, 255, 0))
    draw = ImageDraw.Draw(tile)
    step_x, step_y = unit * 0.62, unit * 0.26
    for row in range(int(side / step_y) + 1):
        for column in range(-1, int(side / step_x) + 1):
            place = (column * step_x + row % 2 * step_x / 2, row * step_y)
            draw.text(place, WATERMARK_TEXT, font=font, fill=(255, 255, 255, 80))
    turned = tile.rotate(28, Image.Resampling.BICUBIC)
    corner = ((side - width) // 2, (side - height) // 2)
    layer.alpha_composite(turned.crop((*corner, corner[0] + width, corner[1] + height)))


def rung_index(level: float, seconds: float) -> int:
    """Which rung shows this level at this time: the voice moves the picture, and a slow breath keeps pauses alive."""
    breath = (1 - np.cos(2 * np.pi * seconds / 4.0)) / 2
    return round(float(np.clip(0.85 * level + 0.15 * breath, 0, 1)) * (RUNGS - 1))


@dataclass(frozen=True, slots=True)
class MeterPlace:
    """Where the meter stands in a picture, in pixels: even ones, so that bars keep their colour at half size."""

    bar: int
    pitch: int  # from one bar's left edge to the next one's
    tallest: int
    left: int
    middle: int  # the line that the bars grow from, both ways

    @classmethod
    def of(cls, width: int, height: int) -> MeterPlace:
        unit = min(width, height)
        bar, gap = _even(unit / 110), _even(unit / 110)
        left = _even(width / 2 - (BARS * (bar + gap) - gap) / 2)
        return cls(
            bar=bar, pitch=bar + gap, tallest=_even(unit / 12), left=left, middle=_even(height - unit / 10)
        )

    @property
    def pill(self) -> tuple[int, int, int, int]:
        """The dark ground behind the bars, which keeps them visible on a bright picture."""
        pad, half = self.bar * 2, self.tallest // 2 + self.bar
        right = self.left + BARS * self.pitch - (self.pitch - self.bar)
        return self.left - pad, self.middle - half, right + pad, self.middle + half


def draw_meter(frame: Frame, levels: npt.NDArray[np.float64]) -> None:
    """Draw the meter into a frame, in place. `levels`, newest first, run outwards from the middle bar."""
    width, height = frame.shape[1], frame.shape[0] * 2 // 3
    luma, blue, red = planes_of(frame)
    place = MeterPlace.of(width, height)
    for index in range(BARS):
        away = abs(index - BARS // 2)
        reach = float(levels[away]) * (1 - away / BARS)
        half = max(place.bar, _even(place.tallest * reach / 2))
        top, bottom = place.middle - half, place.middle + half
        left = place.left + index * place.pitch
        luma[top:bottom, left : left + place.bar] = METER_YUV[0]
        halved = (slice(top // 2, bottom // 2), slice(left // 2, (left + place.bar) // 2))
        blue[halved] = METER_YUV[1]
        red[halved] = METER_YUV[2]


def planes_of(frame: Frame) -> tuple[Frame, Frame, Frame]:
    """Views of a frame's Y, U and V, of shapes (height, width) and twice half of that each way."""
    width, height = frame.shape[1], frame.shape[0] * 2 // 3
    flat = frame.reshape(-1)
    luma, chroma = width * height, width * height // 4
    half = (height // 2, width // 2)
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(half),
        flat[luma + chroma :].reshape(half),
    )


def _even(value: float) -> int:
    """Chroma has one sample for two pixels each way: edges on even pixels keep their colour."""
    return max(2, round(value / 2) * 2)
