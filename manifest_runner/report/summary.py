"""What a person reads at the end of a run: a few lines of plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from manifest_runner.ledger.limits import LimitSpan
from manifest_runner.models import JobState, units_text
from manifest_runner.report.collect import CampaignReport
from manifest_runner.report.tally import FailureGroup, Held, Totals
from manifest_runner.report.text import printable
from manifest_runner.report.write import ReportFiles

GROUPS_SHOWN = 5
MESSAGE_SHOWN = 160  # characters: the whole message is in the report


def summary_lines(report: CampaignReport, files: ReportFiles | None = None) -> list[str]:
    """Counts, cost, what went wrong, and, when `files` were written, where they lie."""
    return [
        *_count_lines(report),
        *_cost_lines(report.totals),
        *_slot_lines(report.slot_span),
        *_failure_lines(report.failures),
        *(_file_lines(files) if files else ()),
    ]


def _count_lines(report: CampaignReport) -> Iterator[str]:
    totals = report.totals
    listed = Counter(totals.by_outcome) - totals.unlisted
    yield f"{report.campaign}: {listed[JobState.DONE]:,} of {_count(listed.total(), 'job')} done."
    others: dict[JobState, int] = {
        state: jobs for state, jobs in listed.items() if state is not JobState.DONE
    }
    if others:
        yield "Not done: " + _states(others) + "."
    if gone := listed[JobState.EXPIRED]:
        yield (
            f"EXPIRED: {_count(gone, 'video')} paid for, and not at the service any more when fetched. Each run asks "
            "for them again until 30 days are over; `--retry expired` pays for them once more."
        )
    if totals.jobs_changed:
        yield (
            f"{_count(totals.jobs_changed, 'video')} made before the row changed, and not made again: "
            "`--retry changed` does that, paid anew."
        )
    if totals.unlisted:
        yield f"Not in the manifest any more, but still in the ledger: {_states(totals.unlisted)}."


def _states(jobs_in: Mapping[JobState, int]) -> str:
    return ", ".join(f"{jobs:,} {state}" for state, jobs in jobs_in.items())


def _cost_lines(totals: Totals) -> Iterator[str]:
    speech = ""
    if totals.speech_calls:
        calls = _count(totals.speech_calls, "text-to-speech call")
        speech = f", of which {units_text(totals.speech_units)} for {calls}"
    yield f"Units deducted: {units_text(totals.units_deducted)}{speech}{_estimated(totals)}."
    if totals.held.jobs:
        yield _held_line(totals.held)
    if totals.jobs_units_unknown:
        yield (
            f"For {_count(totals.jobs_units_unknown, 'job')} the service gave no figure: that cost is not in the sum; "
            "the budget counts the most that it can be."
        )
    if totals.speeches_units_unknown:
        texts = _count(totals.speeches_units_unknown, "spoken text")
        yield f"For {texts} the service gave no figure: that cost is not in the sum."
    if totals.speech_calls_lost:
        yield f"{_count(totals.speech_calls_lost, 'text-to-speech call')} whose answer was lost may have been billed."


def _estimated(totals: Totals) -> str:
    """What the videos were expected to cost that are in the sum: beside it, one tells how good the estimates are."""
    if not totals.made_and_estimated:
        return ""
    videos = _count(totals.made_and_estimated, "video")
    return f" (the estimate for the {videos} made: {units_text(totals.made_units_estimated)})"


def _held_line(held: Held) -> str:
    more = held.jobs - len(held.first_ids)
    which = ", ".join(held.first_ids) + (f" and {more:,} more" if more else "")
    return (
        f"Held back: {units_text(held.units)} units for {_count(held.jobs, 'job')} that the service has, or may have "
        f"({which}). The next `run` asks what became of them, and frees what they did not cost."
    )


def _slot_lines(span: LimitSpan | None) -> Iterator[str]:
    if span is None:
        return
    limits = f"{span.lowest} to {span.highest}" if span.lowest != span.highest else str(span.highest)
    times = "once" if span.lowered == 1 else f"{span.lowered} times"
    refused = f", the account refused more {times}" if span.lowered else ""
    yield f"Slots: {limits}{refused}."


def _failure_lines(failures: tuple[FailureGroup, ...]) -> Iterator[str]:
    for group in failures[:GROUPS_SHOWN]:
        which = group.first_id if group.jobs == 1 else f"{group.jobs:,} jobs, the first is {group.first_id}"
        yield f"  {group.outcome}: {_short(group.message or 'no reason given')} ({which})"
    more = sum(group.jobs for group in failures[GROUPS_SHOWN:])
    if more:
        yield f"  and {more:,} more"


def _file_lines(files: ReportFiles) -> Iterator[str]:
    yield f"Videos: {files.json.parent}"
    yield f"Report: {files.json}, {files.csv}"


def _short(message: str) -> str:
    text = printable(message)
    return text if len(text) <= MESSAGE_SHOWN else text[: MESSAGE_SHOWN - 1] + "…"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
