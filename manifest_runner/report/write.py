"""Putting the reports into the campaign's folder: each is there whole, the old one or the new one, never a half."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO

from manifest_runner.disk import sync_folder
from manifest_runner.errors import NeedsPerson
from manifest_runner.report.collect import CampaignReport
from manifest_runner.report.csv_file import ENCODING as CSV_ENCODING
from manifest_runner.report.csv_file import CsvFile
from manifest_runner.report.json_file import JsonFile, job_value
from manifest_runner.report.putting import keep_aside, refuse_folder, replacements


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportFiles:
    """Where the reports lie."""

    json: Path
    csv: Path


def write_reports(report: CampaignReport, folder: Path) -> ReportFiles:
    """Write report.json and report.csv into `folder`, the campaign's output folder.

    Both are on disk before either takes its name, so a full disk leaves the reports of the run before.
    Raises NeedsPerson when they can't be written.
    """
    files = ReportFiles(json=folder / "report.json", csv=folder / "report.csv")
    with _write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file in (files.json, files.csv):
            refuse_folder(file)
        if _ledger_of(files.json) != report.ledger_id:  # so the sheet beside it is not of this ledger either
            for file in (files.json, files.csv):  # the last record, perhaps, of what was paid
                keep_aside(file)
        with replacements((files.json, files.csv), partial(_write, report)) as move:
            move()
        sync_folder(folder)
    return files


def _ledger_of(file: Path) -> str | None:
    """The ledger that a report.json was written from: it stands near the beginning. None for any other file."""
    if not file.is_file():
        return None
    with file.open("rb") as head:
        found = re.search(rb'"ledger": "([0-9a-f]+)"', head.read(4096))
    return found[1].decode() if found else None


def _write(report: CampaignReport, outs: Sequence[BinaryIO]) -> None:
    """Both files in one reading of the jobs."""
    json_out = TextIOWrapper(outs[0], encoding="utf-8", newline="")
    csv_out = TextIOWrapper(outs[1], encoding=CSV_ENCODING, newline="")
    json_file, csv_file = JsonFile(report, json_out), CsvFile(report, csv_out)
    for line in report.jobs():
        value = job_value(line)
        json_file.add(value)
        csv_file.add(line, value)
    json_file.end()
    for out in (json_out, csv_out):
        out.detach()  # flushes, and leaves the file open


@contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NeedsPerson(
            f"The report can't be written to {folder}: {error.strerror or error}.",
            mend="The ledger has all of it: check the folder and the room on its disk (and that no other program "
            "holds the report open), then run `manifest-runner report`.",
        ) from error
