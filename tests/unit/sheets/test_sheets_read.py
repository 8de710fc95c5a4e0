"""Sheets of workbooks: what a person sees in a cell is what is read, and what can't be read so is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbooks import (
    cell,
    number,
    ods,
    ods_number,
    ods_row,
    ods_text,
    row,
    sheet,
    text,
    xlsx,
)

from manifest_runner.sheets import SheetError, read_grid
from manifest_runner.sheets import container as container_module
from manifest_runner.sheets import read as read_module
from manifest_runner.sheets import values as values_module


def rows_of(data: bytes, name: str | None = None) -> list[tuple[int, list[str]]]:
    return list(read_grid(data, name).rows)


def test_rows_come_with_their_numbers_and_blank_ones_do_not() -> None:
    data = xlsx({"Spring": sheet(row(1, text("A1", "id")), row(3, text("A3", " ")), row(4, text("B4", "x")))})
    assert rows_of(data) == [(1, ["id", ""]), (4, ["", "x"])]


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("000", "7", "007"),
        ("General", "7", "7"),
        ("General", "0.1", "0.1"),
        ("General", "123456789012", "123456789012"),
        ("0.00", "5.5", "5.50"),
        ("0.00", "-1.005", "-1.01"),
        ("#,##0", "1200", "1200"),
        ("0%", "0.5", "50%"),
        ("0.0%", "0.125", "12.5%"),
        ("0000", "-7", "-0007"),
        ("[Red]#,##0.00", "5.5", "5.5"),
    ],
)
def test_a_number_is_what_is_shown(code: str, value: str, shown: str) -> None:
    data = xlsx({"S": sheet(row(1, number("A1", value, 1)))}, formats=(code,))
    assert rows_of(data) == [(1, [shown])]


def test_text_that_looks_like_a_number_stays_text() -> None:
    cells = [text("A1", "007"), text("B1", "NA"), text("C1", "1e5"), text("D1", "no"), text("E1", " x ")]
    assert rows_of(xlsx({"S": sheet(row(1, *cells))})) == [(1, ["007", "NA", "1e5", "no", " x "])]


def test_truth_and_dates_have_one_form() -> None:
    data = xlsx(
        {
            "S": sheet(
                row(1, cell("A1", "<v>1</v>", "b"), number("B1", "45992", 1), number("C1", "45992.25", 1))
            )
        },
        formats=("yyyy-mm-dd",),
    )
    assert rows_of(data) == [(1, ["true", "2025-12-01", "2025-12-01 06:00:00"])]


@pytest.mark.parametrize("code", ["0.00E+00", "##0.0E+0"])
def test_a_number_that_the_program_made_of_an_id_is_told(code: str) -> None:
    grid = read_grid(xlsx({"S": sheet(row(1, number("B1", "100000", 1)))}, formats=(code,)))
    list(grid.rows)
    (fault,) = grid.faults
    assert (fault.row, fault.column) == (1, 2)
    assert "1.00E+05" in fault.what and "as text" in fault.mend


def test_a_number_with_more_digits_than_are_kept_is_told() -> None:
    grid = read_grid(xlsx({"S": sheet(row(1, number("A1", "825390164827459000")))}))
    list(grid.rows)
    assert "825390164827459" in grid.faults[0].what


def test_cells_without_a_value_or_with_an_error_are_told() -> None:
    data = xlsx(
        {
            "S": sheet(
                row(
                    1,
                    cell("A1", "<f>B1</f>"),
                    cell("B1", "<f>B1</f><v></v>"),
                    cell("C1", "<f>A1&amp;1</f><v>ok</v>", "str"),
                    cell("D1", "<f>1/0</f><v>#N/A</v>", "e"),
                    cell("E1", '<f>""</f><v></v>', "str"),
                )
            )
        }
    )
    grid = read_grid(data)
    list(grid.rows)
    assert [(fault.column, fault.what) for fault in grid.faults] == [
        (1, "The cell has a formula whose value is not in the file."),
        (2, "The cell has a formula whose value is not in the file."),
        (4, "The cell shows the error #N/A."),
    ]


def test_hidden_rows_and_merged_cells_are_known() -> None:
    data = xlsx(
        {
            "S": sheet(
                row(1, text("A1", "x")),
                row(2, text("A2", "y"), hidden=True),
                row(3, hidden=True),
                after='<mergeCells count="1"><mergeCell ref="B3:D3"/></mergeCells>',
            )
        }
    )
    grid = read_grid(data)
    assert (grid.hidden, grid.merged) == ([2], ["B3:D3"])


def test_the_sheet_is_the_one_that_is_named_or_the_only_one_with_anything_in_it() -> None:
    data = xlsx({"A": sheet(row(1, text("A1", "a"))), "Empty": sheet()})
    assert read_grid(data).sheet == "A"
    two = xlsx({"A": sheet(row(1, text("A1", "a"))), "B": sheet(row(1, text("A1", "b")))})
    assert rows_of(two, "B") == [(1, ["b"])]
    with pytest.raises(SheetError, match="several sheets: `A`, `B`") as caught:
        read_grid(two)
    assert caught.value.about_sheet
    with pytest.raises(SheetError, match="no sheet `C`") as caught:
        read_grid(two, "C")
    assert caught.value.mend == "It has `A`, `B`."


def test_a_sheet_may_be_empty() -> None:
    assert rows_of(xlsx({"A": sheet()})) == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "protected by a password",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", "of the old kind"),
        (b"PK\x03\x04 and no more", "damaged"),
        (xlsx({"S": "<sheetData><row>"}), "damaged"),
        (xlsx({}), "has no sheet"),
        (
            xlsx({"S": sheet()}, parts={"xl/styles.xml": b'<?xml version="1.0" encoding="UT9-8"?><x/>'}),
            "damaged",
        ),
        (
            xlsx({"S": sheet()}, parts={"xl/workbook.xml": b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'}),
            "damaged",
        ),
    ],
)
def test_what_is_no_workbook_that_can_be_read_is_said(data: bytes, said: str) -> None:
    with pytest.raises(SheetError, match=said):
        read_grid(data)


def test_a_workbook_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_module, "MOST_UNPACKED", 100_000)
    padding = b"<x>" + b" " * 200_000 + b"</x>"
    with pytest.raises(SheetError, match="unpacks to more"):
        read_grid(xlsx({"S": sheet(row(1, text("A1", "x")))}, parts={"xl/sharedStrings.xml": padding}))


def test_more_rows_than_are_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_module, "MOST_ROWS", 2)
    rows = [row(number, text(f"A{number}", "x")) for number in (1, 2, 3)]
    with pytest.raises(SheetError, match="has 3 rows; 2 are the most"):
        read_grid(xlsx({"S": sheet(*rows)}))


def test_a_cell_far_away_sets_no_memory_aside() -> None:
    with pytest.raises(SheetError, match="reaches to XFD1048576"):
        read_grid(xlsx({"S": sheet(row(1, text("A1", "x")), row(1_048_576, text("XFD1048576", "y")))}))


def test_a_workbook_on_which_the_library_ends_its_process_ends_no_run() -> None:
    """It sets memory aside for every cell between the first and the last, and we may misjudge which these are."""
    far = '<c r="XFD1048576" t="inlineStr"><is><t>y</t></is></c>'
    with pytest.raises(SheetError, match="can't be read"):
        list(values_module.rows_of(xlsx({"S": sheet()}), "nobody"))
    with pytest.raises(SheetError, match="can't be read"):
        list(values_module.rows_of(xlsx({"S": sheet(row(1, text("A1", "x")), row(1_048_576, far))}), "S"))


def test_nothing_of_the_folder_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pandas.py").write_text("raise SystemExit('was run')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert rows_of(xlsx({"S": sheet(row(1, text("A1", "x")))})) == [(1, ["x"])]


def test_the_sheets_of_opendocument_are_read_as_they_are_shown() -> None:
    data = ods(
        {
            "Spring": ods_row(ods_text("id"), ods_text("price"))
            + ods_row(ods_number("7", "007"), ods_number("5.5", "€ 5.50"))
            + ods_row(ods_text("x"), attributes='table:visibility="filter"')
        }
    )
    grid = read_grid(data)
    assert list(grid.rows) == [(1, ["id", "price"]), (2, ["007", "€ 5.50"]), (3, ["x", ""])]
    assert (grid.sheet, grid.hidden) == ("Spring", [3])


def test_of_opendocument_what_can_not_be_read_is_told() -> None:
    formula = '<table:table-cell table:formula="of:=1/0"{}>{}</table:table-cell>'
    error = ' office:value-type="string" calcext:value-type="error"'
    data = ods(
        {
            "S": ods_row(
                formula.format("", ""),
                formula.format(error, "<text:p>#DIV/0!</text:p>"),
                ods_number("100000", "1.00E+05"),
                ods_text("m", 'table:number-columns-spanned="2"'),
            )
        }
    )
    grid = read_grid(data)
    list(grid.rows)
    assert [(fault.column, fault.what[:30]) for fault in grid.faults] == [
        (1, "The cell has a formula whose v"),
        (2, "The cell shows the error #DIV/"),
        (3, "The spreadsheet has made a num"),
    ]
    assert grid.merged == ["D1:E1"]


def test_repeated_rows_of_opendocument_without_anything_in_them_are_nothing() -> None:
    blank = ods_row('<table:table-cell table:number-columns-repeated="16384"/>', attributes="{}")
    data = ods(
        {
            "S": ods_row(ods_text("x"))
            + blank.format('table:number-rows-repeated="5"')
            + ods_row(ods_text("y"))
            + blank.format('table:number-rows-repeated="1048569"')
        }
    )
    assert [row for row, _ in read_grid(data).rows] == [1, 7]


def test_one_that_is_repeated_a_million_times_is_refused() -> None:
    data = ods({"S": ods_row(ods_text("x"), attributes='table:number-rows-repeated="1000000"')})
    with pytest.raises(SheetError, match="1,000,000 rows"):
        read_grid(data)


def test_an_opendocument_with_a_password_is_refused() -> None:
    locked = b'<m:manifest xmlns:m="urn:x"><m:file-entry><m:encryption-data/></m:file-entry></m:manifest>'
    with pytest.raises(SheetError, match="protected by a password"):
        read_grid(ods({"S": ""}, parts={"META-INF/manifest.xml": locked}))
