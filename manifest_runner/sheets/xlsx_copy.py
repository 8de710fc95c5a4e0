"""A copy of a workbook with columns added to one of its sheets; every other byte of every part stays as it is.

Libraries that read a workbook and write it anew lose what they don't know: charts, values of formulas, what other
programs keep in it. Here the sheet's XML is cut open behind the last column of the rows concerned, and nowhere else.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from io import BytesIO
from typing import NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape

from manifest_runner.sheets import xlsx
from manifest_runner.sheets.container import Container
from manifest_runner.sheets.errors import SheetError
from manifest_runner.sheets.marks import column_name, column_of

Value = str | Decimal | None

_SPANS = re.compile(rb'\sspans="[^"]*"')
_DIMENSION = re.compile(rb'(<(?:\w+:)?dimension\s[^>]*ref=")([A-Z]+[0-9]+)(?::([A-Z]+)([0-9]+))?(")')
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class _Cell(NamedTuple):
    column: int
    start: int
    end: int


def copy_with(data: bytes, sheet: str, column: int, rows: Mapping[int, Sequence[Value]]) -> bytes:
    """The workbook with these values from this column on in these rows; both count from 1.

    What stands there so far must be empty cells. Raises SheetError for what can't be cut open.
    """
    container = Container(data)
    part = xlsx.sheets_of(container)[sheet]
    out, taken = BytesIO(), 0
    with zipfile.ZipFile(out, "w") as copy:
        for info in container.parts:
            content = b"".join(container.blocks(info.filename, taken))
            taken += len(content)
            copy.writestr(info, _with_cells(content, column, rows) if info.filename == part else content)
    return out.getvalue()


def _with_cells(xml: bytes, column: int, rows: Mapping[int, Sequence[Value]]) -> bytes:
    pieces, done = [], 0
    widest = max((len(values) for values in rows.values()), default=0)
    for number, start, inside, end, cells in _rows(xml):
        values = rows.get(number)
        if not values:
            continue
        prefix = xml[start + 1 : inside].partition(b"row")[0]
        ours = b"".join(
            _cell(f"{column_name(column + place)}{number}", value, prefix.decode())
            for place, value in enumerate(values)
        )
        before = [cell for cell in cells if cell.column < column]
        after = [cell for cell in cells if cell.column >= column + len(values)]
        opening = _SPANS.sub(b"", xml[start:inside])
        if opening.endswith(b"/>"):
            opening = opening[:-2] + b">"
            tail = b"</" + prefix + b"row>"
        else:
            tail = xml[(after[0].start if after else _closing(xml, end)) : end]
        head_end = before[-1].end if before else inside
        pieces += [xml[done:start], opening, xml[inside:head_end] if head_end > inside else b"", ours, tail]
        done = end
    pieces.append(xml[done:])
    return _DIMENSION.sub(lambda found: _wider(found, column + widest - 1), b"".join(pieces), count=1)


def _rows(xml: bytes) -> Iterator[tuple[int, int, int, int, list[_Cell]]]:
    """Each row: its number, where it begins, where its inside begins, where it ends, and its cells."""
    parser = expat.ParserCreate()
    found: list[tuple[int, int, int, int, list[_Cell]]] = []
    state = {"row": 0, "start": 0, "column": 0, "cell": 0}
    cells: list[_Cell] = []

    def refuse(*_: object) -> None:
        raise _unfit()

    def over(start: int) -> int:
        """Where the element ends that begins there, and is ending."""
        inside = _after(xml, start)
        return inside if xml[inside - 2 : inside] == b"/>" else _after(xml, parser.CurrentByteIndex)

    def start(name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if local == "row":
            state["row"] = int(attributes.get("r", state["row"] + 1))
            state["start"], state["column"] = parser.CurrentByteIndex, 0
            cells.clear()
        elif local == "c":
            state["column"] = column_of(attributes.get("r", "")) or state["column"] + 1
            state["cell"] = parser.CurrentByteIndex

    def end(name: str) -> None:
        local = name.rpartition(":")[2]
        if local == "c":
            cells.append(_Cell(state["column"], state["cell"], over(state["cell"])))
        elif local == "row":
            inside = _after(xml, state["start"])
            found.append((state["row"], state["start"], inside, over(state["start"]), list(cells)))

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(xml, True)
    except (expat.ExpatError, LookupError, ValueError):
        raise _unfit() from None
    yield from found


def _after(xml: bytes, start: int) -> int:
    """Behind the tag that begins here. A `>` in an attribute is no end."""
    end = xml.find(b">", start)
    while end >= 0 and (xml.count(b'"', start, end) % 2 or xml.count(b"'", start, end) % 2):
        end = xml.find(b">", end + 1)
    if end < 0:
        raise _unfit()
    return end + 1


def _closing(xml: bytes, end: int) -> int:
    """Where the closing tag begins that ends here."""
    return xml.rindex(b"</", 0, end)


def _cell(address: str, value: Value, prefix: str) -> bytes:
    if value is None or value == "":
        return b""
    if isinstance(value, Decimal):
        text = f'<{prefix}c r="{address}"><{prefix}v>{value:f}</{prefix}v></{prefix}c>'
    else:
        clean = escape(_UNPRINTABLE.sub(" ", value))
        text = (
            f'<{prefix}c r="{address}" t="inlineStr"><{prefix}is><{prefix}t xml:space="preserve">{clean}'
            f"</{prefix}t></{prefix}is></{prefix}c>"
        )
    return text.encode()


def _wider(found: re.Match[bytes], column: int) -> bytes:
    """The sheet's stated extent, which now reaches so far."""
    lead, first, last, row, end = found.groups()
    last, row = last or first.rstrip(b"0123456789"), row or first.lstrip(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    widest = max(column, column_of(last.decode() + row.decode()))
    return lead + first + b":" + column_name(widest).encode() + row + end


def _unfit() -> SheetError:
    return SheetError(
        "The sheet can't be copied: its XML is of an unusual kind.",
        "Open it in a spreadsheet program and save it as .xlsx again.",
    )
