"""A copy of the person's own workbook, with what became of each row in columns behind theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from manifest_runner.errors import NeedsPerson, UsageError
from manifest_runner.models import Table, Units
from manifest_runner.report.lines import JobLine
from manifest_runner.report.putting import put_ours
from manifest_runner.sheets import SheetError, Value, copy_with

ENDINGS = (".xlsx", ".xlsm")
_COLUMNS = ("status", "video", "units", "message")


@dataclass(slots=True)
class _Row:
    """What became of the jobs of one row: a matrix makes several of it."""

    outcomes: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    units: Units | None = None  # None: no figure
    messages: dict[str, None] = field(default_factory=dict)

    def add(self, line: JobLine) -> None:
        self.outcomes.append(line.outcome.value)
        if line.file is not None:
            self.videos.append(line.file)
        for units in (line.units_deducted, line.units_speech or None):
            if units is not None:
                self.units = (self.units or Decimal(0)) + units
        if line.message:
            self.messages[line.message] = None

    def values(self) -> tuple[Value, ...]:
        return self._status(), ", ".join(self.videos), self.units, " ".join(self.messages)

    def _status(self) -> str:
        if len(set(self.outcomes)) == 1:
            return self.outcomes[0]
        counted = {outcome: self.outcomes.count(outcome) for outcome in dict.fromkeys(self.outcomes)}
        return ", ".join(f"{count} {outcome}" for outcome, count in counted.items())


def write_sheet_copy(table: Table, lines: Iterable[JobLine], rows: Mapping[str, int], folder: Path) -> Path:
    """Write it into the folder. `rows`: where the sheet has each job, by its id; those without one are left out.

    The person's file is only read, and every cell of theirs is in the copy as it was. A copy in which a person has
    worked is kept aside. Raises UsageError for a workbook that can't be copied, NeedsPerson.
    """
    if table.file.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"{table.file} can't be written back to: that is done with {' and '.join(ENDINGS)} alone.",
            mend="Leave --write-back out: report.csv has the same.",
        )
    told: dict[int, _Row] = {}
    for line in lines:
        if (number := rows.get(line.external_task_id)) is not None:
            told.setdefault(number, _Row()).add(line)
    values: dict[int, Sequence[Value]] = {number: row.values() for number, row in told.items()}
    values[table.header_row] = _headings(table)
    target = folder / f"{table.file.stem}.results{table.file.suffix}"
    try:
        copy = copy_with(table.file.read_bytes(), table.sheet, table.width + 1, values)
    except SheetError as error:
        raise UsageError(error.what, mend=error.mend) from None
    except OSError as error:
        raise NeedsPerson(
            f"{table.file} can't be read any more: {error.strerror or error}.",
            mend="Look whether it is there.",
        ) from None
    put_ours(target, copy)
    return target


def _headings(table: Table) -> list[str]:
    """Ours, under names that none of theirs has."""
    theirs = {heading.casefold() for heading in table.headings}
    return [name if name not in theirs else f"{name} (manifest-runner)" for name in _COLUMNS]
