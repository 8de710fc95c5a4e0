"""What must hold after every step, whatever went wrong: the ledger against the service's books and the person's wishes.

The model is small: the service knows what it made and deducted (`BookedService.books`), the person knows the rows and
what was asked to be sent again (`Person`). All else is the program's.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from model_rig import Known, Rig, row
from model_service import BookedService, Sale, Wanted, job_of

from manifest_runner.ledger import EventRecord, JobRecord
from manifest_runner.ledger.transitions import LEGAL
from manifest_runner.models import Job, JobState
from manifest_runner.runner.decide import Retry

ENDED = {JobState.FAILED, JobState.REJECTED, JobState.EXPIRED, JobState.DONE}
ON_ITS_WAY = {JobState.SUBMITTING, JobState.RUNNING, JobState.RENDERED, JobState.DONE, JobState.EXPIRED}
RETRIES = {
    JobState.FAILED: Retry.FAILED,
    JobState.REJECTED: Retry.REJECTED,
    JobState.EXPIRED: Retry.EXPIRED,
}


@dataclass
class Person:
    """The sheet, what was asked to be sent once more, and which videos were touched by hand."""

    sheet: dict[str, Wanted] = field(default_factory=dict)
    drawer: dict[str, Wanted] = field(default_factory=dict)  # rows taken out of the sheet
    asked: Counter[str] = field(default_factory=Counter)
    touched: dict[str, int] = field(default_factory=dict)  # how often it had been brought home by then

    def rows(self) -> list[Job]:
        return [row(key, *wanted) for key, wanted in self.sheet.items()]


def newest(record: JobRecord, service: BookedService) -> Sale | None:
    """The task that the ledger has for the job's newest attempt."""
    attempt = record.attempt
    return service.task(attempt.task_id) if attempt and attempt.task_id else None


def note_wishes(rig: Rig, person: Person, retry: Sequence[Retry], ids: Sequence[str]) -> list[Retry]:
    """What a person is ready to pay for once more with this command: each job that it can send as a new attempt."""
    known, wishes = rig.known(), []
    for key, record in known.jobs.items():
        if key not in person.sheet or (ids and key not in ids):
            continue
        as_it_is = as_asked(known, record, rig.service, person)
        kind = Retry.CHANGED if record.state is JobState.DONE and not as_it_is else RETRIES.get(record.state)
        if kind in retry and not paid_before(known, record, rig.service, person):
            person.asked[key] += 1
            wishes.append(kind)
    return wishes


def as_asked(known: Known, record: JobRecord, service: BookedService, person: Person) -> bool:
    """Whether the job's task was made from the row as it is, and a person can rely on it."""
    sale = newest(record, service)
    if sale is None or known.unsure(record.attempt):
        return False
    return sale.wanted == person.sheet.get(record.external_task_id)


def paid_before(known: Known, record: JobRecord, service: BookedService, person: Person) -> bool:
    """Whether the row went back to what an earlier task of the job was made from: that one is taken, unpaid."""
    wanted = person.sheet[record.external_task_id]
    for attempt in record.attempts:
        if attempt is record.attempt or not attempt.ended_at or known.unsure(attempt):
            continue
        sale = service.task(attempt.task_id)
        if not sale.fails and sale.wanted == wanted:
            return not as_asked(known, record, service, person)
    return False


def check(rig: Rig, person: Person) -> None:
    """All promises."""
    known, service = rig.known(), rig.service
    assert not service.objections, service.objections
    for key, events in known.events.items():
        check_path(events, known.jobs.get(key))
    check_made_once(service, person)
    check_money(known, service)
    check_all_is_ours(known.jobs, service)
    check_nothing_lost(known.jobs, service)
    check_files(rig, known, person)


def check_path(events: Sequence[EventRecord], record: JobRecord | None) -> None:
    """Each move is a legal one, and a new id is only ever sent after the recorded end of the one before."""
    stands: JobState | None = None
    sent: str | None = None
    for event in events:
        said = f"{event.external_task_id}: {event.from_state} -> {event.to_state} ({event.why})"
        if event.from_state is None:  # a row that was never sent is forgotten when it leaves the sheet
            assert stands in (None, JobState.PENDING), said
            assert (event.to_state, sent) == (JobState.PENDING, None), said
        else:
            assert event.from_state is stands, said
            assert event.to_state in {stands, *LEGAL[event.from_state]}, said
        if event.to_state is JobState.SUBMITTING and event.attempt_id is not None:
            if event.from_state is JobState.PENDING:
                assert sent in (None, event.attempt_id), said
            else:
                assert event.from_state in ENDED, said
                assert event.attempt_id != sent, said
            sent = event.attempt_id
        elif event.to_state is JobState.RUNNING and event.attempt_id is not None:
            sent = event.attempt_id  # the same; or a later one, when a person has adopted it
        stands = event.to_state
    assert stands is record.state if record else (stands in (None, JobState.PENDING) and sent is None)


