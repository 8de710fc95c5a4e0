from __future__ import annotations

import resource
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from sandbox_kit import picture, recording

from manifest_runner.models import Mode
from manifest_runner.sandbox.preview.picture import RUNGS, load_portrait, output_size, rung_index, zoom_ladder
from manifest_runner.sandbox.preview.render import RenderCancelled, render
from manifest_runner.sandbox.preview.scene import Recipe

RECIPE = Recipe(image_key="image", audio_key="audio", audio_format="wav", mode=Mode.STD, watermark=False)


@pytest.fixture
def media(tmp_path: Path) -> Path:
    (tmp_path / "image").write_bytes(picture())
    (tmp_path / "audio").write_bytes(recording(2.0))
    return tmp_path


def rendered(media: Path, recipe: Recipe = RECIPE, name: str = "out.mp4") -> Path:
    target = media / name
    render(recipe, image=media / "image", audio=media / "audio", target=target, cancelled=lambda: False)
    return target


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


@pytest.mark.parametrize("seconds", [2.0, 3.34])
@pytest.mark.parametrize("kind", ["wav", "mp3", "m4a", "aac"])
def test_a_preview_is_as_long_as_its_sound(media: Path, kind: str, seconds: float) -> None:
    (media / "audio").write_bytes(recording(seconds, kind, rate=44_100))
    recipe = Recipe(image_key="image", audio_key="audio", audio_format=kind, mode=Mode.STD, watermark=False)
    with av.open(str(rendered(media, recipe))) as container:
        (video,), (sound,) = container.streams.video, container.streams.audio
        assert (video.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert (video.codec_context.pix_fmt, video.average_rate) == ("yuv420p", 25)
        length = float(video.duration * video.time_base)
        assert abs(float(sound.duration * sound.time_base) - seconds) < 0.1
        assert abs(length - float(sound.duration * sound.time_base)) <= 0.04
        assert abs(container.duration / av.time_base - seconds) < 0.1
        assert sum(1 for _ in container.decode(video=0)) == round(length * 25)


def test_the_index_stands_before_the_pictures(media: Path) -> None:
    data = rendered(media).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_sound_is_the_recording(media: Path) -> None:
    with av.open(str(rendered(media))) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    spectrum = np.abs(np.fft.rfft(sound))
    assert abs(np.argmax(spectrum) * 48_000 / len(sound) - 220) < 3


def test_the_same_input_gives_the_same_bytes_and_a_key_of_its_own(media: Path) -> None:
    assert rendered(media, name="a.mp4").read_bytes() == rendered(media, name="b.mp4").read_bytes()
    marked = Recipe(image_key="image", audio_key="audio", audio_format="wav", mode=Mode.STD, watermark=True)
    assert RECIPE.key != marked.key


def test_the_watermark_is_seen_all_over_the_picture(media: Path) -> None:
    marked = Recipe(image_key="image", audio_key="audio", audio_format="wav", mode=Mode.STD, watermark=True)
    plain, shown = pictures(rendered(media))[0], pictures(rendered(media, marked, "marked.mp4"))[0]
    difference = np.abs(plain.astype(int) - shown) > 12
    height, width = difference.shape
    for row in range(2):
        for column in range(2):
            quarter = difference[
                row * height // 2 : (row + 1) * height // 2, column * width // 2 : (column + 1) * width // 2
            ]
            assert quarter.mean() > 0.01


def test_the_picture_moves_with_the_sound_and_rests_with_it(media: Path) -> None:
    (media / "audio").write_bytes(recording(4, quiet_from=2))
    frames = pictures(rendered(media))
    moved = [float(np.abs(a.astype(int) - b).mean()) for a, b in pairwise(frames)]
    assert np.mean(moved[:45]) > 2 * np.mean(moved[70:])
    assert frames[12].mean() > frames[75].mean()


@pytest.mark.parametrize(
    ("size", "mode", "expected"),
    [
        ((300, 300), Mode.STD, (720, 720)),
        ((301, 751), Mode.STD, (720, 1796)),
        ((4000, 3000), Mode.PRO, (1440, 1080)),
        ((1080, 1920), Mode.PRO, (1080, 1920)),
        ((1999, 1333), Mode.STD, (1080, 720)),
    ],
)
def test_the_size_keeps_the_aspect_and_is_even(
    size: tuple[int, int], mode: Mode, expected: tuple[int, int]
) -> None:
    assert output_size(*size, mode) == expected
    assert not any(side % 2 for side in expected)


def test_pro_is_1080_and_an_awkward_portrait_still_plays(media: Path) -> None:
    (media / "image").write_bytes(picture(301, 701))
    recipe = Recipe(image_key="image", audio_key="audio", audio_format="wav", mode=Mode.PRO, watermark=False)
    with av.open(str(rendered(media, recipe))) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (1080, 2516)


def test_the_camera_s_orientation_is_followed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    (tmp_path / "image").write_bytes(picture(400, 320, "JPEG", exif=exif))
    assert load_portrait(tmp_path / "image", Mode.STD).size == (720, 900)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "CMYK", "1", "RGB"])
def test_every_kind_of_colour_becomes_a_portrait(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image"
    Image.new(mode, (320, 320)).save(path, "JPEG" if mode == "CMYK" else "PNG")
    portrait = load_portrait(path, Mode.STD)
    assert (portrait.mode, portrait.size) == ("RGB", (720, 720))
    expected = (255, 255, 255) if mode in ("RGBA", "LA", "CMYK") else (0, 0, 0)  # see-through shows white
    assert np.allclose(np.asarray(portrait)[360, 360], expected, atol=3)


def test_the_ladder_climbs_from_the_whole_portrait_to_the_closest() -> None:
    ladder = zoom_ladder(Image.new("RGB", (720, 900), (90, 90, 90)), watermark=False)
    assert len(ladder) == RUNGS
    assert ladder[0].shape == (1350, 720)
    assert ladder[0][450, 360] < ladder[-1][450, 360]
    assert rung_index(0, 0) == 0
    assert rung_index(1, 2) == RUNGS - 1


def test_a_cancelled_rendering_leaves_nothing_behind(media: Path) -> None:
    asked: list[int] = []

    def after_ten() -> bool:
        asked.append(1)
        return len(asked) > 10

    with pytest.raises(RenderCancelled):
        render(
            RECIPE,
            image=media / "image",
            audio=media / "audio",
            target=media / "out.mp4",
            cancelled=after_ten,
        )
    assert sorted(path.name for path in media.iterdir()) == ["audio", "image"]


def test_memory_does_not_grow_with_the_length(media: Path) -> None:
    rendered(media)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (media / "audio").write_bytes(recording(20, rate=8000))
    rendered(media, name="long.mp4")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KB; 500 frames are 500 MB
