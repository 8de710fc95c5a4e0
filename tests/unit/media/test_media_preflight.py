from __future__ import annotations

import base64
import json
import os
import shutil
import time
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from media_kit import encoded, film, picture, wav
from PIL import Image

from manifest_runner.media import looking, preflight
from manifest_runner.models import Fit, FitMode, Job, Location, Speech

# The module; the package's attribute of this name is the function.
MODULE = import_module("manifest_runner.media.probe.look")
OFF = Fit(FitMode.OFF)
ROW = Location(file="m.yaml", line=7, json_path="$.jobs[0]")
IMAGE = Location(file="m.yaml", line=8, column=12, json_path="$.jobs[0].image")
SOUND = Location(file="m.yaml", line=9, column=17, json_path="$.jobs[0].sound_file")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "face.png").write_bytes(picture())
    (tmp_path / "voice.wav").write_bytes(wav(2.5))
    return tmp_path


def a_job(key: str = "a", *, located: bool = True, **fields: Any) -> Job:
    places = {"image": IMAGE, "sound_file": SOUND} if located else {}
    options = {"image": "face.png", "output": f"{key}.mp4", **fields}
    if not {"audio_id", "speech"} & options.keys():
        options.setdefault("sound_file", "voice.wav")
    return Job(external_task_id=key, location=ROW, field_locations=MappingProxyType(places), **options)


def test_a_good_job_has_its_facts_and_no_problem(folder: Path):
    answer = preflight([a_job()], folder)
    assert answer.problems == ()
    media = answer.of(a_job())
    assert media is not None
    assert media.image is not None and media.audio is not None
    assert (media.image.width, media.audio.container) == (320, "wav")
    assert media.seconds == Decimal("2.5")
    assert media.fingerprint.startswith("1:")
    assert set(media.fingerprint_parts) == {"image", "audio", "prompt", "mode", "watermark"}


def test_no_jobs_are_no_trouble(folder: Path):
    answer = preflight([], folder)
    assert (answer.problems, answer.warnings, answer.fitted) == ((), (), {})


@pytest.mark.parametrize(
    "fields",
    [
        {"sound_file": "https://example.com/a.mp3"},
        {"audio_id": "1234"},
        {"speech": Speech(text="Hello", voice_id="v", voice_language="en")},
    ],
)
def test_what_is_not_here_has_no_facts_and_no_duration(folder: Path, fields):
    job = a_job(image="https://example.com/a.png", **fields)
    media = preflight([job], folder).of(job)
    assert media is not None
    assert (media.image, media.audio, media.seconds) == (None, None, None)


BAD = [
    ({"image": "gone.png"}, IMAGE, "There is no file 'gone.png'."),
    ({"image": "file:///etc/passwd"}, IMAGE, "'file:' is nothing the service can fetch."),
    ({"image": "text.png"}, IMAGE, "'text.png' is no picture that can be read: it looks like text."),
    ({"image": "small.png"}, IMAGE, "'small.png' is 299 x 300 pixels; each side must have at least 300."),
    ({"image": "."}, IMAGE, "'.' is a folder."),
    ({"sound_file": "pipe.wav"}, SOUND, "'pipe.wav' is a pipe or a device, not a file."),
    ({"sound_file": "loop.wav"}, SOUND, "'loop.wav' can't be read: Too many levels of symbolic links."),
    ({"sound_file": "text.mp3"}, SOUND, "'text.mp3' is no recording that can be read: it looks like text."),
    ({"sound_file": "film.mp4"}, SOUND, "'film.mp4' is a video."),
    ({"sound_file": "short.wav", "fit": OFF}, SOUND, "'short.wav' lasts 1 s; at least 2 s are wanted."),
    ({"sound_file": "long.wav"}, SOUND, "'long.wav' lasts more than 300 s."),
    (
        {"sound_file": "face.png"},
        SOUND,
        "'face.png' is no recording that can be read: it looks like a PNG picture.",
    ),
    ({"sound_file": "https://me:hush@example.com/a"}, SOUND, "The URL carries a user name or a password."),
]


