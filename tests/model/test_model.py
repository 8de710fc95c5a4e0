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
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant
from model_promises import (
    Person,
    check,
    check_all_is_as_asked,
    check_only_explained_leftovers,
    newest,
    note_wishes,
)
from model_rig import Rig, Trouble, crash_at_file, crash_at_write, interrupted_at_call
from model_service import Wanted, job_of
from model_tally import look_around, look_back, said, seen, step, tell

from manifest_runner.ledger import AttemptRecord
from manifest_runner.models import JobState, attempt_id
from manifest_runner.runner.decide import Retry
from manifest_runner.service import Task

LONG = int(os.environ.get("MODEL_EXAMPLES", "0"))
ROWS = "abcdef"
NTH = st.integers(0, len(ROWS) - 1)
PLAIN: Wanted = (None, "std")
WANTED = st.sampled_from((PLAIN, (None, "pro"), ("Calm", "std"), ("Lively", "std")))
ACT = st.sampled_from(
    (
        *(
            "ok",
            "ok",
            "lost",
            "lost though made",
            "502",
            "502 though made",
            "html",
            "html though made",
            "cut",
        ),
        *("slow", "late", "late", "adrift", "adrift", "sent twice", "400/1200", "400/1201", "429/1303"),
        *("429/1302", "429/1102", "500/5000"),
    )
)
FATE = st.sampled_from(("", "", "fails", "shy", "short_lived", "held", "unlisted"))
COMING = st.tuples(ACT, ACT, FATE, FATE)
"""What awaits a job's next create calls, and its next tasks."""

Coming = tuple[str, str, str, str]
ALL = tuple(Retry)


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

    @step(nth=NTH, coming=COMING, wanted=WANTED)
    def edit_a_row(self, nth: int, coming: Coming, wanted: Wanted) -> None:
        """Or edit it back."""
        key = self._pick(nth)
        if key in self.person.sheet:
            self._expect(key, coming)
            self.person.sheet[key] = wanted

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
        """A list is let pass first: the one that begins each run."""
        if of == "results":
            self.rig.service.results.extend([act] * times)
        elif act in ("lost", "502", "html"):
            getattr(self.rig.service, of).extend(["ok"] * (of == "lists") + [act] * times)

    @step(nth=NTH, figures=st.booleans())
    def service_goes_on(self, nth: int, figures: bool) -> None:
        """What it held up ends; from now on it tells what it deducts, or does not."""
        key = self._pick(nth)
        self.rig.service.held.discard(key)
        self.rig.service.unlisted.discard(key)
        self.rig.service.figures = figures

    @step(nth=NTH)
    def result_is_forgotten(self, nth: int) -> None:
        record = self.rig.jobs().get(self._pick(nth))
        sale = newest(record, self.rig.service) if record else None
        if sale is not None and sale.ended:
            sale.gone = True
            seen("a result forgotten")

    @step(nth=NTH, number=st.sampled_from((1, 2)), unseen=st.sampled_from((0, 1)))
    def stranger_takes_an_id(self, nth: int, number: int, unseen: int) -> None:
        """The first row that was not sent yet comes first: its id is free."""
        service = self.rig.service
        unsent = [key for key in sorted(self.person.sheet) if not service.sent[key]]
        identity = attempt_id(unsent[0] if unsent and number == 1 else self._pick(nth), number)
        if not service.sent[identity] and not service.sales(identity):
            service.stranger(identity, unseen=unseen)
            seen(f"a stranger's task, attempt {number}")

    # -- commands ------------------------------------------------------------------------------------------------

    @step()
    def run(self) -> None:
        self._run()

    @step(kinds=st.sampled_from((ALL, ALL, *((kind,) for kind in ALL))), nth=st.none() | NTH)
    def retry(self, kinds: tuple[Retry, ...], nth: int | None) -> None:
        self._run(retry=kinds, ids=() if nth is None else (self._pick(nth),))

    @step(nth=st.integers(1, 12), journal_survives=st.booleans(), again=st.booleans())
    def crash_at_a_write(self, nth: int, journal_survives: bool, again: bool) -> None:
        self._run(retry=ALL if again else (), trouble=crash_at_write(nth))
        if not journal_survives:
            self.rig.lose_journal()

    @step(renamed=st.booleans(), again=st.booleans())
    def crash_at_a_file(self, renamed: bool, again: bool) -> None:
        self._run(retry=ALL if again else (), trouble=crash_at_file(renamed=renamed))

    @step(nth=st.integers(1, 12), again=st.booleans())
    def interrupt(self, nth: int, again: bool) -> None:
        self._run(retry=ALL if again else (), trouble=interrupted_at_call(nth))

    @step(nth=st.none() | NTH)
    def adopt(self, nth: int | None) -> None:
        self._adopt(() if nth is None else (self._pick(nth),))

    @step()
    def lose_the_ledger(self) -> None:
        """And follow the README's advice for that: `adopt --all`. Of calls in doubt nobody can know anything then."""
        if not any(record.state is JobState.SUBMITTING for record in self.rig.jobs().values()):
            self.person.sheet |= self.person.drawer
            self.person.drawer.clear()
            self.person.touched.clear()
            self.heard.clear()
            self.rig.lose_ledger()
            self._adopt(())
            seen("a ledger lost")

    # -- callbacks -----------------------------------------------------------------------------------------------

    @step(nth=NTH)
    def callback(self, nth: int) -> None:
        """There is no receiver yet: what a callback tells is looked up, and recorded as a run records it."""
        jobs = list(self.rig.jobs().values())
        told = [record for record in jobs if record.state is JobState.RUNNING] or jobs
        attempts = [attempt for record in told for attempt in record.attempts if attempt.task_id]
        if attempts:
            attempt = attempts[nth % len(attempts)]
            task = self.rig.ask(attempt)
            if task is not None and task.status.ended:
                self.heard.append((attempt, task))
                self._record(attempt, task)

    @step(nth=NTH)
    def callback_comes_again(self, nth: int) -> None:
        if self.heard:
            self._record(*self.heard[nth % len(self.heard)])

    def _record(self, attempt: AttemptRecord, task: Task) -> None:
        before = self.rig.jobs()
        stands = before[attempt.external_task_id]
        taken = self.rig.record(attempt, task)
        due = stands.state is JobState.RUNNING and stands.attempts[-1].attempt_id == attempt.attempt_id
        assert taken == due, f"an ending of {attempt.attempt_id} for {stands}"
        assert taken or self.rig.jobs() == before, "refused, and yet something is different"
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
        self.person.touched[key] = self.rig.known().times_done(key)
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
        trouble: Trouble | None = None,
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
            trouble=trouble,
            task_timeout=task_timeout,
            when_planned=when_planned,
        )
        assert before <= set(self.rig.files().values()), "a file has been overwritten"
        seen(f"exit: {code}")
        look_around(self.rig)
        if code == 0:
            check_all_is_as_asked(self.rig, self.person)
        return code

    def _adopt(self, ids: tuple[str, ...]) -> None:
        for adopted in self.rig.adopt(self.person.rows(), ids):
            seen("a task adopted")
            for task in adopted.tasks:
                sale = self.rig.service.task(task.task_id)
                sale.adopted = True
                sale.wanted = self.person.sheet[adopted.job.external_task_id]  # a person's word


class TestCampaign(Campaign.TestCase):
    settings = settings(
        max_examples=LONG or 30,
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
