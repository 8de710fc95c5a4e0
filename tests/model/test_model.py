"""Any order of submit, poll, callback, crash, resume, fetch, edit and retry: paid once, lost never.

A Hypothesis state machine drives a real campaign (ledger file, output folder, sockets) against a service whose books
are the judge. After every step `model_promises.check` holds; at the end all that went wrong is mended, and a plain run
brings everything home that has no reason of its own to stay away.

`MODEL_EXAMPLES=250` searches as many campaigns, other ones each time, and says what it met; MODEL_STEPS sets their
length.
"""

from __future__ import annotations

import logging
import os
import sys

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant
from model_draws import ALL, COMING, KINDS, MISHAPS, NTH, PLAIN, ROWS, WANTED, Coming, Mishap, trouble_of
from model_promises import (
    Person,
    check,
    check_all_is_as_asked,
    check_only_explained_leftovers,
    newest,
    note_wishes,
)
from model_rig import Rig
from model_service import LOST_MEANWHILE, Wanted, job_of
from model_tally import look_around, look_back, said, seen, step, tell

from manifest_runner.ledger import AttemptRecord
from manifest_runner.models import JobState, attempt_id
from manifest_runner.runner.decide import Retry
from manifest_runner.service import Task

LONG = int(os.environ.get("MODEL_EXAMPLES", "0"))


@pytest.fixture(autouse=True)
def quiet_logs(caplog: pytest.LogCaptureFixture) -> None:
    """A failure would come with the log of every campaign before it."""
    caplog.set_level(logging.WARNING)