def check_made_once(service: BookedService, person: Person) -> None:
    """At most one task for each id, and for each job one more than a person has asked for."""
    ours = [sale.key for sale in service.books if sale.ours]
    assert len(ours) == len(set(ours)), f"made twice: {ours}"
    for key, made in Counter(map(job_of, ours)).items():
        assert made <= 1 + person.asked[key], (
            f"{key}: {made} tasks, asked for again {person.asked[key]} times"
        )


def check_money(known: Known, service: BookedService) -> None:
    """What the ledger says was deducted is what was; and what it counts against a budget is never too little."""
    jobs, spend = known.jobs, known.spend
    told, unknown = Decimal(0), 0
    for record in jobs.values():
        for attempt in record.attempts:
            if attempt.ended_at is None or attempt.task_id is None:
                assert attempt.units_deducted is None, attempt
                continue
            sale = service.task(attempt.task_id)
            assert sale.ended, attempt
            if attempt.units_deducted is None:
                assert sale.told_without_figure, attempt
                unknown += 1
            else:
                assert attempt.units_deducted == sale.deducted, attempt
                told += sale.deducted
    assert (spend.deducted, spend.unknown_tasks) == (told, unknown)
    expected = (min(s.deducted, s.expected) for s in made_for_us(service) if may_be_known(s, jobs))
    billed = sum(expected, Decimal(0))
    assert spend.committed >= billed, f"{spend.committed} committed, {billed} billed"


def may_be_known(sale: Sale, jobs: Mapping[str, JobRecord]) -> bool:
    """Whether the ledger can know of this task: not while two look-ups have said that there is none."""
    record = jobs[job_of(sale.key)]
    return sale.key != record.attempts[-1].attempt_id or record.state is not JobState.PENDING


def made_for_us(service: BookedService) -> list[Sale]:
    return [sale for sale in service.books if sale.ours or sale.adopted]


def check_all_is_ours(jobs: Mapping[str, JobRecord], service: BookedService) -> None:
    """No attempt has the task of a stranger, or of another attempt."""
    for record in jobs.values():
        for attempt in record.attempts:
            if attempt.task_id is not None:
                sale = service.task(attempt.task_id)
                assert sale.key == attempt.attempt_id, f"{attempt} has {sale}"
                assert sale.ours or sale.adopted, f"{sale} is a stranger's"


def check_nothing_lost(jobs: Mapping[str, JobRecord], service: BookedService) -> None:
    """What was made for us is in the ledger, in a state from which it comes home by itself."""
    for sale in made_for_us(service):
        record = jobs.get(job_of(sale.key))
        assert record and sale.key in {attempt.attempt_id for attempt in record.attempts}, sale
        if record.attempt.attempt_id != sale.key or record.state is JobState.PENDING:
            continue  # a person has asked for another one since; or it will be found before anything is sent again
        assert record.state in (
            ON_ITS_WAY - {JobState.DONE} | {JobState.FAILED} if sale.fails else ON_ITS_WAY
        ), f"{sale}: {record.state}, {record.why}"


def check_files(rig: Rig, known: Known, person: Person) -> None:
    """A job that is done has its own newest task's video, to the byte, unless a person has touched it since."""
    files = rig.files()
    for key, record in known.jobs.items():
        if record.state is not JobState.DONE or known.times_done(key) <= person.touched.get(key, 0):
            continue
        sale = newest(record, rig.service)
        assert sale is not None and record.file is not None
        assert files.get(record.file) == sale.film, f"{key}: not the video of {sale}"
        assert record.sha256 == hashlib.sha256(sale.film).hexdigest()


def check_all_is_as_asked(rig: Rig, person: Person) -> None:
    """Exit code 0 is the program's word that each row has its video, made from the row as it is."""
    known = rig.known()
    for key in person.sheet:
        record = known.jobs[key]
        assert record.state is JobState.DONE, f"exit code 0, and {key} is {record.state}"
        as_it_is = as_asked(known, record, rig.service, person) or known.unsure(record.attempt)
        assert as_it_is, f"exit code 0, and {key} is of an earlier row"


def check_only_explained_leftovers(rig: Rig, person: Person, code: int | str) -> None:
    """When all is healed: what is not done has a reason that the service's books know, and the exit code says so."""
    known, service = rig.known(), rig.service
    for key, record in known.jobs.items():
        sale = newest(record, service)
        match record.state:
            case JobState.DONE:
                explained = record.file in rig.files()
            case JobState.FAILED:
                explained = sale is not None and sale.fails
            case JobState.REJECTED:
                explained = record.attempts[-1].attempt_id in service.turned_away
            case JobState.CONFLICT:
                explained = any(not s.ours for s in service.books if job_of(s.key) == key)
            case JobState.EXPIRED:
                explained = sale is not None and sale.gone
            case _:
                explained = False
        assert explained, f"{key} is left {record.state}: {record.why}"
    sure = all(
        record.state is JobState.DONE and as_asked(known, record, service, person)
        for record in known.jobs.values()
    )
    assert code == (0 if sure else 3)
