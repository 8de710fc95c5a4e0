"""Taking up tasks that the account has and the ledger does not know."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

SPOKEN = "speech: {text: Good morning to all of you, voice_id: oversea_male1, voice_language: en}"


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


def lose_the_ledger(folder: Path) -> None:
    for file in (folder / ".manifest-runner").glob("ledger.sqlite3*"):
        file.unlink()
    shutil.rmtree(folder / "out")


def report(folder: Path) -> dict:
    return json.loads((folder / "out" / "c" / "report.json").read_text(encoding="utf-8"))


def test_a_lost_ledger_is_rebuilt_from_the_service_and_the_manifest(cli, folder):
    write(folder, one="prompt: '[sandbox:fail]'", two="")
    cli("run", "c.yaml")
    write(folder, one="", two="", three="")
    assert cli("run", "c.yaml", "--retry", "failed").returncode == 0
    before = report(folder)
    lose_the_ledger(folder)
    (folder / "c.yaml").write_text(
        (folder / "c.yaml").read_text()
        + f"  - {{external_task_id: new, image: assets/portrait.png, {SPOKEN}}}\n"
    )

    answer = cli("adopt", "c.yaml", "--all")
    assert answer.returncode == 0, answer.stderr
    assert "3 adopted. Run the campaign to go on with them." in answer.stdout
    assert "1 not adopted, as the account shows no task of that id: a run may send it." in answer.stdout
    assert "2 attempts" in answer.stdout
    again = cli("adopt", "c.yaml", "--all")
    assert "0 adopted." in again.stdout
    assert "3 not adopted, under way in the ledger already: run the campaign." in again.stdout
    ran = cli("run", "c.yaml")
    assert ran.returncode == 0, ran.stderr
    assert "1 create call made" in ran.stdout, "only the one that the account did not have"
    after = {job["external_task_id"]: job for job in report(folder)["jobs"]}
    for job in before["jobs"]:
        again = after[job["external_task_id"]]
        same = ("task_id", "sha256", "attempts", "units_deducted", "outcome", "video_seconds")
        assert {name: again[name] for name in same} == {name: job[name] for name in same}


def test_a_conflict_is_settled_by_a_persons_word(cli, folder):
    write(folder, one="", two="")
    assert cli("run", "c.yaml").returncode == 0
    lose_the_ledger(folder)
    ran = cli("run", "c.yaml")
    assert ran.returncode == 3
    assert report(folder)["totals"]["by_outcome"] == {"conflict": 2}
    assert "No create call was made" in ran.stdout

    answer = cli("adopt", "c.yaml", "one")
    assert (answer.returncode, "one: task " in answer.stdout, "1 adopted." in answer.stdout) == (
        0,
        True,
        True,
    )
    assert cli("run", "c.yaml").returncode == 3
    assert report(folder)["totals"]["by_outcome"] == {"done": 1, "conflict": 1}
    known = cli("adopt", "c.yaml", "one")
    assert "0 adopted." in known.stdout
    assert "1 not adopted, in the ledger already, and the account has no newer task." in known.stdout
    assert "adopted by a person" in cli("explain", "c.yaml", "one").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [((), "Say which"), (("one", "--all"), "Say which"), (("nobody",), "no job 'nobody'")],
)
def test_what_to_adopt_has_to_be_said(cli, folder, arguments, says):
    write(folder, one="")
    answer = cli("adopt", "c.yaml", *arguments)
    assert answer.returncode == 2
    assert says in answer.stderr


def test_media_that_are_gone_keep_no_paid_task_from_being_adopted(cli, folder):
    write(folder, one="")
    assert cli("run", "c.yaml").returncode == 0
    lose_the_ledger(folder)
    (folder / "assets" / "portrait.png").unlink()
    answer = cli("adopt", "c.yaml", "--all")
    assert (answer.returncode, "1 adopted." in answer.stdout) == (0, True), answer.stderr
    assert cli("run", "c.yaml").returncode == 0, "nothing has to be sent for what is paid"


def test_what_an_adopted_text_cost_is_unknown_and_not_nothing(cli, folder):
    write(folder, one="")
    cli("run", "c.yaml")
    lose_the_ledger(folder)
    cli("adopt", "c.yaml", "--all")
    ran = cli("run", "c.yaml")
    assert "For 1 spoken text the service gave no figure" in ran.stdout
    assert report(folder)["jobs"][0]["units_speech"] is None
    assert "answered without a figure" in cli("explain", "c.yaml", "one").stdout
