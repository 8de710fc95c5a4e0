"""Writes a contact sheet of previews: what a mouth does at silent, medium and loud moments, and a blink.

    python -m benchmarks.contact_sheet
    python -m benchmarks.contact_sheet sheet.png --portrait mine.jpg --sound mine.mp3

The portraits are the photograph that scikit-image brings and the drawn one of the examples. The frames are decoded
from rendered previews, so the sheet shows what a player shows. For the eye: no number says that a mouth looks right.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from manifest_runner.models import Mode
from manifest_runner.sandbox.preview.face import Face, find_faces, finder_version
from manifest_runner.sandbox.preview.opening import opening_of, voice_levels
from manifest_runner.sandbox.preview.picture import load_portrait
from manifest_runner.sandbox.preview.puppet import BLINK, blink_times
from manifest_runner.sandbox.preview.render import render
from manifest_runner.sandbox.preview.scene import Recipe
from manifest_runner.sandbox.sound import FRAME_RATE, pcm_blocks, sniff_format

ROOT = Path(__file__).resolve().parents[1]
SOUND = ROOT / "examples/assets/welcome.mp3"
CELL = 300  # pixels each way
CAPTION = 44


@dataclass(frozen=True)
class Moment:
    name: str
    picture: int  # its number in the preview
    level: float  # dB of the recording's loud passages
    opening: float

    @property
    def caption(self) -> str:
        return f"{self.name}, {self.picture / FRAME_RATE:.2f} s\nlevel {self.level:.0f} dB, open {self.opening:.0%}"


def astronaut() -> Path:
    """The photograph in scikit-image's wheel, found without loading it."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("scikit-image is needed for its photograph: pip install 'manifest-runner[dev]'")
    return Path(spec.origin).parent / "data" / "astronaut.png"


def moments(sound: Path, sound_format: str, seed: str) -> list[Moment]:
    """Two silent ones, two medium, three loud, and the first blink."""
    levels = voice_levels(pcm_blocks(sound, sound_format))
    openings = opening_of(levels)
    decibels = 20 * np.log10(np.maximum(levels / np.percentile(levels, 95), 1e-4))
    blinks = blink_times(seed, openings.size)
    open_eyed = np.where(blinks > 0, np.nan, openings)
    chosen: list[tuple[str, int]] = []
    for name, wanted, count in (("silent", 0.0, 2), ("medium", 0.5, 2), ("loud", 1.0, 3)):
        away = np.abs(open_eyed - wanted)
        for _ in range(count):
            best = int(np.nanargmin(away))
            chosen.append((name, best))
            away[max(0, best - FRAME_RATE // 2) : best + FRAME_RATE // 2] = np.nan
    closed = np.flatnonzero(blinks == max(BLINK))
    if closed.size:
        chosen.append(("blink", int(closed[0])))
    return [Moment(name, at, float(decibels[at]), float(openings[at])) for name, at in chosen]


def rows_for(portrait: Path, sound: Path) -> list[Image.Image]:
    """Two rows of the sheet: the whole pictures, and their faces."""
    sound_format = sniff_format(sound.read_bytes())
    if sound_format is None:
        raise SystemExit(f"{sound} is no recording")
    recipe = Recipe(
        image_key=portrait.name,
        audio_key=sound.name,
        audio_format=sound_format,
        mode=Mode.STD,
        watermark=False,
        face_finder=finder_version(),
    )
    found = find_faces(load_portrait(portrait, Mode.STD))
    chosen = moments(sound, sound_format, recipe.key)
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "preview.mp4"
        render(recipe, image=portrait, audio=sound, target=video, cancelled=lambda: False)
        frames = _frames(video, {moment.picture for moment in chosen})
    whole = [frames[moment.picture] for moment in chosen]
    rows = [_row([_fitted(frame) for frame in whole], [moment.caption for moment in chosen])]
    if found:
        rows.append(_row([_face(frame, found[0]) for frame in whole], []))
    return rows


def _frames(video: Path, wanted: set[int]) -> dict[int, Image.Image]:
    with av.open(str(video)) as container:
        return {
            index: frame.to_image()
            for index, frame in enumerate(container.decode(video=0))
            if index in wanted
        }


def _fitted(frame: Image.Image) -> Image.Image:
    small = frame.copy()
    small.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    return small


def _face(frame: Image.Image, face: Face) -> Image.Image:
    x, y = face.left + face.width / 2, face.top + face.height * 0.58
    half = max(face.width, face.height) * 0.68
    return frame.resize(
        (CELL, CELL), Image.Resampling.LANCZOS, box=_inside((x - half, y - half, x + half, y + half), frame)
    )


def _inside(box: tuple[float, float, float, float], frame: Image.Image) -> tuple[float, float, float, float]:
    return max(box[0], 0), max(box[1], 0), min(box[2], frame.width), min(box[3], frame.height)


def _row(cells: list[Image.Image], captions: list[str]) -> Image.Image:
    row = Image.new("RGB", (len(cells) * (CELL + 8), CELL + 8 + (CAPTION if captions else 0)), "white")
    draw, font = ImageDraw.Draw(row), ImageFont.load_default(size=15)
    for index, cell in enumerate(cells):
        left = index * (CELL + 8) + (CELL - cell.width) // 2
        row.paste(cell, (left, CAPTION if captions else 0))
        if captions:
            draw.multiline_text((index * (CELL + 8) + 6, 3), captions[index], font=font, fill="black")
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", nargs="?", type=Path, default=ROOT / "build/contact-sheet.png")
    parser.add_argument("--portrait", type=Path, action="append", help="instead of the two of the project")
    parser.add_argument("--sound", type=Path, default=SOUND)
    options = parser.parse_args()
    portraits = options.portrait or [astronaut(), ROOT / "examples/assets/presenter.png"]
    rows = [row for portrait in portraits for row in rows_for(portrait, options.sound)]
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    options.target.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.target)
    print(options.target)


if __name__ == "__main__":
    main()
