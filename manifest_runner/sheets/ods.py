"""OpenDocument's spreadsheets: their sheets by name, and the marks of one. All of it stands in one part."""

from __future__ import annotations

from collections.abc import Mapping

from manifest_runner.sheets.container import Container
from manifest_runner.sheets.errors import locked
from manifest_runner.sheets.marks import MOST_COLUMNS, Marks, column_name, key
from manifest_runner.sheets.xlsx import error_value, without_value
from manifest_runner.sheets.xml import attribute, walk

CONTENT = "content.xml"
_ENCRYPTED = "encryption-data"
_NUMBERS = ("float", "percentage", "currency")
_MOST_ROWS = 1_048_576


def refuse_password(container: Container) -> None:
    def start(name: str, _: Mapping[str, str]) -> None:
        if name == _ENCRYPTED:
            raise locked()

    if "META-INF/manifest.xml" in container.names:
        walk(container.blocks("META-INF/manifest.xml"), start=start)


def sheets_of(container: Container) -> list[str]:
    found: list[str] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "table":
            found.append(attribute(attributes, "name") or "")

    walk(container.blocks(CONTENT), start=start)
    return found


def marks_of(container: Container, sheet: str) -> Marks:
    """Raises SheetError."""
    reader = _TableReader(sheet)
    walk(container.blocks(CONTENT), start=reader.start, end=reader.end, text=reader.text)
    return reader.marks


class _TableReader:
    """Takes the events of the document's XML, and minds those of one table."""

    def __init__(self, sheet: str) -> None:
        self.marks = Marks()
        self._sheet = sheet
        self._inside = self._in_text = self._aside = False
        self._row = self._rows = 0  # where the row begins, and how often it is repeated
        self._column = self._columns = 0
        self._hidden = self._anything = False
        self._cell: Mapping[str, str] = {}
        self._shown = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "table":
            self._inside = attribute(attributes, "name") == self._sheet
        elif not self._inside:
            return
        elif name == "table-row":
            self._row += self._rows
            self._rows = _repeated(attributes, "number-rows-repeated", _MOST_ROWS)
            if self._row == 0:
                self._row = 1
            self._column, self._columns, self._anything = 1, 0, False
            self._hidden = (attribute(attributes, "visibility") or "visible") != "visible"
        elif name in ("table-cell", "covered-table-cell"):
            self._column += self._columns
            self._columns = _repeated(attributes, "number-columns-repeated", MOST_COLUMNS)
            self._cell, self._shown = attributes, ""
        elif name == "annotation":
            self._aside = True
        elif name == "p":
            self._in_text = not self._aside

    def text(self, text: str) -> None:
        if self._in_text:
            self._shown += text

    def end(self, name: str) -> None:
        if name == "p":
            self._in_text = False
        elif name == "annotation":
            self._aside = False
        elif name == "table":
            self._inside = False
        elif not self._inside:
            return
        elif name in ("table-cell", "covered-table-cell"):
            self._end_cell()
        elif name == "table-row" and self._anything:
            self.marks.filled += self._rows
            if self._hidden:
                self.marks.hidden += range(self._row, self._row + self._rows)

    def _end_cell(self) -> None:
        cell, marks, row, column = self._cell, self.marks, self._row, self._column
        across, down = _span(cell, "number-columns-spanned"), _span(cell, "number-rows-spanned")
        if across > 1 or down > 1:
            last = f"{column_name(column + across - 1)}{row + down - 1}"
            marks.merged.append(f"{column_name(column)}{row}:{last}")
        kind = attribute(cell, "value-type")
        formula = attribute(cell, "formula") is not None
        if kind is None and not self._shown and not formula:
            return
        self._anything = True
        marks.fill(row + self._rows - 1, column + self._columns - 1)
        if attribute(cell, "type") == "error" or (formula and self._shown.startswith(("#", "Err:"))):
            marks.faults.append(error_value(row, column, self._shown))
        elif formula and kind is None and not self._shown:
            marks.faults.append(without_value(row, column))
        elif kind in _NUMBERS and self._rows * self._columns <= MOST_COLUMNS:
            for one in range(self._rows):
                for other in range(self._columns):
                    marks.texts[key(row + one, column + other)] = self._shown


def _repeated(attributes: Mapping[str, str], name: str, most: int) -> int:
    return min(max(_span(attributes, name), 1), most)


def _span(attributes: Mapping[str, str], name: str) -> int:
    text = attribute(attributes, name) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1
