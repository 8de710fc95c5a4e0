"""report.csv: one row a job, for a spreadsheet. What a job cost is `units_deducted` and `units_speech` together.

Comma separated with CRLF (RFC 4180). Empty cells are what is not known or not there; `units_unknown` tells the first
from the second. Text that people or the service wrote is neutralised against formulas; figures and times made here
stay as they are. An application that guesses types turns an id such as `007` into 7: import the columns as text
there, or read report.json.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TextIO

from manifest_runner.models import units_text, utc_text
from manifest_runner.report.collect import CampaignReport
from manifest_runner.report.lines import JobLine
from manifest_runner.report.text import cell

# Excel takes a file without a byte order mark for the system's old 8-bit encoding. The first column is one that
# nobody looks up by name, because a reader that doesn't know the mark takes it for a part of that heading.
ENCODING = "utf-8-sig"


def _decimal(value: Decimal | None) -> str:
    return units_text(value) if value is not None else ""


def _moment(value: datetime | None) -> str:
    return utc_text(value) if value is not None else ""


def _text(value: str | None) -> str:
    return cell(value) if value is not None else ""


_COLUMNS: dict[str, Callable[[JobLine], str]] = {
    "external_task_id": lambda line: _text(line.external_task_id),
    "outcome": lambda line: line.outcome.value,
    "changed": lambda line: _text(", ".join(line.changed)),
    "message": lambda line: _text(line.message),
    "file": lambda line: _text(line.file),
    "watermark_file": lambda line: _text(line.watermark_file),
    "captions_file": lambda line: _text(line.captions_file),
    "fitted": lambda line: _text("; ".join(f"{name}: {what}" for name, what in line.fitted.items())),
    "mode": lambda line: line.mode.value,
    "video_seconds": lambda line: _decimal(line.video_seconds),
    "units_estimated": lambda line: _decimal(line.units_estimated),
    "units_deducted": lambda line: _decimal(line.units_deducted),
    "units_speech": lambda line: _decimal(line.units_speech),
    "units_unknown": lambda line: "yes" if line.units_unknown or line.units_speech is None else "no",
    "attempts": lambda line: str(line.attempts),
    "queued_at": lambda line: _moment(line.queued_at),
    "submitted_at": lambda line: _moment(line.submitted_at),
    "ended_at": lambda line: _moment(line.ended_at),
    "fetched_at": lambda line: _moment(line.fetched_at),
    "service_status": lambda line: line.service_status.value if line.service_status else "",
    "task_id": lambda line: _text(line.task_id),
    "sha256": lambda line: _text(line.sha256),
    "bytes": lambda line: cell(str(line.bytes)) if line.bytes is not None else "",
    "tags": lambda line: _text("|".join(line.tags)),
}


def write_csv(report: CampaignReport, out: TextIO) -> None:
    """Write the header and a row a job to a file opened with `newline=""`. Vars follow as `var.NAME` columns."""
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(["line", *_COLUMNS, *(cell(f"var.{name}") for name in report.var_names)])
    for line in report.jobs():
        fixed = (value_of(line) for value_of in _COLUMNS.values())
        rows.writerow(
            [
                cell(str(line.line)) if line.line is not None else "",
                *fixed,
                *(_text(line.vars.get(name)) for name in report.var_names),
            ]
        )