@pytest.mark.parametrize(("fields", "location", "what"), BAD, ids=[str(fields) for fields, _, _ in BAD])
def test_a_problem_stands_at_its_own_field(folder: Path, fields, location, what):
    for name in ("text.png", "text.mp3"):
        (folder / name).write_text("Not what its name says.\n")
    (folder / "small.png").write_bytes(picture(299, 300))
    (folder / "short.wav").write_bytes(wav(1))
    (folder / "long.wav").write_bytes(wav(301, rate=2_000))
    (folder / "film.mp4").write_bytes(film())
    (folder / "loop.wav").symlink_to("loop.wav")
    os.mkfifo(folder / "pipe.wav")
    answer = preflight([a_job(**fields)], folder)
    [problem] = answer.problems
    assert (problem.location, problem.job) == (location, "a")
    assert problem.what == what
    assert problem.mend
    assert "hush" not in str(problem)
    assert answer.of(a_job(**fields)) is None
    assert answer.parts_text_of(a_job(**fields)) is None


def test_a_field_that_came_from_the_defaults_is_reported_at_its_row(folder: Path):
    [problem] = preflight([a_job(located=False, image="gone.png")], folder).problems
    assert problem.location == ROW


def test_one_jobs_trouble_hides_no_others_and_the_order_is_the_jobs(folder: Path):
    (folder / "bad.png").write_bytes(picture(200, 600))
    jobs = [
        a_job("a", image="gone.png", sound_file="gone.wav"),
        a_job("b"),
        a_job("c", image="bad.png"),
        a_job("d", sound_file="gone.wav"),
    ]
    answer = preflight(jobs, folder)
    assert [(problem.job, problem.location) for problem in answer.problems] == [
        ("a", IMAGE),
        ("a", SOUND),
        ("c", IMAGE),  # too small
        ("c", IMAGE),  # and too tall
        ("d", SOUND),
    ]
    assert [job.external_task_id for job in jobs if answer.of(job) is not None] == ["b"]


