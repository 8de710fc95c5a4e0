"""--select, --exclude, --limit: only what is meant is sent, and the exit code speaks of that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SHEET = "external_task_id,image,speech.text,speech.voice_id,speech.voice_language,tags\n"
ROWS = {
    "one": ("Good morning to all", "de"),
    "two": ("Good evening to all", "de"),
    "six": ("Good night", "en"),
}
SANDBOX = ("c.csv", "--service", "sandbox")


def write(folder: Path, **texts: str) -> None:
    rows = [
        f"{key},{'nowhere' if key == 'bad' else 'assets/portrait'}.png,{texts.get(key, text)},oversea_male1,en,{tag}\n"
        for key, (text, tag) in {**ROWS, "bad": ("No picture", "bad")}.items()
    ]
    (folder / "c.csv").write_text(SHEET + "".join(rows), encoding="utf-8")


@pytest.fixture
def folder(cli, tmp_path: Path) -> Path:
    cli("init", ".")
    write(tmp_path)
    return tmp_path


def ids(answer) -> list[str]:
    return [step["external_task_id"] for step in json.loads(answer.stdout)["steps"]]


def test_what_is_selected_is_made_and_nothing_else(cli, folder):
    """One row of the sheet can't be used: it stands in nobody's way who has not selected it."""
    assert cli("run", *SANDBOX).returncode == 2
    answer = cli("run", *SANDBOX, "--select", "tag:de", "--limit", "1")
    assert answer.returncode == 0, answer.stderr
    assert "1 create call made in this run" in answer.stdout
    assert [path.name for path in (folder / "out" / "c").glob("*.mp4")] == ["one.mp4"]

    again = cli("run", *SANDBOX, "--select", "one")
    assert "Nothing was left to send: every job that was selected is done." in again.stdout
    assert cli("run", *SANDBOX, "--exclude", "bad", "--exclude", "tag:de").returncode == 0
    plan = cli("plan", *SANDBOX, "--exclude", "bad")
    assert "1 to send, 2 done." in plan.stdout
    assert ids(
        cli("plan", *SANDBOX, "--select", "state:new", "--select", "rows:3-", "--exclude", "bad", "--json")
    ) == ["two"]
    assert "3 jobs" in cli("validate", *SANDBOX, "--exclude", "bad").stdout
    status = json.loads(cli("status", *SANDBOX, "--select", "tag:de", "--json").stdout)
    assert (status["jobs"], status["by_state"]) == (2, {"done": 1})


def test_what_changed_since_it_was_sent_can_be_selected(cli, folder):
    assert cli("run", *SANDBOX, "--exclude", "bad").returncode == 0
    write(folder, two="Good evening to both of you")
    assert ids(cli("plan", *SANDBOX, "--select", "changed", "--exclude", "bad", "--json")) == ["two"]
    assert "No job of the manifest is selected." in cli("plan", *SANDBOX, "--select", "changed,tag:en").stderr
    again = cli("run", *SANDBOX, "--select", "changed,tag:de", "--retry", "changed", "--yes")
    assert again.returncode == 0, again.stderr
    assert "1 create call made in this run" in again.stdout


def test_the_rest_of_a_campaign_keeps_its_place(cli, folder):
    """What was not selected is neither forgotten nor called unchanged."""
    assert cli("run", *SANDBOX, "--exclude", "bad").returncode == 0
    write(folder, two="Good evening to both of you")
    assert cli("run", *SANDBOX, "--exclude", "bad").returncode == 3
    assert cli("run", *SANDBOX, "--select", "six").returncode == 0
    status = json.loads(cli("status", *SANDBOX, "--json").stdout)
    assert (status["changed"], status["by_state"], status["not_yet_known"]) == (1, {"done": 3}, 1)


@pytest.mark.parametrize("command", ["validate", "plan", "run", "rehearse", "status"])
def test_a_selection_of_nothing_is_a_mistake(cli, folder, command):
    answer = cli(command, *SANDBOX, "--select", "nobody")
    assert answer.returncode == 2
    assert "No job of the manifest is selected." in answer.stderr
    assert "`colour:red` selects nothing" in cli(command, *SANDBOX, "--select", "colour:red").stderr


def test_a_rehearsal_is_of_what_is_selected(cli, folder):
    assert cli("rehearse", *SANDBOX, "--select", "tag:en").returncode == 0
    assert [path.name for path in (folder / "out/c/rehearsal").glob("*.mp4")] == ["six.mp4"]
