"""The example campaigns run as they are, and their videos are what the report says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import pytest

from manifest_runner.media import probe_audio

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("quickstart.yaml", "from-spreadsheet.yaml", "rows.csv", "from-script.yaml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    shutil.copytree(EXAMPLES / "assets", tmp_path / "assets")
    return tmp_path


def opened(path: Path) -> tuple[float, int, int]:
    """The video stream's seconds, and how many video and audio streams there are."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        seconds = float(stream.duration * stream.time_base)
        return seconds, len(container.streams.video), len(container.streams.audio)


def test_quickstart(cli, folder):
    answer = cli("run", "quickstart.yaml")
    assert answer.returncode == 0, answer.stderr
    out = folder / "out" / "quickstart"
    jobs = {job["external_task_id"]: job for job in json.loads((out / "report.json").read_text())["jobs"]}
    assert {job["outcome"] for job in jobs.values()} == {"done"}
    assert (out / "spring-offer.watermark.mp4").is_file()
    sounds = {
        "welcome": "welcome.mp3",
        "tour": "tour.m4a",
        "thanks": "thanks.aac",
        "spring-offer": "spring.wav",
    }
    for key, job in jobs.items():
        seconds, videos, audios = opened(out / job["file"])
        assert (videos, audios) == (1, 1)
        if key in sounds:
            assert abs(seconds - float(probe_audio(folder / "assets" / sounds[key]).seconds)) < 0.1


def test_a_script(cli, folder):
    answer = cli("run", "from-script.yaml", "--json")
    assert answer.returncode == 0, answer.stderr
    report = json.loads(answer.stdout)
    assert report["totals"]["speech_calls"] == 3
    for job in report["jobs"]:
        captions = folder / "out" / "from-script" / job["captions_file"]
        last = captions.read_text(encoding="utf-8").strip().split("\n\n")[-1].splitlines()
        hours, minutes, seconds = last[1].split(" --> ")[1].replace(",", ".").split(":")
        ends = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        assert 0 <= float(job["video_seconds"]) - ends < 2, "the last words are said near the end"


@pytest.mark.parametrize("arguments", [("from-spreadsheet.yaml",), ("rows.csv", "--service", "sandbox")])
def test_a_spreadsheet(cli, folder, arguments):
    answer = cli("run", *arguments, "--json")
    assert answer.returncode == 0, answer.stderr
    report = json.loads(answer.stdout)
    assert report["totals"]["by_outcome"] == {"done": 3}
    third = report["jobs"][2]
    assert (third["external_task_id"], third["tags"], third["vars"]) == (
        "007",
        ["staff"],
        {"first_name": "James"},
    )
