"""`status`: counts out of the ledger, of what the manifest names and of what it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from manifest_runner.cli.status import command
from manifest_runner.ledger import Ledger, enrolment, open_ledger
from manifest_runner.ledger.limits import limit_changed
from manifest_runner.models import Job


class Folder:
    """A campaign's folder with a sheet of jobs and, once something was enrolled, a ledger."""

    def __init__(self, path: Path) -> None:
        self.sheet = path / "c.csv"
        self.path = path / ".manifest-runner" / "ledger.sqlite3"

    def write(self, *ids: str) -> None:
        rows = "".join(f"{key},a.png,a.mp3\n" for key in ids)
        self.sheet.write_text(f"external_task_id,image,sound_file\n{rows}")

    def enrol(self, ledger: Ledger, *ids: str, changed: tuple[str, ...] = ()) -> None:
        entries = [
            enrolment.Enrolment(
                job=Job(external_task_id=key, image="a.png", sound_file="a.mp3", output=f"{key}.mp4"),
                position=number,
                units_estimated=None,
                changed=changed,
            )
            for number, key in enumerate(ids)
        ]
        ledger.write_now(enrolment.enrol, "c", entries)
        if changed:
            for key in ids:
                ledger.write_now(enrolment.enrol, "c", [entries[ids.index(key)]])

    def status(self, *arguments: str) -> Result:
        answer = CliRunner().invoke(
            command, [str(self.sheet), "--service", "sandbox", *arguments], standalone_mode=False
        )
        assert answer.exception is None, answer.output
        return answer

    def value(self) -> dict[str, Any]:
        return json.loads(self.status("--json").stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.path.parent.mkdir()
    return made


def test_a_campaign_that_was_never_run(folder):
    folder.write("a", "b")
    value = folder.value()
    assert (value["jobs"], value["by_state"], value["not_yet_known"]) == (2, {}, 2)
    assert (value["changed"], value["slots"], value["runner"], value["units_deducted"]) == (
        0,
        None,
        None,
        "0",
    )
    assert "not yet known  2" in folder.status().stdout


def test_what_the_manifest_names_is_told_from_what_it_does_not(folder):
    folder.write("007", "1e5", "new")
    with open_ledger(folder.path, account="sandbox") as ledger:
        folder.enrol(ledger, "007", "1e5", "gone")
        value = folder.value()
        said = folder.status().stdout
    assert (value["jobs"], value["by_state"], value["not_yet_known"]) == (3, {"pending": 2}, 1)
    assert value["not_in_manifest"] == {"pending": 1}
    assert value["runner"]["pid"], "it can be asked while a run goes on"
    assert "not in the manifest any more" in said


def test_rows_that_changed_since_they_were_sent_are_counted(folder):
    folder.write("a", "b")
    with open_ledger(folder.path, account="sandbox") as ledger:
        folder.enrol(ledger, "a", "gone", changed=("prompt",))
        folder.enrol(ledger, "b")
    assert folder.value()["changed"] == 1
    assert "1 row is no longer what was sent" in folder.status().stdout


def test_the_working_limit_lately(folder):
    folder.write("a")
    with open_ledger(folder.path, account="sandbox") as ledger:
        folder.enrol(ledger, "a")
        ledger.write_now(limit_changed, "c", 5, 0, "the run began")
        ledger.write_now(limit_changed, "other", 9, 0, "of another campaign")
        ledger.write_now(limit_changed, "c", 3, 3, "the account refused more")
    slots = folder.value()["slots"]
    assert (slots["limit"], slots["used"], slots["why"]) == (3, 3, "the account refused more")
    said = folder.status().stdout
    assert "Slots: 3 at once, since" in said
    assert "the account refused more." in said
