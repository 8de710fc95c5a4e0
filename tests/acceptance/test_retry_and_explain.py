"""Sending again what ended badly, and telling what happened to a job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SPOKEN = "speech: {text: Good morning to all of you, voice_id: oversea_male1, voice_language: en}"
FAIL, REFUSE = "prompt: '[sandbox:fail]'", "prompt: '[sandbox:refuse]'"


@pytest.fixture
def folder(cli, tmp_path: Path) -> Path:
    cli("init", ".")
    return tmp_path


def write(folder: Path, **rows: str) -> None:
    lines = [
        f"  - {{external_task_id: {key}, image: assets/portrait.png, {SPOKEN}{', ' if more else ''}{more}}}\n"
        for key, more in rows.items()
    ]
    text = "version: 1\ncampaign: c\nservice: sandbox\njobs:\n" + "".join(lines)
    (folder / "c.yaml").write_text(text, encoding="utf-8")


def outcomes(folder: Path) -> dict[str, tuple[str, int]]:
    report = json.loads((folder / "out" / "c" / "report.json").read_text(encoding="utf-8"))
    return {job["external_task_id"]: (job["outcome"], job["attempts"]) for job in report["jobs"]}


def test_only_what_was_chosen_is_sent_again(cli, folder):
    write(folder, one=FAIL, two=FAIL, three=REFUSE, four="")
    assert cli("run", "c.yaml").returncode == 3
    before = {"one": ("failed", 1), "two": ("failed", 1), "three": ("rejected", 1), "four": ("done", 1)}
    assert outcomes(folder) == before

    write(folder, one="", two="", three=REFUSE, four="", new="")
    answer = cli("retry", "c.yaml", "--id", "one", "--id", "nobody")
    assert (answer.returncode, "The manifest has no job 'nobody'" in answer.stderr) == (2, True)
    assert outcomes(folder) == before
    answer = cli("retry", "c.yaml", "--id", "one", "--id", "four")
    assert answer.returncode == 3, "others are not done yet"
    assert "+ send    one" in answer.stderr, "what it costs is shown before"
    assert "units" in answer.stderr.split("+ send    one")[1].splitlines()[0]
    assert "four: not sent again: done" in answer.stderr
    assert outcomes(folder) == before | {"one": ("done", 2), "new": ("pending", 0)}

    assert "1 create call made" in cli("retry", "c.yaml", "--failed").stdout
    assert outcomes(folder)["two"] == ("done", 2)
    assert outcomes(folder)["three"] == ("rejected", 1), "another kind"


def test_nothing_to_send_again(cli, folder):
    write(folder, one="")
    assert cli("run", "c.yaml").returncode == 0
    for arguments in (("--failed",), ("--id", "one")):
        answer = cli("retry", "c.yaml", *arguments)
        assert answer.returncode == 0
        assert "No create call was made" in answer.stdout
    assert cli("retry", "c.yaml").returncode == 2


def test_a_jobs_story_from_first_to_last(cli, folder):
    write(folder, one=FAIL)
    cli("run", "c.yaml")
    write(folder, one="")
    assert cli("run", "c.yaml", "--retry", "failed").returncode == 0
    for name in ("one", "one-r2"):
        story = cli("explain", "c.yaml", name)
        assert story.returncode == 0
        said = story.stdout
    told = [
        "Job one of campaign c: done.",
        "It became known",
        "about to leave as one,",
        "The task failed",
        "about to leave as one-r2",
        "The video was fetched and checked",
        "Attempt 1 (one, task ",
        "Attempt 2 (one-r2, task ",
        "Text to speech: 0.05 units for 1 call.",
        "Deducted so far: ",
        "Video: one.mp4",
    ]
    places = [said.index(words) for words in told]
    assert places == sorted(places)
    events = json.loads(cli("explain", "c.yaml", "one", "--json").stdout)
    assert [event["to"] for event in events][-1] == "done"
    assert all(event["at"].endswith("Z") for event in events)


def test_a_job_that_nobody_knows(cli, folder):
    write(folder, one="")
    assert cli("explain", "c.yaml", "one").returncode == 2  # there is no ledger yet
    cli("run", "c.yaml")
    answer = cli("explain", "c.yaml", "two")
    assert answer.returncode == 2
    assert "no job 'two'" in answer.stderr
    assert "`manifest-runner plan --all`" in answer.stderr


def test_an_edited_refused_row_is_for_run_and_not_for_retry(cli, folder):
    """Another job than the one that was named is not paid, whatever a run would do with it."""
    write(folder, one=FAIL, two=REFUSE)
    assert cli("run", "c.yaml").returncode == 3
    write(folder, one="", two="")
    for arguments in (("--failed",), ("--id", "one")):
        answer = cli("retry", "c.yaml", *arguments)
        assert answer.returncode == 3
        assert outcomes(folder) == {"one": ("done", 2), "two": ("rejected", 1)}
    assert cli("run", "c.yaml").returncode == 0