def test_a_picture_is_a_picture_even_where_the_same_file_is_named_as_sound(folder: Path):
    answer = preflight([a_job("a", sound_file="face.png"), a_job("b", image="voice.wav")], folder)
    assert [problem.location for problem in answer.problems] == [SOUND, IMAGE]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the real `read`, `probe_image` and `probe_audio` were asked for."""
    calls: dict[str, list[str]] = {"opened": [], "probe_image": [], "probe_audio": []}
    homes = {"opened": "look", "probe_image": "image", "probe_audio": "audio"}
    for name, asked in calls.items():
        home = import_module(f"manifest_runner.media.probe.{homes[name]}")
        real = getattr(home, name)

        def spy(first: Any, *rest: Any, real: Any = real, asked: list[str] = asked, **named: Any) -> Any:
            asked.append(named.get("name") or first.label)
            return real(first, *rest, **named)

        monkeypatch.setattr(home, name, spy)
    return calls


def test_each_distinct_file_is_looked_at_once(folder: Path, seen):
    (folder / "link.png").symlink_to("face.png")
    names = ["face.png", "./face.png", str(folder / "face.png"), "link.png"]
    jobs = [a_job(f"{index}", image=names[index % 4]) for index in range(40)]
    answer = preflight(jobs, folder)
    assert None not in {answer.parts_text_of(job) for job in jobs}
    assert len({answer.parts_text_of(job) for job in jobs}) == 1
    assert sorted(seen["opened"]) == ["'face.png'", "'voice.wav'"]
    assert (len(seen["probe_image"]), len(seen["probe_audio"])) == (1, 1)


def test_copies_are_read_and_not_probed_again(folder: Path, seen):
    shutil.copy(folder / "voice.wav", folder / "copy.wav")
    text = base64.b64encode((folder / "voice.wav").read_bytes()).decode()
    jobs = [a_job("a"), a_job("b", sound_file="copy.wav"), a_job("c", sound_file=text)]
    answer = preflight(jobs, folder, workers=1)
    assert len(seen["opened"]) == 4
    assert len(seen["probe_audio"]) == 1
    assert len({answer.parts_text_of(job) for job in jobs}) == 1


def test_what_is_strange_and_taken_is_a_warning(folder: Path):
    frames = [Image.new("RGB", (320, 320), colour) for colour in ("red", "blue")]
    frames[0].save(folder / "moves.gif", save_all=True, append_images=frames[1:])
    (folder / "silent.wav").write_bytes(wav(3, level=0))
    answer = preflight([a_job(image="moves.gif", sound_file="silent.wav")], folder)
    assert answer.problems == ()
    assert [warning.kind for warning in answer.warnings] == [
        "image with several pictures",
        "recording without a sound",
    ]
    assert [warning.location for warning in answer.warnings] == [IMAGE, SOUND]


def test_a_copy_is_called_by_its_own_name_in_messages(folder: Path):
    for name in ("one.wav", "two.wav"):
        (folder / name).write_bytes(wav(1))
    jobs = [a_job("a", sound_file="one.wav", fit=OFF), a_job("b", sound_file="two.wav", fit=OFF)]
    whats = [problem.what for problem in preflight(jobs, folder, workers=1).problems]
    assert [what.split()[0] for what in whats] == ["'one.wav'", "'two.wav'"]


@pytest.mark.parametrize("workers", [1, 4, None])
def test_progress_counts_every_job_once(folder: Path, workers):
    (folder / "voice.mp3").write_bytes(encoded("mp3", 2.5))
    told: list[int] = []
    jobs = [a_job("a"), a_job("b", sound_file="voice.mp3"), a_job("c", image="gone.png")]
    answer = preflight(jobs, folder, workers=workers, progress=told.append)
    assert told == [1, 1, 1]
    assert [job.external_task_id for job in jobs if answer.of(job)] == ["a", "b"]


def test_an_interrupt_leaves_the_waiting_files_unread(folder: Path, monkeypatch: pytest.MonkeyPatch):
    real, asked = MODULE.opened, []

    def slow(source: Any, *rest: Any) -> Any:
        asked.append(source)
        time.sleep(0.01)
        return real(source, *rest)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    for index in range(60):
        (folder / f"{index}.wav").write_bytes(wav(2 + index / 100, rate=4_000))
    monkeypatch.setattr(MODULE, "opened", slow)
    jobs = [a_job(str(index), sound_file=f"{index}.wav") for index in range(60)]
    with pytest.raises(KeyboardInterrupt):
        preflight(jobs, folder, workers=1, progress=interrupt)
    assert 2 <= len(asked) < 40


def test_jobs_come_out_in_their_order_and_each_with_its_media_known(folder: Path):
    """Also where the first file takes long, and all that are asked for after it are ready."""
    for index in range(30):
        (folder / f"{index}.wav").write_bytes(wav(2 + index / 100, rate=4_000))
    jobs = [a_job(str(index), sound_file=f"{index % 30}.wav") for index in range(90)]
    with looking(folder, workers=4) as found:
        passed = []
        for job in found.over(jobs):
            media = found.of(job)
            assert media is not None and media.seconds is not None
            passed.append(job)
    assert passed == jobs
    assert found.of(jobs[-1]) is not None, "what was found stays known"


def test_what_is_made_to_fit_is_counted_by_jobs(folder: Path):
    (folder / "short.wav").write_bytes(wav(1))
    jobs = [a_job("a", sound_file="short.wav"), a_job("b", sound_file="short.wav"), a_job("c")]
    jobs.append(a_job("d", sound_file="short.wav", image="gone.png"))  # not sent, and not counted
    assert preflight(jobs, folder).fitted == {"sound_file": 2}


def test_the_parts_as_text_are_those_of_the_fingerprint(folder: Path):
    (folder / "long.wav").write_bytes(wav(301, rate=2_000))
    speech = Speech(text='Says "hello"', voice_id="v", voice_language="en")
    jobs = [
        a_job("a", prompt="ü \u2028"),
        a_job("b", sound_file="https://example.com/a.mp3", watermark=True),
        a_job("c", speech=speech),
        a_job("d", sound_file="long.wav", fit=Fit(trim=True)),
    ]
    found = preflight(jobs, folder)
    for job in jobs:
        media = found.of(job)
        assert media is not None
        assert found.parts_text_of(job) == json.dumps(dict(media.fingerprint_parts), sort_keys=True)
