"""report.json: for programs. Its shape is schemas/report.schema.json."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, TextIO

from manifest_runner.ledger.limits import LimitRecord
from manifest_runner.models import Rates, units_text, utc_text
from manifest_runner.report.collect import CampaignReport
from manifest_runner.report.lines import JobLine
from manifest_runner.report.tally import ModeTotals, Totals

VERSION = 1

_HEAD = json.JSONEncoder(indent=2, ensure_ascii=False).encode
_LINE = json.JSONEncoder(ensure_ascii=False).encode  # made once: `json.dumps` makes one for each call


def write_json(report: CampaignReport, out: TextIO) -> None:
    """Write the whole report, one job a line, each as it is read: memory does not grow with the campaign."""
    file = JsonFile(report, out)
    for line in report.jobs():
        file.add(job_value(line))
    file.end()


class JsonFile:
    """A report on its way into a file: its head at once, then each job's value, then the end."""

    def __init__(self, report: CampaignReport, out: TextIO) -> None:
        self._out = out
        self._separator = "\n    "
        out.write(_written(_HEAD(head_value(report))).removesuffix("\n}") + ',\n  "jobs": [')

    def add(self, value: dict[str, Any]) -> None:
        self._out.write(self._separator + _written(_LINE(value)))
        self._separator = ",\n    "

    def end(self) -> None:
        self._out.write("\n  ]\n}\n")


def head_value(report: CampaignReport) -> dict[str, Any]:
    """Everything but `jobs`."""
    return {
        "version": VERSION,
        "campaign": report.campaign,
        "service": report.service,
        "manifest": report.manifest,
        "ledger": report.ledger_id,
        "generated_at": utc_text(report.generated_at),
        "rates": _rates_value(report.rates),
        "totals": totals_value(report.totals),
        "slots": [_limit_value(limit) for limit in report.slots],
    }


def totals_value(totals: Totals) -> dict[str, Any]:
    return {
        "jobs": totals.jobs,
        "by_outcome": {state.value: jobs for state, jobs in totals.by_outcome.items()},
        "by_mode": {mode.value: _mode_value(sums) for mode, sums in totals.by_mode.items()},
        "units_deducted": units_text(totals.units_deducted),
        "units_estimated": units_text(totals.units_estimated),
        "jobs_units_unknown": totals.jobs_units_unknown,
        "jobs_changed": totals.jobs_changed,
        "jobs_not_in_manifest": totals.unlisted.total(),
        "speech_calls": totals.speech_calls,
        "speech_units": units_text(totals.speech_units),
        "video_seconds": units_text(totals.video_seconds),
    }


def job_value(line: JobLine) -> dict[str, Any]:
    return {
        "external_task_id": line.external_task_id,
        "line": line.line,
        "outcome": line.outcome.value,
        "service_status": line.service_status.value if line.service_status else None,
        "message": line.message,
        "changed": list(line.changed),
        "attempts": line.attempts,
        "task_id": line.task_id,
        "mode": line.mode.value,
        "units_estimated": _decimal(line.units_estimated),
        "units_deducted": _decimal(line.units_deducted),
        "units_speech": _decimal(line.units_speech),
        "fitted": dict(line.fitted),
        "file": line.file,
        "watermark_file": line.watermark_file,
        "captions_file": line.captions_file,
        "sha256": line.sha256,
        "bytes": line.bytes,
        "video_seconds": _decimal(line.video_seconds),
        "queued_at": utc_text(line.queued_at),
        "submitted_at": _moment(line.submitted_at),
        "ended_at": _moment(line.ended_at),
        "fetched_at": _moment(line.fetched_at),
        "tags": list(line.tags),
        "vars": dict(line.vars),
    }


def _written(text: str) -> str:
    """JSON with its text readable, except halves of characters (YAML's `"\\ud800"`), which UTF-8 can't hold.

    Those come out as `\\ud800`, which is JSON's own escape for them.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _limit_value(limit: LimitRecord) -> dict[str, Any]:
    return {"at": utc_text(limit.at), "limit": limit.limit, "used": limit.used, "why": limit.why}


def _rates_value(rates: Rates) -> dict[str, str]:
    return {"std": units_text(rates.std), "pro": units_text(rates.pro), "speech": units_text(rates.speech)}


def _mode_value(sums: ModeTotals) -> dict[str, Any]:
    return {
        "jobs": sums.jobs,
        "done": sums.done,
        "units_deducted": units_text(sums.units_deducted),
        "units_estimated": units_text(sums.units_estimated),
        "video_seconds": units_text(sums.video_seconds),
    }


def _decimal(value: Decimal | None) -> str | None:
    return units_text(value) if value is not None else None


def _moment(value: datetime | None) -> str | None:
    return utc_text(value) if value is not None else None
