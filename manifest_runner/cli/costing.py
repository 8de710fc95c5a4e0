"""What the real run of a rehearsed campaign would cost, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from manifest_runner.models import Job, JobState, Manifest, Units, units_text

if TYPE_CHECKING:
    from manifest_runner.ledger import JobRecord
    from manifest_runner.runner.forecast import Forecast, Rehearsed
    from manifest_runner.runner.plan import Plan

BAD_MEDIA = 1201  # the service's code for a parameter that it can't use


def forecast_of(plan: Plan, records: Mapping[str, JobRecord], manifest: Manifest, folder: Path) -> Forecast:
    """The forecast from the plan of a real run and from what the rehearsal's ledger has; previews lie in `folder`."""
    from manifest_runner.runner.forecast import forecast

    known: dict[str, Rehearsed] = {}
    for job in manifest.jobs:
        record = records.get(job.external_task_id)
        one = _rehearsed(job, record, folder) if record is not None else None
        if one is not None:
            known[job.external_task_id] = one
    return forecast(plan, known, manifest.budget_units)


def _rehearsed(job: Job, record: JobRecord, folder: Path) -> Rehearsed | None:
    """What became of a row as it is now; None where nothing did yet, or where the sandbox can't know."""
    from manifest_runner.report.cards import address
    from manifest_runner.runner.forecast import Rehearsed

    if record.state in (JobState.REJECTED, JobState.FAILED):
        return (
            None if is_unknown_here(job, record) else Rehearsed(video=False, seconds=None, units=Decimal(0))
        )
    attempt = record.attempt
    if (
        attempt is None
        or attempt.units_deducted is None
        or record.state is not JobState.DONE
        or record.changed
        or address(record.file, folder, ".mp4") is None
    ):
        return None
    return Rehearsed(video=True, seconds=attempt.video_seconds, units=attempt.units_deducted)


def is_unknown_here(job: Job, record: JobRecord) -> bool:
    """Whether it was refused for an audio id: only the account that made one knows it, and it may be good there."""
    code = record.attempt.code if record.attempt else None
    return job.audio_id is not None and record.state is JobState.REJECTED and code == BAD_MEDIA


def cost_lines(money: Forecast, budget: Units | None, *, unusable: int = 0) -> list[str]:
    """What the real run would cost, and what the manifest's budget would say to it, in plain words.

    `unusable` rows can't be sent because of their media, which ends a real run before it begins.
    """
    lines = []
    if unusable:
        those = "the row" if unusable == 1 else f"the {unusable} rows"
        are = "is" if unusable == 1 else "are"
        lines.append(
            f"`run` sends nothing until {those} whose media can't be used {are} mended or taken out."
        )
    if not money.videos:
        return lines
    estimate = units_range(money.low, money.high)
    lines += [
        f"A real run that sends {count(money.videos, 'row')}, with none of them done yet, would cost {estimate} units "
        "(an estimate, not a bill)."
    ]
    if money.previews:
        lines.append(
            f"For the {count(money.previews, 'preview')} the sandbox has deducted {units_text(money.rehearsed)} units, "
            "by the service's price list and the length of each; what the service speaks may be longer or shorter."
        )
    return [*lines, _budget_line(money, budget)]


def _budget_line(money: Forecast, budget: Units | None) -> str:
    if budget is None or money.left is None or money.affordable is None:
        return "No budget is set: a real run would send all of it."
    if money.stops:
        when = f"after about {money.affordable}" if money.affordable else "before the first"
        return (
            f"The budget of {units_text(budget)} units would stop the real run {when} of "
            f"{count(money.videos, 'video')}."
        )
    return (
        f"The budget of {units_text(budget)} units would do: about {units_text(money.left)} would be left. What the "
        "campaign has spent for real so far is not looked at here."
    )


def units_range(low: Units, high: Units) -> str:
    return units_text(high) if low == high else f"{units_text(low)} to {units_text(high)}"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