class Campaign(RuleBasedStateMachine):
    """Rules draw the same whatever came of the ones before, and have no preconditions: the clock may make the same
    steps end differently, and Hypothesis has to be able to repeat them."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()
        self.person = Person()
        self.heard: list[tuple[AttemptRecord, Task]] = []
        self.steps: list[str] = []

    def _pick(self, nth: int) -> str:
        """One of the rows there are."""
        keys = sorted(self.person.sheet) or [ROWS[0]]
        return keys[nth % len(keys)]

    # -- the sheet, and what awaits its rows ---------------------------------------------------------------------

    @initialize(coming=st.tuples(COMING, COMING))
    def the_first_rows(self, coming: tuple[Coming, Coming]) -> None:
        self.steps.append(f"the_first_rows({coming})")
        for key, awaits in zip(ROWS, coming, strict=False):
            self._expect(key, awaits)
            self.person.sheet[key] = PLAIN

    @step(coming=COMING, wanted=WANTED)
    def add_a_row(self, coming: Coming, wanted: Wanted) -> None:
        new = [key for key in ROWS if key not in self.person.sheet and key not in self.person.drawer]
        if new:
            self._expect(new[0], coming)
            self.person.sheet[new[0]] = wanted

    @step(nth=NTH, coming=COMING, wanted=WANTED, mishap=MISHAPS, at_once=st.booleans())
    def edit_a_row(self, nth: int, coming: Coming, wanted: Wanted, mishap: Mishap, at_once: bool) -> None:
        """Or edit it back; and perhaps pay for it `at_once`."""
        key = self._pick(nth)
        if key in self.person.sheet:
            self._expect(key, coming)
            self.person.sheet[key] = wanted
        if at_once:
            self._run(retry=(Retry.CHANGED,), mishap=mishap)

    @step(nth=NTH, back=st.booleans())
    def move_a_row(self, nth: int, back: bool) -> None:
        """Out of the sheet, or back into it."""
        if back:
            self.person.sheet |= self.person.drawer
            self.person.drawer.clear()
        elif (key := self._pick(nth)) in self.person.sheet:
            self.person.drawer[key] = self.person.sheet.pop(key)

    def _expect(self, key: str, coming: Coming) -> None:
        self.rig.service.creates[key].extend(coming[:2])
        for fate in filter(None, coming[2:]):
            getattr(self.rig.service, fate).add(key)

    # -- what the service does -----------------------------------------------------------------------------------

    @step(
        of=st.sampled_from(("look_ups", "lists", "results")),
        act=st.sampled_from(("lost", "502", "html", "cut", "404")),
        times=st.sampled_from((1, 1, 3, 5)),
    )
    def next_answers(self, of: str, act: str, times: int) -> None:
        """The list that begins each run is let pass; `cut` and `404` are for results alone."""
        if of == "results" or act in LOST_MEANWHILE:
            getattr(self.rig.service, of).extend(["ok"] * (of == "lists") + [act] * times)

    @step(nth=NTH, figures=st.booleans())
    def service_goes_on(self, nth: int, figures: bool) -> None:
        """What it held up ends; from now on it tells what it deducts, or does not."""
        self.rig.service.goes_on(self._pick(nth))
        self.rig.service.figures = figures

    @step(nth=NTH, what=st.sampled_from(("result forgotten", "id taken", "id taken unseen", "next id taken")))
    def service_turns(self, nth: int, what: str) -> None:
        """A result is no longer there; or a stranger's task has an id of ours that was not sent yet."""
        service, key = self.rig.service, self._pick(nth)
        if what == "result forgotten":
            record = self.rig.jobs().get(key)
            sale = newest(record, service) if record else None
            if sale is not None and sale.ended:
                sale.gone = True
                seen("a result forgotten")
            return
        unsent = [row for row in sorted(self.person.sheet) if not service.sent[row]]
        identity = attempt_id(key, 2) if what == "next id taken" or not unsent else unsent[0]
        if not service.sent[identity] and not service.sales(identity):
            service.stranger(identity, unseen=int(what == "id taken unseen"))
            seen(f"a stranger: {what}")

    # -- commands ------------------------------------------------------------------------------------------------

    @step(mishap=MISHAPS)
    def run(self, mishap: Mishap) -> None:
        self._run(mishap=mishap)

    @step(kinds=KINDS, nth=st.none() | NTH, mishap=MISHAPS)
    def retry(self, kinds: tuple[Retry, ...], nth: int | None, mishap: Mishap) -> None:
        self._run(retry=kinds, ids=() if nth is None else (self._pick(nth),), mishap=mishap)

    @step(nth=st.none() | NTH, ledger_lost=st.booleans())
    def adopt(self, nth: int | None, ledger_lost: bool) -> None:
        """For a ledger that was lost: all, as the README says. What was in doubt then can't be known by anybody."""
        in_doubt = any(record.state is JobState.SUBMITTING for record in self.rig.jobs().values())
        if ledger_lost and not in_doubt:
            self.person.sheet |= self.person.drawer
            self.person.drawer.clear()
            self.person.touched.clear()
            self.heard.clear()
            self.rig.lose_ledger()
            seen("a ledger lost")
            self._adopt(())
        else:
            self._adopt(() if nth is None else (self._pick(nth),))

    # -- callbacks -----------------------------------------------------------------------------------------------

    @step(nth=NTH, again=st.booleans())
    def callback(self, nth: int, again: bool) -> None:
        """There is no receiver yet: what a callback tells is looked up, and recorded as a run records it. It may be
        about any attempt, and come `again` much later."""
        if again and self.heard:
            self._record(*self.heard[nth % len(self.heard)])
            return
        jobs = list(self.rig.jobs().values())
        told = [record for record in jobs if record.state is JobState.RUNNING] or jobs
        attempts = [attempt for record in told for attempt in record.attempts if attempt.task_id]
        if attempts:
            attempt = attempts[nth % len(attempts)]
            task = self.rig.ask(attempt)
            if task is not None and task.status.ended:
                self.heard.append((attempt, task))
                self._record(attempt, task)

    def _record(self, attempt: AttemptRecord, task: Task) -> None:
        stood, taken = self.rig.record(attempt, task)
        due = stood.state is JobState.RUNNING and stood.attempt.attempt_id == attempt.attempt_id
        assert taken == due, f"an ending of {attempt.attempt_id} for {stood}"
        seen("callback recorded" if taken else "callback refused")

    # -- by hand -------------------------------------------------------------------------------------------------

    @step(nth=NTH, how=st.sampled_from(("delete", "lengthen", "spoil")))
    def touch_a_video(self, nth: int, how: str) -> None:
        key = self._pick(nth)
        file = self.rig.campaign.file(f"{key}.mp4")
        if not file.exists():
            return
        content = file.read_bytes()
        match how:
            case "delete":
                file.unlink()
            case "lengthen":
                file.write_bytes(content + b"edited")
            case "spoil":
                file.write_bytes(bytes(len(content)))
        unwritten = int(
            self.rig.journal_waits()
        )  # that it was brought home may still be on its way into the ledger
        self.person.touched[key] = self.rig.known().times_done(key) + unwritten
        seen(f"a video touched: {how}")

    # -- what holds ----------------------------------------------------------------------------------------------

    @invariant()
    def every_promise_holds(self) -> None:
        with said(self.steps):
            check(self.rig, self.person)

    def teardown(self) -> None:
        with self.rig, said(self.steps):
            if sys.exc_info()[0] is None:
                self._heal()
                self._settle()
                look_back(self.rig)

    def _heal(self) -> None:
        """The network and the service are well again, and files made by hand are taken away: one plain run does the
        rest."""
        self.rig.service.heal()
        for key in self.person.touched:
            self.rig.campaign.file(f"{key}.mp4").unlink(missing_ok=True)
        self.person.sheet |= self.person.drawer
        code = self._run(task_timeout=20)
        check(self.rig, self.person)
        check_only_explained_leftovers(self.rig, self.person, code)

    def _settle(self) -> None:
        """A person adopts what is in conflict, and has the rest sent again: what is left then can't be had.

        Twice, because a row that went back to a video that the service has lost says so first.
        """
        self._adopt(())
        for _ in range(2):
            code = self._run(retry=ALL, task_timeout=20)
            check(self.rig, self.person)
            check_only_explained_leftovers(self.rig, self.person, code)
            if code == 0:
                return
        strangers = {job_of(s.key) for s in self.rig.service.books if not s.ours and not s.adopted}
        for key, record in self.rig.jobs().items():
            assert record.state is JobState.DONE or key in strangers, f"{key} can't be settled: {record}"

    def _run(
        self,
        *,
        retry: tuple[Retry, ...] = (),
        ids: tuple[str, ...] = (),
        mishap: Mishap = ("", 0),
        task_timeout: float = 0.2,
    ) -> int | str:
        def when_planned() -> None:
            """Only now what an earlier run could not write is in the ledger, and states are what the plan goes by."""
            for kind in note_wishes(self.rig, self.person, retry, ids):
                seen(f"asked for once more: {kind}")

        before = set(self.rig.files().values())
        code = self.rig.run(
            self.person.rows(),
            retry=retry,
            retry_ids=ids,
            trouble=trouble_of(mishap),
            task_timeout=task_timeout,
            when_planned=when_planned,
        )
        assert before <= set(self.rig.files().values()), "a file has been overwritten"
        if mishap[0] == "crash, no journal":
            self.rig.lose_journal()
        seen(f"command: {mishap[0] or 'undisturbed'}")
        seen(f"exit: {code}")
        look_around(self.rig)
        if code == 0:
            check_all_is_as_asked(self.rig, self.person)
        return code

    def _adopt(self, ids: tuple[str, ...]) -> None:
        for adopted in self.rig.adopt(self.person.rows(), ids):
            seen("a task adopted")
            for task in adopted.tasks:
                self.rig.service.task(task.task_id).adopt(self.person.sheet[adopted.external_task_id])


if not LONG:
    seed(5)(Campaign)  # one search of many, which meets what the others meet and nearly everything else


class TestCampaign(Campaign.TestCase):
    settings = settings(
        max_examples=LONG or 60,
        stateful_step_count=int(os.environ.get("MODEL_STEPS", "25")),
        deadline=None,
        derandomize=not LONG,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow],
    )

    @classmethod
    def tearDownClass(cls) -> None:
        print(tell())
