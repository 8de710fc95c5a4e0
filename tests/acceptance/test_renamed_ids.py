"""A sheet whose ids were changed after its videos were paid for: said before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SHEET = "external_task_id,image,speech.text,speech.voice_id,speech.voice_language\n"
TEXTS = {"one": "Good morning to all of you", "two": "Good evening to all of you", "three": "Good night"}


def write(folder: Path, ids: dict[str, str]) -> None:
    """A row for each text, under the id that `ids` gives it."""
    rows = [
        f"{ids.get(key, key)},assets/portrait.png,{text},oversea_male1,en\n" for key, text in TEXTS.items()
    ]
    (folder / "c.csv").write_text(SHEET + "".join(rows), encoding="utf-8")


@pytest.fixture
def campaign(cli, tmp_path: Path) -> Path:
    """A campaign that is done, and whose first two ids were changed then."""
    cli("init", ".")
    write(tmp_path, {})
    assert cli("run", "c.csv", "--service", "sandbox").returncode == 0
    write(tmp_path, {"one": "intro", "two": "outro"})
    return tmp_path


GONE = "2 jobs with paid videos are no longer in the manifest: one, two."
TWICE = "2 rows that would be sent ask for exactly what was paid for under another id"


def test_the_plan_says_so(cli, campaign):
    said = cli("plan", "c.csv", "--service", "sandbox").stdout
    for sentence in (GONE, TWICE, "intro: paid as one (one.mp4)", "outro: paid as two (two.mp4)"):
        assert sentence in said
    assert "2 to send, 1 done." in said
    plan = json.loads(cli("plan", "c.csv", "--service", "sandbox", "--json").stdout)
    assert plan["no_longer_named"] == {"count": 2, "first": ["one", "two"]}
    assert {row["external_task_id"]: row["paid_as"] for row in plan["paid_before"]["jobs"]} == {
        "intro": "one",
        "outro": "two",
    }
    assert plan["paid_before"]["units_estimated"] == plan["units_estimated"]


def test_a_run_says_so_before_it_sends(cli, campaign):
    said = cli("run", "c.csv", "--service", "sandbox", "--yes").stderr
    assert said.index(GONE) < said.index(TWICE) < said.index("2 to send")


def test_the_old_ids_cost_nothing(cli, campaign):
    write(campaign, {})
    answer = cli("run", "c.csv", "--service", "sandbox")
    assert "No create call was made." in answer.stdout
    said = cli("plan", "c.csv", "--service", "sandbox").stdout
    assert "3 done." in said
    assert "no longer" not in said
