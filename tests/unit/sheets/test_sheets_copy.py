"""Copies of workbooks with columns of ours: what was there is there to the byte, and both read as they should."""

from __future__ import annotations

import zipfile
from decimal import Decimal
from io import BytesIO

import pytest
from workbooks import cell, number, row, sheet, text, xlsx

from manifest_runner.sheets import container, read_grid
from manifest_runner.sheets.errors import SheetError
from manifest_runner.sheets.xlsx_copy import Value, copy_with

SHEET = "xl/worksheets/sheet1.xml"


def part(data: bytes, name: str = SHEET) -> bytes:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return archive.read(name)


def rows_of(data: bytes) -> dict[int, list[str]]:
    return dict(read_grid(data).rows)


SPRING = xlsx(
    {
        "Spring": '<dimension ref="A1:B3"/>'
        + sheet(
            row(1, text("A1", "id"), text("B1", "name")),
            row(2, text("A2", "a"), cell("B2", "<f>1+1</f><v>2</v>")),
            row(3, text("A3", "b"), '<c r="C3" s="1"/>', '<c r="F3" s="1"/>'),
            '<row r="4" spans="1:2"/>',
            after='<mergeCells count="1"><mergeCell ref="A9:B9"/></mergeCells>',
        ),
        "Other": sheet(row(1)),
    },
    formats=("0.00",),
)
OURS: dict[int, list[Value]] = {
    1: ["status", "units"],
    2: ["done", Decimal("4.40")],
    3: ["=1+1 <&>", None],
    4: ["late", None],
}


def test_columns_are_added_behind_the_last() -> None:
    copy = copy_with(SPRING, "Spring", 3, OURS)
    assert rows_of(copy) == {
        1: ["id", "name", "status", "units"],
        2: ["a", "2", "done", "4.4"],
        3: ["b", "", "=1+1 <&>", ""],
        4: ["", "", "late", ""],
    }


def test_nothing_else_is_touched() -> None:
    copy = copy_with(SPRING, "Spring", 3, OURS)
    with zipfile.ZipFile(BytesIO(SPRING)) as before, zipfile.ZipFile(BytesIO(copy)) as after:
        assert before.namelist() == after.namelist()
        assert all(before.read(name) == after.read(name) for name in before.namelist() if name != SHEET)
    xml = part(copy)
    for kept in (b"<f>1+1</f><v>2</v>", b'<c r="F3" s="1"/>', b'<mergeCell ref="A9:B9"/>'):
        assert kept in xml
    assert b'<dimension ref="A1:D3"/>' in xml
    assert b"spans" not in xml and b'r="C3" s="1"' not in xml, "an empty cell makes room for ours"


def test_a_row_without_values_stays_as_it_is() -> None:
    xml = part(copy_with(SPRING, "Spring", 3, {2: ["done"]}))
    assert row(1, text("A1", "id"), text("B1", "name")).encode() in xml


def test_prefixes_are_kept() -> None:
    prefixed = part(SPRING).replace(b"<worksheet xmlns=", b"<x:worksheet xmlns:x=")
    for name in (
        b"worksheet",
        b"sheetData",
        b"row",
        b"c",
        b"v",
        b"f",
        b"is",
        b"t",
        b"dimension",
        b"mergeCells",
        b"mergeCell",
    ):
        for end in (b">", b" ", b"/>"):
            prefixed = prefixed.replace(b"<" + name + end, b"<x:" + name + end)
            prefixed = prefixed.replace(b"</" + name + end, b"</x:" + name + end)
    data = xlsx({"Spring": sheet()}, parts={})
    with zipfile.ZipFile(BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in {**parts, SHEET: prefixed}.items():
            archive.writestr(name, content)
    copy = part(copy_with(out.getvalue(), "Spring", 3, OURS))
    assert b'<x:c r="C2" t="inlineStr"><x:is><x:t xml:space="preserve">done</x:t></x:is></x:c>' in copy
    assert b'<x:c r="C4"' in copy and b"</x:row>" in copy


def test_a_text_is_a_text_and_no_formula_and_no_control() -> None:
    copy = copy_with(
        xlsx({"S": sheet(row(1, text("A1", "x")))}), "S", 2, {1: ["=HYPERLINK(1)", "a\x00b\ud800"]}
    )
    assert rows_of(copy) == {1: ["x", "=HYPERLINK(1)", "a b "]}
    assert b"<f>" not in part(copy)


def test_numbers_stay_exact() -> None:
    copy = copy_with(xlsx({"S": sheet(row(1, number("A1", "1")))}), "S", 2, {1: [Decimal("0.05")]})
    assert b"<v>0.05</v>" in part(copy)


def test_a_part_that_is_damaged_or_endless_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is: a picture is copied, too."""
    data = xlsx({"S": sheet(row(1, text("A1", "x")))}, parts={"xl/media/a.png": b"picture" * 100})
    with zipfile.ZipFile(BytesIO(data)) as archive:
        info = archive.getinfo("xl/media/a.png")
        at = info.header_offset + 30 + len(info.filename) + 4
    broken = bytearray(data)
    broken[at] ^= 0xFF
    with pytest.raises(SheetError, match="damaged"):
        copy_with(bytes(broken), "S", 2, {1: ["x"]})
    monkeypatch.setattr(container, "MOST_UNPACKED", 5000)
    endless = xlsx({"S": sheet(row(1, text("A1", "x")))}, parts={"xl/media/a.png": b" " * 10_000})
    with pytest.raises(SheetError, match="unpacks to more"):
        copy_with(endless, "S", 2, {1: ["x"]})


def test_xml_that_is_no_sheet_is_refused() -> None:
    with pytest.raises(SheetError, match=r"damaged|can't be copied"):
        copy_with(xlsx({"S": "<sheetData><row>"}), "S", 2, {1: ["x"]})
