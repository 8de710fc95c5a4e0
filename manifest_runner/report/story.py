"""One job's whole story from the ledger, in plain sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from manifest_runner.ledger import AttemptRecord, EventRecord, JobRecord, SpeechRecord
from manifest_runner.models import JobState, units_text
from manifest_runner.report.lines import line_of

_MOVES = {
    (None, JobState.PENDING): "It became known",
    (JobState.SUBMITTING, JobState.PENDING): "Nothing was created",
    (JobState.SUBMITTING, JobState.RUNNING): "The service has it",
    (JobState.PENDING, JobState.RUNNING): "The service has it after all",
    (JobState.SUBMITTING, JobState.REJECTED): "The service refused it",
    (JobState.RUNNING, JobState.RENDERED): "The task succeeded",
    (JobState.RUNNING, JobState.FAILED): "The task failed",
    (JobState.RENDERED, JobState.DONE): "The video was fetched and checked",
    (JobState.DONE, JobState.DONE): "The video was fetched once more, unpaid",
    (JobState.EXPIRED, JobState.DONE): "The video was there after all, and was fetched",
    (JobState.RENDERED, JobState.EXPIRED): "The video was not there any more",
    (JobState.CONFLICT, JobState.RUNNING): "A person adopted the task",
}


def story_lines(
    record: JobRecord, events: Sequence[EventRecord], spoken: Sequence[SpeechRecord] = ()
) -> list[str]:
    """What it is, what happened when and why, what it cost, and where the video is."""
    return [
        *_head(record),
        "",
        *(_happened(event, record) for event in events),
        "",
        *_money(record, spoken),
        *_file(record),
    ]


def _head(record: JobRecord) -> Iterator[str]:
    listed = "" if record.listed else ", which the manifest no longer names"
    yield f"Job {record.external_task_id} of campaign {record.campaign}{listed}: {record.state}."
    if record.changed:
        yield f"Its row has changed since it was sent: {', '.join(record.changed)}."


def _happened(event: EventRecord, record: JobRecord) -> str:
    details = [f"code {event.code}"] if event.code is not None else []
    details += [f"request {event.request_id}"] if event.request_id else []
    more = f" ({', '.join(details)})" if details else ""
    return f"{_moment(event.at)}  {_move(event, record)}: {event.why}{more}"


def _move(event: EventRecord, record: JobRecord) -> str:
    if event.to_state is JobState.SUBMITTING:
        attempt = next((one for one in record.attempts if one.attempt_id == event.attempt_id), None)
        cost = f", at most {units_text(attempt.units_reserved)} units" if attempt else ""
        return f"A create call was about to leave as {event.attempt_id or record.external_task_id}{cost}"
    if event.to_state is JobState.CONFLICT:
        return "The id is taken"
    fetched_again = event.to_state is JobState.DONE and event.why.startswith("the video is at")
    if event.from_state is event.to_state and not fetched_again:
        return f"Still {event.to_state}"
    return _MOVES.get((event.from_state, event.to_state), f"It became {event.to_state}")


def _money(record: JobRecord, spoken: Sequence[SpeechRecord]) -> Iterator[str]:
    for attempt in record.attempts:
        yield f"Attempt {attempt.number} ({_names(attempt)}): {_bill(attempt, record)}."
        for name, what in attempt.fitted.items():
            yield f"  Its {name} was made to fit: {what}."
    for speech in spoken:
        known = units_text(speech.units_deducted or Decimal(0))
        lost = (
            f"; {speech.calls_lost} without an answer, which may have been billed"
            if speech.calls_lost
            else ""
        )
        lost += f"; {speech.figureless} answered without a figure" if speech.figureless else ""
        yield f"Text to speech: {known} units for {speech.calls} call{'' if speech.calls == 1 else 's'}{lost}."
    line = line_of(record)
    speech_units = sum((speech.units_deducted or Decimal(0) for speech in spoken), Decimal(0))
    known_units = units_text(line.units_known + speech_units)
    untold = line.units_unknown or any(speech.units_reserved for speech in spoken)
    unknown = " and what the service has not told" if untold else ""
    yield f"Deducted so far: {known_units} units{unknown}."


def _names(attempt: AttemptRecord) -> str:
    posts = f", {attempt.posts} calls" if attempt.posts > 1 else ""
    return (
        f"{attempt.attempt_id}, task {attempt.task_id}{posts}"
        if attempt.task_id
        else f"{attempt.attempt_id}{posts}"
    )


def _bill(attempt: AttemptRecord, record: JobRecord) -> str:
    if attempt.units_deducted is not None:
        return f"{units_text(attempt.units_deducted)} units deducted"
    if attempt.ended_at is not None:
        return "it ended, and the service gave no figure"
    if record.attempt is attempt and record.state.in_flight:
        return f"not ended; {units_text(attempt.units_reserved)} units are held back for it"
    if attempt.task_id is not None:
        return "the service has not told what it cost"
    if record.state is JobState.CONFLICT and record.attempt is attempt:
        return "whose the task is that the account has, a person has to say"
    return "no task came of it, as far as the service has told"


def _file(record: JobRecord) -> Iterator[str]:
    if record.file is None:
        return
    yield f"Video: {record.file}, {record.bytes} bytes, sha256 {record.sha256}."
    if record.watermark_file:
        yield f"With the watermark: {record.watermark_file}."
    if record.captions_file:
        yield f"Captions: {record.captions_file}."


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
