"""Whose trouble an error is: one job's, or everybody's."""

from pathlib import Path

import pytest

from manifest_runner.errors import (
    AccountPaused,
    BudgetReached,
    FetchError,
    LedgerError,
    MediaError,
    NeedsPerson,
    ServiceRefused,
    TransportFault,
)
from manifest_runner.errors import RequestPhase as Phase
from manifest_runner.ledger import enrolment, open_ledger, queries
from manifest_runner.models import Job
from manifest_runner.runner.decide import Action
from manifest_runner.runner.guard import Guard
from manifest_runner.runner.step import Step
from manifest_runner.runner.stop import Stop

JOB = Job(external_task_id="welcome", image="a.png", sound_file="a.mp3", output="welcome.mp4")
STEP = Step(external_task_id="welcome", action=Action.SEND, why="new", output=JOB.output, job=JOB)


@pytest.fixture
def ledger(tmp_path: Path):
    with open_ledger(tmp_path / "ledger.sqlite3", account="test") as ledger:
        entry = enrolment.Enrolment(job=JOB, position=0, units_estimated=None)
        ledger.write_now(enrolment.enrol, "c", [entry])
        yield ledger


async def meet(ledger, error: BaseException) -> tuple[Guard, Stop]:
    async def work(raised: BaseException) -> None:
        raise raised

    stop = Stop()
    guard = Guard(ledger, stop)
    await guard.run(STEP, work, error)
    return guard, stop


@pytest.mark.parametrize(
    "error",
    [
        FetchError("the video broke off."),
        MediaError("a.png changed."),
        TransportFault("no answer.", phase=Phase.MAYBE_SENT),
        ServiceRefused("refused.", code=1203, http_status=404),
    ],
)
async def test_one_jobs_trouble_is_said_and_recorded_and_the_others_go_on(ledger, error):
    guard, stop = await meet(ledger, error)
    assert (stop.reason, stop.no_more) == (None, None)
    assert guard.problems == [f"welcome: {error}"]
    assert ledger.read(queries.job, "welcome").why == str(error)


@pytest.mark.parametrize("error", [LedgerError("disk full."), NeedsPerson("no room.")])
async def test_what_needs_a_person_ends_the_run(ledger, error):
    guard, stop = await meet(ledger, error)
    assert stop.reason is error
    assert guard.problems == []


async def test_an_empty_account_ends_the_run(ledger):
    _, stop = await meet(ledger, ServiceRefused("refused.", code=1102, http_status=429))
    assert isinstance(stop.reason, AccountPaused)


async def test_the_budget_lets_what_was_sent_come_home(ledger):
    reached = BudgetReached("50 units.")
    _, stop = await meet(ledger, reached)
    assert (stop.reason, stop.no_more) == (None, reached)


async def test_a_bug_of_ours_sends_nothing_more_and_says_where(ledger):
    _, stop = await meet(ledger, KeyError("surprise"))
    assert stop.reason is None
    assert stop.no_more.exit_code == 1
    assert "job welcome: KeyError: 'surprise'" in str(stop.no_more)


async def test_the_first_reason_counts():
    stop, first = Stop(), BudgetReached("first")
    stop.send_no_more(first)
    stop.send_no_more(BudgetReached("second"))
    assert stop.no_more is first
