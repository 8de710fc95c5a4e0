"""What a run would do with every job of a campaign, in a few bytes a job: each step is made when it is asked for."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice

from manifest_runner.ledger import JobRecord
from manifest_runner.manifest import jobs_at
from manifest_runner.media import JobMedia
from manifest_runner.models import Job, Units
from manifest_runner.runner.decide import UNDER_WAY, Action
from manifest_runner.runner.plan_rows import (
    ACTIONS,
    ALTERED,
    LATE,
    MISSING,
    NEW,
    NOTHING,
    NUMBERS,
    TURN,
    Rows,
    asked_for,
    likely,
)
from manifest_runner.runner.step import Step, Terms, orphan_of, step_of

__all__ = ["Plan", "Step"]

AT_ONCE = 64  # steps whose records are read together


class Plan:
    """`counts` by action, and what is sent in units: `low`, `expected` (at the most where it is unknown), `high`; in
    `seconds` of video, None where one is unknown.

    `captioned` are the places in `jobs` of those that want captions; `withdraws`: the ledger has jobs on its list that
    these are not; `gone`: so many of those have their video. A row that is done takes eight bytes of it, any other some
    fifty. `jobs` may be made anew each time they are asked for; `media_of` knows a job's media, `records_of`
    reads the ledger (of the ids that it knows).
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        media_of: Callable[[Job], JobMedia | None],
        records_of: Callable[[Sequence[str]], Mapping[str, JobRecord]],
        terms: Terms,
    ) -> None:
        self.jobs = jobs
        self.terms = terms
        self.counts: Counter[Action] = Counter()
        self.low = self.expected = self.high = Decimal(0)
        self._media_of = media_of
        self._records_of = records_of
        self.seconds: Decimal | None = Decimal(0)
        self.captioned = array("q")
        self.withdraws = False
        self.gone = 0
        self.meant: array[int] | None = None  # the places that it is about; None: all
        self._known = array("q")  # what stands for the ids that the ledger knew
        self._rows = Rows()
        self._orphans: list[str] = []
        self._longest = 0

    def __len__(self) -> int:
        return self.counts.total()

    # -- made ----------------------------------------------------------------------------------------------------

    def skip(self, count: int = 1) -> None:
        """So many rows of the manifest are done."""
        if count:
            self.counts[Action.SKIP] += count

    def mean(self, places: Iterable[int]) -> None:
        """It is about these places of the manifest, and no others but those of earlier calls."""
        if self.meant is None:
            self.meant = array("q")
        self.meant.extend(places)

    def know(self, external_task_id: str) -> None:
        """The ledger has this job, and the manifest names it."""
        self._known.append(hash(external_task_id))

    def take(self, position: int, step: Step, *, missing: bool = False, altered: bool = False) -> None:
        """The row at this position, in the manifest's order, as it was planned."""
        if step.action is Action.SKIP:
            self.skip()
            return
        seen = (
            (NEW if step.record is None else 0)
            | (MISSING if missing else 0)
            | (ALTERED if altered else 0)
            | (LATE if step.may_have_arrived else 0)
        )
        self._add(step, position, seen)

    def take_orphan(self, step: Step) -> None:
        """A job that is under way though the manifest no longer names it."""
        self._orphans.append(step.external_task_id)
        self._add(step, -len(self._orphans), 0)

    def _add(self, step: Step, place: int, seen: int) -> None:
        self._rows.add(step, place, seen)
        self.counts[step.action] += 1
        if step.estimate is not None:
            self.low += step.estimate.low
            self.high += step.estimate.high
            self.expected += likely(step.estimate)
            self._add_seconds(step)
        self._longest = max(self._longest, len(step.external_task_id))

    def _add_seconds(self, step: Step) -> None:
        """As they are billed: whole ones."""
        if step.job is None or step.estimate is None:
            return
        if step.estimate.expected is None or self.seconds is None:
            self.seconds = None
            return
        speech = self.terms.rates.speech if step.job.speech is not None else Decimal(0)
        self.seconds += (step.estimate.expected - speech) / self.terms.rates.per_second(step.job.mode)

    # -- asked ---------------------------------------------------------------------------------------------------

    @property
    def places(self) -> Sequence[int]:
        """The rows that it is about, by their places in the manifest; rising."""
        return range(len(self.jobs)) if self.meant is None else self.meant

    def steps(self, *actions: Action) -> Iterator[Step]:
        """The steps of these actions (of none named: all) in the order a run takes them, each as the ledger is now.

        What is already paid comes first; within that what has the higher priority; among results the one that the
        service deletes soonest, among what is sent the longest, so that no long job is left alone at the end. A row
        that the ledger has brought elsewhere since it was planned is left out.
        """
        wanted = frozenset(actions or ACTIONS)
        numbers = {NUMBERS[action] for action in wanted}
        rows = (row for row in self._rows.in_turn() if self._rows.actions[row] in numbers)
        yield from (step for _, step in self._made(rows) if step.action in wanted)
        if Action.SKIP in wanted:
            yield from (step for step in self._done() if step.action is Action.SKIP)

    def not_done(self) -> Iterator[Step]:
        """All steps but those of what is done, in the same order."""
        return self.steps(*(action for action in Action if action is not Action.SKIP))

    def heads(self, most: int) -> Iterator[tuple[Action, list[Step], int]]:
        """Of each action that occurs, in the order of a run, the first steps and how many more there are. What is done
        is left out."""
        for action in sorted(ACTIONS, key=TURN.__getitem__):
            if action is not Action.SKIP and self.counts[action]:
                first = list(islice(self.steps(action), most))
                yield action, first, max(self.counts[action] - most, 0)

    def longest_id(self, *, everything: bool) -> int:
        """How many characters the longest id has: of what is not done, or of everything."""
        if not everything:
            return self._longest
        return max((len(job.external_task_id) for job in self.jobs), default=self._longest)

    def named(self, ids: Collection[str]) -> dict[str, Step]:
        """The steps of these jobs, as far as the manifest names them, or they are under way."""
        wanted = frozenset(ids)
        keys = ((position, job.external_task_id) for position, job in enumerate(self.jobs))
        places = {position: key for position, key in keys if key in wanted}
        rows = [
            row
            for row, place in enumerate(self._rows.places)
            if place in places or (place < 0 and self._orphans[-place - 1] in wanted)
        ]
        found = {step.external_task_id: step for _, step in self._made(iter(rows))}
        done = [position for position, key in places.items() if key not in found]
        return found | {step.external_task_id: step for step in self._made_at(iter(done))}

    def unnamed(self, ids: Iterable[str]) -> Iterator[str]:
        """Those of these jobs, which the ledger has, that the manifest does not name."""
        known = frozenset(self._known)
        return (key for key in ids if hash(key) not in known)

    def asked(self) -> set[int]:
        """What is asked for (`asked_for`) by the rows that are sent."""
        return set(self._rows.asked) - {NOTHING}

    def sends(self, asked: Container[int]) -> Iterator[tuple[int, Step]]:
        """Those that are sent and ask for one of these, in the manifest's order."""
        rows = (row for row, one in enumerate(self._rows.asked) if one != NOTHING and one in asked)
        for row, step in self._made(rows):
            yield self._rows.asked[row], step

    def asking(self, ids: Collection[str]) -> Iterator[tuple[str, int]]:
        """What these jobs ask for, as far as the manifest names them."""
        for job in self.jobs if ids else ():
            if job.external_task_id in ids and (media := self._media_of(job)) is not None:
                yield job.external_task_id, asked_for(media.fingerprint_parts)

    def only(self, wanted: Callable[[Step], bool]) -> Plan:
        """A plan of the steps that are wanted, and of none that are done."""
        chosen = self._emptied()
        for row, step in self._made(iter(range(len(self._rows.places)))):
            if wanted(step):
                chosen._add(step, self._rows.places[row], self._rows.seen[row])
        return chosen

    def at(self, places: Collection[int]) -> Plan:
        """A plan of the rows at these places, done or not, and of what is under way."""
        chosen = self._emptied()
        chosen.withdraws, chosen.gone = self.withdraws, self.gone
        chosen.captioned = array("q", (place for place in self.captioned if place in places))
        under_way = {NUMBERS[action] for action in UNDER_WAY}
        rows = [
            row
            for row, place in enumerate(self._rows.places)
            if place in places or self._rows.actions[row] in under_way
        ]
        busy = {self._rows.places[row] for row in rows}
        chosen.mean(place for place in self.places if place in places or place in busy)
        chosen.skip(sum(place in places and place not in busy for place in self.places))
        for row, step in self._made(iter(rows)):
            chosen._add(step, self._rows.places[row], self._rows.seen[row])
        return chosen

    def _emptied(self) -> Plan:
        """One of the same manifest and ledger, without a step."""
        plan = Plan(self.jobs, self._media_of, self._records_of, self.terms)
        plan.captioned, plan._known, plan._orphans = self.captioned, self._known, self._orphans
        return plan

    def rows(self) -> Iterator[tuple[tuple[str, ...], Units | None]]:
        """Of every row that it is about, in the manifest's order: the fields that differ from what was sent, and what
        sending it would probably cost; None where that is unknown, or it is not sent."""
        row, rows = 0, self._rows
        for position in self.places:
            while row < len(rows.places) and rows.places[row] < position:
                row += 1
            if row < len(rows.places) and rows.places[row] == position:
                yield rows.changed_at(row), rows.expected[row]
            else:
                yield (), None

    # -- steps made ----------------------------------------------------------------------------------------------

    def _made(self, rows: Iterator[int]) -> Iterator[tuple[int, Step]]:
        while chunk := list(islice(rows, AT_ONCE)):
            places = [self._rows.places[row] for row in chunk]
            named = [place for place in places if place >= 0]
            jobs = dict(zip(named, jobs_at(self.jobs, named), strict=True))
            keys = [self._key_at(place, jobs) for place in places]
            known = [key for row, key in zip(chunk, keys, strict=True) if not self._rows.seen[row] & NEW]
            records = self._records_of(known) if known else {}
            for row, place, key in zip(chunk, places, keys, strict=True):
                job, record = jobs.get(place), records.get(key)
                if job is not None:
                    yield row, self._step(job, record, self._rows.seen[row])
                elif record is not None:
                    yield row, orphan_of(record, self.terms.now)

    def _key_at(self, place: int, jobs: Mapping[int, Job]) -> str:
        return jobs[place].external_task_id if place >= 0 else self._orphans[-place - 1]

    def _step(self, job: Job, record: JobRecord | None, seen: int) -> Step:
        missing, altered = bool(seen & MISSING), bool(seen & ALTERED)
        return step_of(job, self._media_of(job), record, self.terms, missing=missing, altered=altered)

    def _done(self) -> Iterator[Step]:
        """What is done: every row of the manifest that has no place."""
        if not self.counts[Action.SKIP]:
            return
        busy = bytearray(len(self.jobs))
        for place in self._rows.places:
            if place >= 0:
                busy[place] = 1
        yield from self._made_at(position for position in self.places if not busy[position])

    def _made_at(self, positions: Iterator[int]) -> Iterator[Step]:
        while chunk := list(jobs_at(self.jobs, list(islice(positions, AT_ONCE)))):
            records = self._records_of([job.external_task_id for job in chunk])
            for job in chunk:
                yield self._step(job, records.get(job.external_task_id), 0)
