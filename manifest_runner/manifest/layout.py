"""How the file that holds the rows is laid out, as the manifest or the command line says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Encoding = Literal["utf-8", "utf-16", "cp1252"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """`header_row` counts from 1, blank rows too; None: the first that has anything in it. `columns` are the person's
    headings and what each means: a field of a job, or a name of their own."""

    sheet: str | None = None
    header_row: int | None = None
    encoding: Encoding | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def over(self, written: Any) -> Layout:
        """This one, as the command line says it, over what is written beside `from:` (sound or not)."""
        beside: dict[str, Any] = written if isinstance(written, dict) else {}
        columns = beside.get("columns")
        row, encoding, sheet = beside.get("header_row"), beside.get("encoding"), beside.get("sheet")
        return Layout(
            sheet=self.sheet or (sheet if isinstance(sheet, str) else None),
            header_row=self.header_row or (row if isinstance(row, int) and row > 0 else None),
            encoding=self.encoding or (encoding if encoding in ENCODINGS else None),
            columns={**_texts(columns), **self.columns},
        )


ENCODINGS: tuple[Encoding, ...] = ("utf-8", "utf-16", "cp1252")


def _texts(columns: Any) -> dict[str, str]:
    pairs = columns.items() if isinstance(columns, dict) else ()
    return {heading: meaning for heading, meaning in pairs if isinstance(meaning, str)}
