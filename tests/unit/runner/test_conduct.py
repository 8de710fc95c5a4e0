"""A run's way with slots, refusals, doubt and time: what is sent, what is held back, and when it stops."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from scripted_campaign import Campaign, open_campaign, scripted, with_audio_id, with_files

from manifest_runner.cli.telling import calls_line
from manifest_runner.errors import (
    AccountPaused,
    BudgetReached,
    CredentialsError,
    LedgerError,
    NeedsPerson,
    ServiceUnreachable,
)
from manifest_runner.ledger import open_ledger
from manifest_runner.models import JobState, ServiceStatus
from manifest_runner.runner import again, conduct, courtesy, fetch, patience, send
from manifest_runner.runner import run as run_module
from manifest_runner.runner.again import Cause
from manifest_runner.runner.conduct import Outcome
from manifest_runner.runner.decide import Retry
from manifest_runner.runner.shelter import Shelter
from manifest_runner.service import retry

A, B, C = with_audio_id("a"), with_audio_id("b"), with_audio_id("c")
PENDING, SUBMITTING, RUNNING, DONE = JobState.PENDING, JobState.SUBMITTING, JobState.RUNNING, JobState.DONE


@pytest.fixture
async def campaign(tmp_path: Path) -> AsyncIterator[Campaign]:
    async with open_campaign(tmp_path) as campaign:
        yield campaign


@pytest.fixture
def swept() -> Iterator[None]:
    """What asyncio has to say of a test's remains is said at its end, not in the middle of another."""
    yield
    gc.collect()


