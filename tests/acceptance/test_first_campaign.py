"""From `init` to a report, and again: what a new user does first."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import av


def seconds_of(path: Path) -> tuple[float, int, int]:
    with av.open(str(path)) as container:
        video, audio = container.streams.video, container.streams.audio
        return container.duration / av.time_base, len(video), len(audio)


def test_init_run_and_run_again(cli, tmp_path):
    assert cli("init", ".").returncode == 0
    first = cli("run", "campaign.yaml")
    assert first.returncode == 0, first.stderr
    assert "2 create calls made" in first.stdout

    out = tmp_path / "out" / "first-campaign"
    report = json.loads((out / "report.json").read_text())
    assert report["totals"]["by_outcome"] == {"done": 2}
    assert report["totals"]["jobs_units_unknown"] == 0
    jobs = report["jobs"]
    total = sum((Decimal(job["units_deducted"]) for job in jobs), Decimal(report["totals"]["speech_units"]))
    assert Decimal(report["totals"]["units_deducted"]) == total > 0
    for job in jobs:
        duration, videos, sounds = seconds_of(out / job["file"])
        assert (videos, sounds) == (1, 1)
        assert abs(duration - float(job["video_seconds"])) < 0.1

    videos_before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.mp4")}
    second = cli("run", "campaign.yaml")
    assert second.returncode == 0, second.stderr
    assert "No create call was made" in second.stdout
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.mp4")} == videos_before


def test_a_deleted_video_is_fetched_again_without_paying(cli, tmp_path):
    cli("init", ".")
    assert cli("run", "campaign.yaml").returncode == 0
    out = tmp_path / "out" / "first-campaign"
    before = json.loads((out / "report.json").read_text())
    (out / "hello-ana.mp4").unlink()
    again = cli("run", "campaign.yaml")
    assert again.returncode == 0, again.stderr
    assert "No create call was made" in again.stdout
    after = json.loads((out / "report.json").read_text())
    assert (out / "hello-ana.mp4").is_file()
    assert after["totals"]["units_deducted"] == before["totals"]["units_deducted"]


def test_init_overwrites_nothing(cli):
    assert cli("init", "here").returncode == 0
    again = cli("init", "here")
    assert again.returncode == 2
    assert "Already there" in again.stderr


def test_a_row_that_was_taken_out_before_it_was_sent_is_forgotten(cli, tmp_path):
    cli("init", ".")
    assert cli("run", "campaign.yaml", "--budget-units", "2.5").returncode == 5
    report = tmp_path / "out" / "first-campaign" / "report.json"
    jobs = json.loads(report.read_text())["jobs"]
    (unsent,) = [job["external_task_id"] for job in jobs if job["outcome"] == "pending"]
    lines = (tmp_path / "campaign.yaml").read_text().splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if unsent in line)
    (tmp_path / "campaign.yaml").write_text("".join(lines[:start] + lines[start + 3 :]))
    assert cli("run", "campaign.yaml").returncode == 0
    assert [job["outcome"] for job in json.loads(report.read_text())["jobs"]] == ["done"]
