"""report.csv: one row a job, for a spreadsheet. What a job cost is `units_deducted` and `units_speech` together.

Comma separated with CRLF (RFC 4180). Empty cells are what is not known or not there; `units_unknown` tells the first
from the second. Text that people or the service wrote is neutralised against formulas; figures and times made here
stay as they are. An application that guesses types turns an id such as `007` into 7: import the columns as text
there, or read report.json.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from manifest_runner.report.collect import CampaignReport
from manifest_runner.report.lines import JobLine
from manifest_runner.report.text import cell

# Excel takes a file without a byte order mark for the system's old 8-bit encoding. The first column is one that
# nobody looks up by name, because a reader that doesn't know the mark takes it for a part of that heading.
ENCODING = "utf-8-sig"


Value = Mapping[str, Any]


def _plain(name: str) -> Callable[[JobLine, Value], str]:
    """What we made ourselves, as the JSON has it."""

    def column(_: JobLine, value: Value) -> str:
        made = value[name]
        return "" if made is None else str(made)

    return column


def _told(name: str) -> Callable[[JobLine, Value], str]:
    """What somebody else wrote."""

    def column(_: JobLine, value: Value) -> str:
        told = value[name]
        return "" if told is None else cell(str(told))

    return column


_COLUMNS: dict[str, Callable[[JobLine, Value], str]] = {
    "line": _told("line"),
    "external_task_id": _told("external_task_id"),
    "outcome": _plain("outcome"),
    "changed": lambda line, _: cell(", ".join(line.changed)),
    "message": _told("message"),
    "file": _told("file"),
    "watermark_file": _told("watermark_file"),
    "captions_file": _told("captions_file"),
    "fitted": lambda line, _: cell("; ".join(f"{name}: {what}" for name, what in line.fitted.items())),
    "mode": _plain("mode"),
    "video_seconds": _plain("video_seconds"),
    "units_estimated": _plain("units_estimated"),
    "units_deducted": _plain("units_deducted"),
    "units_speech": _plain("units_speech"),
    "units_unknown": lambda line, _: "yes" if line.units_unknown or line.units_speech is None else "no",
    "attempts": _plain("attempts"),
    "queued_at": _plain("queued_at"),
    "submitted_at": _plain("submitted_at"),
    "ended_at": _plain("ended_at"),
    "fetched_at": _plain("fetched_at"),
    "service_status": _plain("service_status"),
    "task_id": _told("task_id"),
    "sha256": _told("sha256"),
    "bytes": _told("bytes"),
    "tags": lambda line, _: cell("|".join(line.tags)),
}


class CsvFile:
    """A report on its way into a file opened with `newline=""`: the header at once, then a row a job.

    Vars follow as `var.NAME` columns.
    """

    def __init__(self, report: CampaignReport, out: TextIO) -> None:
        self._rows = csv.writer(out, lineterminator="\r\n")
        self._var_names = report.var_names
        self._rows.writerow([*_COLUMNS, *(cell(f"var.{name}") for name in report.var_names)])

    def add(self, line: JobLine, value: Value) -> None:
        """`value` is the line as report.json has it."""
        row = [column(line, value) for column in _COLUMNS.values()]
        row += [cell(line.vars.get(name, "")) for name in self._var_names]
        self._rows.writerow(row)