@pytest.fixture
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """One job is made ready at a time, so that they are sent in the order of the manifest."""
    monkeypatch.setattr(conduct, "PREPARED_AHEAD", 1)


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bounds on tries, hundredths of seconds in place of seconds."""
    for cause, bound in list(again._BOUNDS.items()):
        monkeypatch.setitem(again._BOUNDS, cause, again._Bound(bound.tries, bound.first / 100, 0.05))


# -- what every job would meet -----------------------------------------------------------------------------------


async def test_an_account_that_cannot_pay_stops_the_run_and_loses_nothing(campaign, in_order):
    campaign.concurrency = 1
    campaign.service.every_create = "429/1102"
    ran = await campaign.run(A, B, C)
    assert isinstance(ran.outcome.stopped, AccountPaused)
    assert ran.exit_code == 4
    assert campaign.service.posts == ["a"]
    assert set(campaign.states().values()) == {PENDING}

    campaign.service.every_create = "ok"
    ran = await campaign.run(A, B, C)
    assert ran.exit_code == 0
    assert [len(campaign.job(key).attempts) for key in "abc"] == [1, 1, 1], "a refusal is no attempt"


async def test_a_key_that_is_refused_while_watching_stops_the_run(campaign):
    campaign.service.held = {"a"}
    campaign.service.lists += ["ok", "401/1000"]  # the first is the run's own hello
    ran = await campaign.run(A)
    assert isinstance(ran.outcome.stopped, CredentialsError)
    assert campaign.states() == {"a": RUNNING}


async def test_a_service_that_no_longer_tells_of_its_tasks_stops_the_run_after_a_while(campaign, monkeypatch):
    monkeypatch.setattr(patience, "GIVE_UP_AFTER", 0.0)
    campaign.service.held = {"a"}
    campaign.service.lists += ["ok", *["502"] * 50]
    campaign.service.look_ups += ["ok", "ok", *["502"] * 50]  # the first two are asked before it is sent
    ran = await campaign.run(A)
    assert isinstance(ran.outcome.stopped, ServiceUnreachable)
    assert campaign.states() == {"a": RUNNING}


async def test_a_list_that_is_broken_holds_up_neither_tasks_nor_results(campaign, monkeypatch):
    monkeypatch.setattr(run_module, "HELLO_TRIES", 1)
    campaign.service.lists += ["502"] * 1000
    ran = await campaign.run(A, B)
    assert (ran.exit_code, campaign.states()) == (0, {"a": DONE, "b": DONE})


async def test_a_service_that_goes_away_before_a_create_call_stops_the_run(
    campaign, in_order, short_waits, monkeypatch
):
    """Look-ups go on over the connection that is open; create calls, each on its own, find nobody."""
    campaign.concurrency = 1
    look_up = campaign.service.look_up

    def look_up_and_close(any_id):
        campaign.service.listening.close()
        return look_up(any_id)

    monkeypatch.setattr(campaign.service, "look_up", look_up_and_close)
    ran = await campaign.run(A, B)
    assert isinstance(ran.outcome.stopped, ServiceUnreachable)
    assert ran.exit_code == 4
    assert campaign.service.posts == []
    assert campaign.states() == {"a": PENDING, "b": PENDING}


async def test_a_ledger_that_breaks_stops_the_run(campaign, in_order, swept):
    """Nothing that was sent is forgotten by the outcome, whoever meets the broken file first."""
    campaign.service.held = {"a"}
    campaign.concurrency = 1
    with open_ledger(campaign.ledger, account="test") as ledger:
        going = asyncio.create_task(campaign.go(ledger, A, B))
        await campaign.service.until(lambda: "a" in campaign.service.tasks)
        await asyncio.sleep(0.1)
        with pytest.raises(LedgerError):
            await ledger.write(lambda connection: connection.execute("SELECT * FROM nowhere"))
        campaign.service.held.clear()
        outcome = await going
    assert isinstance(outcome.stopped, LedgerError)
    assert outcome.create_calls == 1
    assert campaign.service.posts == ["a"], "what can't be recorded is not sent"


async def test_what_a_sheltered_call_met_after_its_caller_had_gone_is_no_traceback():
    """A ledger that breaks while paid calls are under way; the reason is told once, by whoever met it first."""

    answered = asyncio.Event()

    async def meet_a_broken_ledger() -> None:
        await answered.wait()
        raise LedgerError("The ledger can't be used.")

    async def stop_meanwhile() -> None:
        shelter = Shelter()
        caller = asyncio.create_task(shelter.run(meet_a_broken_ledger()))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        answered.set()
        await shelter.finish()

    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
    await stop_meanwhile()
    await asyncio.sleep(0.01)  # the loop itself holds finished tasks for a turn
    gc.collect()
    assert said == []


async def test_a_ledger_that_breaks_under_the_watcher_is_told_with_what_was_sent(campaign, swept):
    service = campaign.service
    service.held = {"a"}
    with open_ledger(campaign.ledger, account="test") as ledger:
        going = asyncio.create_task(campaign.go(ledger, A))
        await service.until(lambda: "a" in service.tasks)
        await asyncio.sleep(0.1)
        with pytest.raises(LedgerError):
            await ledger.write(lambda connection: connection.execute("SELECT * FROM nowhere"))
        service.status = "processing"  # which the watcher wants to record
        (outcome,) = await asyncio.gather(going, return_exceptions=True)
    assert isinstance(outcome, Outcome), repr(outcome)
    assert isinstance(outcome.stopped, LedgerError)
    assert outcome.create_calls == 1


async def test_a_call_whose_answer_could_not_be_recorded_is_not_told_to_have_made_nothing(campaign, swept):
    with open_ledger(campaign.ledger, account="test") as ledger:
        service, real = campaign.service, campaign.service.create

        async def create(body):
            with pytest.raises(LedgerError):
                await ledger.write(lambda connection: connection.execute("SELECT * FROM nowhere"))
            return await real(body)

        service.create = create
        outcome = await campaign.go(ledger, A)
    assert (outcome.create_calls, outcome.tasks_created, outcome.calls_in_doubt) == (1, 0, 1)
    assert "of 1 it is not known yet, and it may be billed" in calls_line(outcome, 1)


# -- slots -------------------------------------------------------------------------------------------------------


async def test_no_slot_at_the_service_holds_the_others_back_and_costs_no_attempt(
    campaign, in_order, short_waits
):
    service = campaign.service
    service.creates["a"] += ["429/1303", "429/1303"]
    service.held = {"b"}
    going = asyncio.create_task(campaign.run(A, B, C))
    await service.until(lambda: "a" in service.posts and "b" in service.tasks)
    await asyncio.sleep(0.2)
    assert "c" not in service.posts, "what is in flight is what the account can take"
    service.held.clear()
    ran = await going
    assert ran.exit_code == 0
    assert service.posts.count("a") == 3
    assert sorted(service.tasks) == ["a", "b", "c"]
    assert [(attempt.number, attempt.posts) for attempt in campaign.job("a").attempts] == [(1, 3)]


async def test_an_account_without_a_slot_for_too_long_needs_a_person(campaign, short_waits, monkeypatch):
    """However seldom it is tried: below the ceiling the tries grow rare, and a number of them would take days."""
    monkeypatch.setattr(send, "LONGEST_WITHOUT_A_SLOT", 0.3)
    campaign.service.every_create = "429/1303"
    ran = await campaign.run(A, B)
    assert isinstance(ran.outcome.stopped, NeedsPerson)
    assert "no slot free for 0 minutes, at none of " in ran.outcome.stopped.what
    assert (ran.exit_code, campaign.states()) == (4, {"a": PENDING, "b": PENDING})
    campaign.service.every_create = "ok"
    assert (await campaign.run(A, B)).exit_code == 0


async def test_one_job_that_is_unlucky_while_others_get_slots_stops_nothing(campaign, monkeypatch):
    monkeypatch.setitem(again._BOUNDS, Cause.NO_SLOT, again._Bound(None, 0.2, 0.2))
    monkeypatch.setattr(send, "LONGEST_WITHOUT_A_SLOT", 0.3)
    campaign.concurrency, service = 3, campaign.service
    real, refused = service.create, 0

    async def create(body):
        nonlocal refused
        if body["external_task_id"] != "a" or refused == 4:
            return await real(body)
        refused, running = refused + 1, campaign.states().values()
        before = sum(state is not PENDING for state in running)
        while sum(state not in (PENDING, SUBMITTING) for state in campaign.states().values()) <= before:  # noqa: ASYNC110 - the ledger tells nobody
            await asyncio.sleep(0.01)  # until another job has got a slot
        return scripted("429/1303")

    service.create = create
    jobs = [with_audio_id(f"j{number:02}") for number in range(24)]
    ran = await campaign.run(A, *jobs)
    assert (ran.exit_code, refused) == (0, 4), ran.outcome.stopped


async def test_a_download_stands_aside_for_a_create_call(campaign, in_order, monkeypatch):
    monkeypatch.setattr(courtesy, "MOST", 60)
    campaign.concurrency = 1
    real, seen = campaign.service.create, []

    async def create(body):
        if body["external_task_id"] == "b":
            await asyncio.sleep(0.2)
            seen.append(campaign.states()["a"])
        return await real(body)

    campaign.service.create = create
    ran = await campaign.run(A, B)
    assert (ran.exit_code, seen) == (0, [JobState.RENDERED])


async def test_too_fast_for_too_long_leaves_the_job_pending(campaign, short_waits, monkeypatch):
    monkeypatch.setitem(again._BOUNDS, Cause.TOO_FAST, again._Bound(2, 0.01, 0.01))
    campaign.service.creates["a"] += ["429/1302", "429/1302"]
    ran = await campaign.run(A, B)
    assert campaign.states() == {"a": PENDING, "b": DONE}
    assert ran.outcome.problems[0].startswith("a: not sent after 2 tries")
    assert ran.exit_code == 3


async def test_no_more_tasks_at_once_than_the_manifest_allows(campaign, in_order):
    service = campaign.service
    jobs = [with_audio_id(f"j{number}") for number in range(6)]
    service.held = {job.external_task_id for job in jobs}
    going = asyncio.create_task(campaign.run(*jobs))
    for ended in range(6):
        await service.until(lambda ended=ended: len(service.tasks) == min(6, ended + 2))
        await asyncio.sleep(0.03)
        assert len(service.tasks) == min(6, ended + 2)
        service.held.remove(f"j{ended}")
    ran = await going
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 6)


async def test_a_job_that_waits_for_a_slot_and_one_that_waits_for_the_budget_do_not_wait_for_each_other(
    campaign, in_order, monkeypatch
):
    """The first keeps its units reserved while it waits to be sent again; the second has its slot meanwhile."""
    monkeypatch.setitem(again._BOUNDS, Cause.NO_SLOT, again._Bound(None, 0.2, 0.2))
    campaign.concurrency, campaign.budget = 1, "1.2"
    campaign.service.creates["a"] += ["429/1303"]
    async with asyncio.timeout(2):
        ran = await campaign.run(with_files("a"), with_files("b"))
    assert ran.exit_code == 5
    assert sorted(campaign.states().values()) == [DONE, PENDING]


# -- doubt -------------------------------------------------------------------------------------------------------


async def test_a_job_in_doubt_keeps_its_slot_while_the_others_go_on(campaign, in_order):
    service = campaign.service
    campaign.create_seconds = 0.4
    service.creates["a"] += ["lost"]
    ran = await campaign.run(A, B, C)
    assert ran.exit_code == 0
    log = service.log
    again_at = len(log) - 1 - log[::-1].index("post a")
    assert log.index("end b") < log.index("post c") < again_at, log
    assert [(attempt.attempt_id, attempt.posts) for attempt in campaign.job("a").attempts] == [("a", 2)]
    assert campaign.went("a") == [
        PENDING,
        SUBMITTING,
        SUBMITTING,
        PENDING,
        SUBMITTING,
        RUNNING,
        JobState.RENDERED,
        DONE,
    ]


async def test_doubt_that_cannot_be_settled_is_said_and_settled_by_the_next_run(campaign, monkeypatch):
    monkeypatch.setattr(retry, "LOOK_UP_TRIES", 1)
    service = campaign.service
    service.creates["a"] += ["lost though made"]
    service.blind = {"a"}
    ran = await campaign.run(A)
    assert ran.exit_code == 3
    assert ran.outcome.problems[0].startswith("a: ")
    assert campaign.states() == {"a": SUBMITTING}

    service.blind.clear()
    ran = await campaign.run(A)
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 0)
    assert (service.posts, campaign.states()) == (["a"], {"a": DONE})


async def test_the_slot_of_unsettled_doubt_is_given_to_nobody(campaign, in_order, monkeypatch):
    monkeypatch.setattr(retry, "LOOK_UP_TRIES", 1)
    campaign.concurrency = 1
    campaign.service.creates["a"] += ["lost though made"]
    campaign.service.blind = {"a"}
    ran = await campaign.run(A, B)
    assert isinstance(ran.outcome.stopped, NeedsPerson)
    assert campaign.service.posts == ["a"]
    assert campaign.states() == {"a": SUBMITTING, "b": PENDING}


async def test_what_a_killed_run_left_in_doubt_is_sent_again_once_it_is_surely_not_there(
    campaign, monkeypatch
):
    monkeypatch.setattr(retry, "LOOK_UP_TRIES", 1)
    campaign.create_seconds = 0.3
    campaign.service.creates["a"] += ["lost"]
    campaign.service.blind = {"a"}
    await campaign.run(A)
    assert campaign.states() == {"a": SUBMITTING}

    campaign.service.blind.clear()
    started = time.monotonic()
    ran = await campaign.run(A)
    assert time.monotonic() - started >= 0.45, "the lost request could still have been carried out"
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 1)
    assert [(attempt.attempt_id, attempt.posts) for attempt in campaign.job("a").attempts] == [("a", 2)]


async def test_what_was_in_doubt_and_left_the_manifest_is_not_sent_again(campaign, monkeypatch):
    monkeypatch.setattr(retry, "LOOK_UP_TRIES", 1)
    campaign.create_seconds = 0.3
    campaign.service.creates["a"] += ["lost"]
    campaign.service.blind = {"a"}
    await campaign.run(A)
    campaign.service.blind.clear()
    ran = await campaign.run(B)
    assert campaign.service.posts == ["a", "b"]
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 1)
    assert campaign.states() == {"a": PENDING, "b": DONE}


async def test_a_lost_task_that_turns_up_later_is_adopted_not_sent_again(campaign, monkeypatch):
    """Also where the service would make a second one of the same id: that it refuses duplicates is not proven."""
    monkeypatch.setitem(again._BOUNDS, Cause.NOT_FOUND, again._Bound(1, 0.0, 0.0))
    service = campaign.service
    service.duplicates_refused = False
    campaign.create_seconds = 0.3
    service.creates["a"] += ["lost"]
    await campaign.run(A)
    assert campaign.states() == {"a": PENDING}

    service.holds("a")  # the look-ups were answered by a replica that lagged
    await campaign.run(A)
    assert campaign.states() == {"a": DONE}
    assert service.posts == ["a"], "the service has our task: a second POST may be a second bill"


# -- tasks that take too long ------------------------------------------------------------------------------------


async def test_a_task_that_does_not_end_is_reported_and_the_others_use_the_other_slot(campaign):
    campaign.task_timeout = 0.2
    campaign.service.held = {"a"}
    ran = await campaign.run(A, B, C)
    assert campaign.states() == {"a": RUNNING, "b": DONE, "c": DONE}
    assert [problem for problem in ran.outcome.problems if "has not ended" in problem] == ran.outcome.problems
    assert campaign.service.tasks["a"].task_id in ran.outcome.problems[0]
    assert campaign.job("a").why.startswith("stuck: "), "the report and `explain` tell it too"
    assert ran.exit_code == 3


async def test_when_every_slot_is_held_by_such_a_task_a_person_is_needed(campaign, in_order):
    campaign.concurrency, campaign.task_timeout = 1, 0.2
    campaign.service.held = {"a"}
    ran = await campaign.run(A, B)
    assert isinstance(ran.outcome.stopped, NeedsPerson)
    assert "1 slots" in ran.outcome.stopped.what
    assert ran.exit_code == 4
    assert campaign.service.posts == ["a"]
    assert ran.outcome.problems, "which task it is has to be said"


async def test_a_job_that_left_the_manifest_is_still_watched_and_fetched(campaign):
    campaign.task_timeout = 0.2
    campaign.service.held = {"a"}
    await campaign.run(A)
    assert campaign.states() == {"a": RUNNING}
    campaign.service.held.clear()
    ran = await campaign.run(B)
    assert campaign.states() == {"a": DONE, "b": DONE}
    assert campaign.service.posts == ["a", "b"]
    assert campaign.file("a.mp4").is_file()
    assert ran.exit_code == 0


async def test_a_rendered_job_that_left_the_manifest_is_still_fetched(campaign, monkeypatch):
    monkeypatch.setattr(fetch, "TRIES", 1)
    campaign.service.results += ["502"]
    ran = await campaign.run(A)
    assert campaign.states() == {"a": JobState.RENDERED}
    assert ran.outcome.problems[0].startswith("a: ")
    ran = await campaign.run(B)
    assert (ran.exit_code, campaign.states()) == (0, {"a": DONE, "b": DONE})
    assert campaign.service.posts == ["a", "b"]


async def test_tasks_of_an_earlier_run_hold_their_slots(campaign):
    campaign.task_timeout, campaign.concurrency = 0.2, 1
    campaign.service.held = {"a"}
    await campaign.run(A)
    campaign.task_timeout = 60
    going = asyncio.create_task(campaign.run(A, B))
    await asyncio.sleep(0.3)
    assert campaign.service.posts == ["a"]
    campaign.service.held.clear()
    assert (await going).exit_code == 0
    assert campaign.service.posts == ["a", "b"]


# -- one job's own trouble ---------------------------------------------------------------------------------------


async def test_a_refused_and_a_failed_job_stop_no_other(campaign):
    campaign.service.creates["a"] += ["400/1301"]
    campaign.service.fails = {"b"}
    ran = await campaign.run(A, B, C)
    assert campaign.states() == {"a": JobState.REJECTED, "b": JobState.FAILED, "c": DONE}
    assert (ran.outcome.stopped, ran.exit_code) == (None, 3)

    ran = await campaign.run(A, B, C)
    assert ran.outcome.create_calls == 0, "what ended badly waits for a person's word"
    campaign.service.fails.clear()
    ran = await campaign.run(A, B, C, retry=(Retry.FAILED, Retry.REJECTED))
    assert ran.exit_code == 0
    assert sorted(campaign.service.posts) == ["a", "a-r2", "b", "b-r2", "c"]


async def test_an_id_that_the_account_already_has_is_a_conflict_and_never_sent(campaign):
    campaign.service.holds("a", created_at=time.time_ns() // 1_000_000 - 86_400_000)
    ran = await campaign.run(A, B)
    assert campaign.states() == {"a": JobState.CONFLICT, "b": DONE}
    assert campaign.service.posts == ["b"]
    assert ran.exit_code == 3


async def test_the_id_of_a_next_attempt_that_the_account_already_has_spoils_that_job_only(campaign):
    campaign.service.fails = {"a"}
    await campaign.run(A)
    campaign.service.holds("a-r2", created_at=time.time_ns() // 1_000_000 - 86_400_000)
    ran = await campaign.run(A, B, retry=(Retry.FAILED,))
    assert campaign.service.posts == ["a", "b"]
    assert campaign.states()["b"] is DONE
    assert ran.exit_code == 3


async def test_a_task_that_the_list_does_not_show_is_looked_up(campaign):
    campaign.service.unlisted = {"a"}
    ran = await campaign.run(A)
    assert ran.exit_code == 0
    assert f"look {campaign.service.tasks['a'].task_id}" in campaign.service.log


async def test_a_status_that_nobody_knows_is_kept_and_watched_on(campaign):
    service = campaign.service
    service.held = {"a"}
    going = asyncio.create_task(campaign.run(A))
    await service.until(lambda: "a" in service.tasks)
    service.status = "dreaming"
    looks = service.log.count("list")
    await service.until(lambda: service.log.count("list") >= looks + 3)  # what the second saw is recorded
    attempt = campaign.job("a").attempt
    assert attempt.service_status is ServiceStatus.UNKNOWN
    assert attempt.service_message == "an unknown status: dreaming"
    service.held.clear()
    assert (await going).exit_code == 0


async def test_a_task_that_cannot_be_looked_up_hides_no_other(campaign, monkeypatch):
    service = campaign.service
    look_up = service.look_up
    monkeypatch.setattr(
        service,
        "look_up",
        lambda any_id: (
            (502, b"") if "a" in service.tasks and any_id == service.tasks["a"].task_id else look_up(any_id)
        ),
    )
    service.unlisted = {"a", "b"}
    campaign.task_timeout = 0.5
    await campaign.run(A, B)
    assert campaign.states() == {"a": RUNNING, "b": DONE}


# -- the budget --------------------------------------------------------------------------------------------------


async def test_the_budget_stops_before_the_job_that_would_pass_it(campaign, in_order):
    campaign.concurrency, campaign.budget = 3, "2"
    jobs = [with_files(key) for key in "abc"]
    ran = await campaign.run(*jobs)
    assert isinstance(ran.outcome.stopped, BudgetReached)
    assert ran.exit_code == 5
    assert campaign.states() == {"a": DONE, "b": DONE, "c": PENDING}
    assert campaign.service.posts == ["a", "b"]
    assert campaign.spend().committed == Decimal("1.6")

    campaign.budget = "2.4"
    ran = await campaign.run(*jobs)
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 1)


async def test_jobs_that_turn_out_cheaper_leave_their_rest_to_the_next(campaign):
    campaign.concurrency, campaign.budget = 3, "2"
    campaign.service.units = "0.4"
    ran = await campaign.run(*[with_files(key) for key in "abcd"])
    assert (ran.exit_code, ran.outcome.create_calls) == (0, 4)
    assert campaign.spend().committed == Decimal("1.6")


async def test_a_deduction_that_is_not_reported_counts_as_the_worst_case(campaign, in_order):
    campaign.concurrency, campaign.budget = 3, "2"
    campaign.service.units = None
    ran = await campaign.run(*[with_files(key) for key in "abc"])
    assert ran.exit_code == 5
    assert campaign.service.posts == ["a", "b"]


async def test_a_call_that_may_have_arrived_is_settled_before_the_budget_ends_the_run(campaign):
    """However many jobs are longer: all of them wait for units that only this one can give back."""
    campaign.create_seconds = 0.05
    campaign.service.creates["z"] += ["lost"] * 3
    ran = await campaign.run(with_files("z"))
    assert campaign.states() == {"z": PENDING}
    campaign.budget = "0.9"
    async with asyncio.timeout(20):
        ran = await campaign.run(*[with_files(f"a{number}") for number in range(20)], with_files("z"))
    assert campaign.states()["z"] is DONE
    assert isinstance(ran.outcome.stopped, BudgetReached)
    assert ran.exit_code == 5


async def test_a_task_that_is_given_up_still_counts_against_the_budget(campaign, in_order):
    campaign.budget, campaign.task_timeout = "1.5", 0.2
    campaign.service.held = {"a"}
    ran = await campaign.run(with_files("a"), with_files("b"))
    assert isinstance(ran.outcome.stopped, BudgetReached)
    assert campaign.service.posts == ["a"]
    assert campaign.spend().reserved == Decimal("0.8")
