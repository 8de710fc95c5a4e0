"""What `plan` prints: the head of a long plan, every count exact, how far the budget goes, and what looks renamed."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from manifest_runner.cli.plan import SHOWN, budget_lines, budget_value, plan_json, plan_lines
from manifest_runner.cli.renaming import SHOWN as TWINS
from manifest_runner.cli.renaming import renaming_lines, renaming_value
from manifest_runner.media import preflight
from manifest_runner.models import Job
from manifest_runner.runner.plan import Plan
from manifest_runner.runner.renamed import Renamed, Twin
from manifest_runner.runner.survey import plan_of_everything


def plan_of(folder: Path, rows: int) -> Plan:
    """Of jobs that all cost the same, at the most: nobody knows how long their sounds are."""
    jobs = [
        Job(
            external_task_id=f"job-{number:05}",
            image="https://example.com/a.png",
            sound_file="https://example.com/a.mp3",
            output=f"{number}.mp4",
        )
        for number in range(rows)
    ]
    return plan_of_everything(jobs, preflight(jobs, folder))


def test_a_long_plan_is_cut_and_its_counts_are_not(tmp_path):
    plan = plan_of(tmp_path, SHOWN + 1_200)
    lines = list(plan_lines(plan, hint=" (more)"))
    assert sum(line.startswith("+ send") for line in lines) == SHOWN
    assert lines[SHOWN] == "+ ... and 1,200 more to send (more)"
    assert lines[SHOWN + 1] == "1,250 to send."
    assert len(lines) == SHOWN + 3


def test_everything_is_shown_when_asked_for(tmp_path):
    plan = plan_of(tmp_path, SHOWN + 7)
    lines = list(plan_lines(plan, everything=True))
    assert sum("job-" in line for line in lines) == SHOWN + 7
    assert not any("..." in line for line in lines)
    steps = json.loads("".join(plan_json(plan, {}, everything=False)))["steps"]
    assert len(steps) == SHOWN + 7, "JSON is never cut"


def test_a_plan_that_fits_is_not_cut(tmp_path):
    assert not any("..." in line for line in plan_lines(plan_of(tmp_path, SHOWN)))


@pytest.mark.parametrize(("videos", "within"), [("0", 0), ("0.9", 0), ("1", 1), ("2.5", 2), ("4", 4)])
def test_how_many_of_the_first_the_budget_lets_through(tmp_path, videos, within):
    plan = plan_of(tmp_path, 4)
    left = Decimal(videos) * plan.high / 4
    assert budget_value(plan, left)["within_budget"] == within
    said = " ".join(budget_lines(plan, left))
    assert (f"it is enough for {within} of 4 to send" in said) == (within < 4)


def test_without_a_budget_nothing_is_said_of_one(tmp_path):
    plan = plan_of(tmp_path, 1)
    assert budget_lines(plan, None) == []
    assert budget_value(plan, None) == {"budget_units_left": None, "within_budget": None}


def twins(count: int, campaign: str = "c") -> tuple[Twin, ...]:
    return tuple(
        Twin(external_task_id=f"new-{n}", paid_as=f"old-{n}", campaign=campaign, file=f"old-{n}.mp4")
        for n in range(count)
    )


def test_what_looks_renamed_is_counted_and_a_few_are_named():
    found = Renamed(
        gone=2_000, first_gone=("a", "b"), twins=twins(TWINS + 1_000), low=Decimal(2), high=Decimal(3)
    )
    gone, head, *named, more, mend = renaming_lines(found, "c")
    assert gone.startswith("2,000 jobs with paid videos are no longer in the manifest: a, b and 1,998 more.")
    assert f"{TWINS + 1_000:,} rows" in head
    assert "2 to 3 units" in head
    assert [line.strip() for line in named] == [
        f"new-{n}: paid as old-{n} (old-{n}.mp4)" for n in range(TWINS)
    ]
    assert more == "  and 1,000 more"
    assert "old ones back" in mend
    assert len(renaming_value(found)["paid_before"]["jobs"]) == TWINS + 1_000, "JSON names them all"


def test_a_campaign_that_was_renamed_is_named():
    said = "\n".join(renaming_lines(Renamed(twins=twins(1, "spring"), high=Decimal(1)), "c"))
    assert "old-0 of the campaign spring (old-0.mp4)" in said
    assert "--campaign spring" in said


def test_nothing_is_said_where_nothing_looks_renamed():
    assert renaming_lines(Renamed(), "c") == []
