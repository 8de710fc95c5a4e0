"""Excel's workbooks (ECMA-376): their sheets by name, and the marks of one."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from manifest_runner.sheets.container import Container
from manifest_runner.sheets.errors import SheetError
from manifest_runner.sheets.marks import CellFault, Marks, column_of, key
from manifest_runner.sheets.numbers import BUILT_IN
from manifest_runner.sheets.xml import attribute, walk

_ROOT = "_rels/.rels"


def sheets_of(container: Container) -> dict[str, str]:
    """The sheets of a workbook, visible or not, in their order: name and part."""
    book, parts = _book(container)
    found: dict[str, str] = {}

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "sheet":
            part = parts.get(attribute(attributes, "id") or "", ("", ""))
            if part[0] == "worksheet":
                found[attributes.get("name", "")] = part[1]

    walk(container.blocks(book), start=start)
    return found


def marks_of(container: Container, part: str) -> Marks:
    """Raises SheetError."""
    reader = _SheetReader(_formats(container))
    walk(container.blocks(part), start=reader.start, end=reader.end, text=reader.text)
    return reader.marks


def _book(container: Container) -> tuple[str, dict[str, tuple[str, str]]]:
    """The part that lists the sheets, and what it refers to."""
    for kind, part in _relations(container, _ROOT, "").values():
        if kind == "officeDocument":
            folder, file = posixpath.split(part)
            return part, _relations(container, f"{folder}/_rels/{file}.rels", folder)
    raise SheetError("This is no workbook.", "Save it as .xlsx, and name that file.")


def _relations(container: Container, part: str, folder: str) -> dict[str, tuple[str, str]]:
    """What a part refers to, by id: the kind, and the part."""
    found: dict[str, tuple[str, str]] = {}

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            target = attributes.get("Target", "")
            path = target.lstrip("/") if target.startswith("/") else posixpath.join(folder, target)
            kind = attributes.get("Type", "").rpartition("/")[2]
            found[attributes.get("Id", "")] = (kind, posixpath.normpath(path))

    if part in container.names:
        walk(container.blocks(part), start=start)
    return found


def _formats(container: Container) -> list[str]:
    """The number format of each style; the empty text where it says nothing that matters here."""
    _, parts = _book(container)
    styles = next((part for kind, part in parts.values() if kind == "styles"), None)
    codes: dict[int, str] = dict(BUILT_IN)
    found: list[str] = []
    inside = [False]

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "numFmt":
            codes[_number(attributes.get("numFmtId"))] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            inside[0] = True
        elif name == "xf" and inside[0]:
            found.append(codes.get(_number(attributes.get("numFmtId")), ""))

    def end(name: str) -> None:
        if name == "cellXfs":
            inside[0] = False

    if styles is not None and styles in container.names:
        walk(container.blocks(styles), start=start, end=end)
    return found


class _SheetReader:
    """Takes the events of a sheet's XML."""

    def __init__(self, formats: list[str]) -> None:
        self.marks = Marks()
        self._formats = formats
        self._row = self._column = 0
        self._hidden = self._in_value = self._anything = False
        self._kind, self._style = "n", 0
        self._formula = self._filled = self._given = False
        self._value = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "c":
            self._column = column_of(attributes.get("r", "")) or self._column + 1
            self._kind = attributes.get("t", "n")
            self._style = _number(attributes.get("s"))
            self._formula = self._filled = self._given = False
            self._value = ""
        elif name == "v":
            self._in_value = self._given = True
        elif name == "f":
            self._formula = True
        elif name == "is":
            self._filled = True
        elif name == "row":
            self._row = _number(attributes.get("r")) or self._row + 1
            self._column, self._anything = 0, False
            self._hidden = attributes.get("hidden") in ("1", "true")
        elif name == "mergeCell":
            self.marks.merged.append(attributes.get("ref", ""))

    def text(self, text: str) -> None:
        if self._in_value:
            self._value += text

    def end(self, name: str) -> None:
        if name == "v":
            self._in_value = False
            self._filled = self._filled or bool(self._value)
        elif name == "c":
            self._end_cell()
        elif name == "row" and self._anything:
            self.marks.filled += 1
            if self._hidden:
                self.marks.hidden.append(self._row)

    def _end_cell(self) -> None:
        marks, row, column = self.marks, self._row, self._column
        if self._formula and not self._value and not (self._kind == "str" and self._given):
            marks.faults.append(without_value(row, column))
            self._filled = True
        if not self._filled:
            return
        marks.fill(row, column)
        self._anything = True
        if self._kind == "e":
            marks.faults.append(error_value(row, column, self._value))
        elif self._kind == "n" and self._style < len(self._formats) and (code := self._formats[self._style]):
            marks.formats[key(row, column)] = code


def without_value(row: int, column: int) -> CellFault:
    return CellFault(
        row,
        column,
        "The cell has a formula whose value is not in the file.",
        "Open the sheet in a spreadsheet program and save it, or put the value in place of the formula.",
    )


def error_value(row: int, column: int, value: str) -> CellFault:
    return CellFault(
        row, column, f"The cell shows the error {value[:20]}.", "Mend its formula, or type what is meant."
    )


def _number(text: str | None) -> int:
    """A count from a file; 0 for what is none."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else 0
