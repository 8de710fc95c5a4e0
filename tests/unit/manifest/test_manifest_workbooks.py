"""Sheets as they come: workbooks, titles above the header, other headings, old encodings, links."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbooks import cell, number, ods, ods_row, ods_text, row, sheet, text, xlsx

from manifest_runner import bounded_get
from manifest_runner.errors import ManifestError
from manifest_runner.manifest import Layout, Settings, load_manifest, remote
from manifest_runner.models import Manifest

HEADINGS = ("external_task_id", "image", "sound_file", "city")


def header(at: int = 1, names: tuple[str, ...] = HEADINGS) -> str:
    return row(at, *(text(f"{chr(65 + place)}{at}", name) for place, name in enumerate(names)))


def job(at: int, *values: str, hidden: bool = False) -> str:
    cells = (text(f"{chr(65 + place)}{at}", value) for place, value in enumerate(values) if value)
    return row(at, *cells, hidden=hidden)


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(name: str, data: bytes | str, **layout: object) -> Manifest:
    Path(name).write_bytes(data.encode() if isinstance(data, str) else data)
    return load_manifest(Path(name), settings=Settings(layout=Layout(**layout)))  # type: ignore[arg-type]


def beside(rows: str, data: bytes, more: str = "", head: str = "") -> Manifest:
    Path(rows).write_bytes(data)
    Path("m.yaml").write_text(f"version: 1\n{head}jobs: {{from: {rows}{more}}}\n", encoding="utf-8")
    return load_manifest(Path("m.yaml"))


def problems(load: object) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load()  # type: ignore[operator]
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("ending", ["xlsx", "xlsm", "XLSX"])
def test_a_workbook_is_a_manifest(ending: str) -> None:
    data = xlsx(
        {"Spring": sheet(header(), job(2, "007", "a.png", "a.mp3", "Rome"), job(4, "NA", "b.png", "b.mp3"))}
    )
    manifest = load(f"rows.{ending}", data)
    assert [(job.external_task_id, job.location.line, dict(job.vars)) for job in manifest.jobs] == [
        ("007", 2, {"city": "Rome"}),
        ("NA", 4, {}),
    ]
    assert manifest.campaign == "rows"
    assert manifest.notes == ()


def test_so_is_an_opendocument_sheet_that_a_manifest_names() -> None:
    data = ods(
        {
            "One": ods_row(ods_text("note")),
            "Two": ods_row(*map(ods_text, HEADINGS[:3])) + ods_row(*map(ods_text, ("a", "a.png", "a.mp3"))),
        }
    )
    assert beside("rows.ods", data, ", sheet: Two").jobs[0].external_task_id == "a"


def test_a_problem_names_sheet_and_cell_value_and_mend() -> None:
    names = ("external_task_id", "image", "sound_file", "mode")
    data = xlsx({"Spring 26": sheet(header(1, names), job(17, "a", "a.png", "a.mp3", "prp"))})
    assert problems(lambda: load("rows.xlsx", data)) == [
        "rows.xlsx 'Spring 26'!D17 (column mode): `mode` must be `std` or `pro`, and this is `prp`. Did you mean `pro`?"
    ]


def test_a_row_that_lacks_something_is_named_by_its_row() -> None:
    data = xlsx({"S": sheet(header(1, ("external_task_id", "sound_file")), job(3, "a", "a.mp3"))})
    assert problems(lambda: load("rows.xlsx", data))[0].startswith("rows.xlsx S!3: `image` is missing.")


def test_two_rows_of_one_id_are_told_at_the_later() -> None:
    data = xlsx({"S": sheet(header(), job(2, "a", "a.png", "a.mp3"), job(5, "a", "a.png", "a.mp3"))})
    (problem, *_) = problems(lambda: load("rows.xlsx", data))
    assert problem.startswith("rows.xlsx S!A5") and "line 2" in problem


def test_the_header_may_stand_below_a_title() -> None:
    data = xlsx({"S": sheet(row(1, text("A1", "Spring 2026")), header(3), job(4, "a", "a.png", "a.mp3"))})
    assert beside("rows.xlsx", data, ", header_row: 3").jobs[0].location.line == 4
    assert load("rows.xlsx", data, header_row=3).jobs[0].external_task_id == "a"
    assert problems(lambda: load("rows.xlsx", data)) == [
        "rows.xlsx S!1: The first row is a title, it seems: row 3 has the fields. Say so: `header_row: 3` beside "
        "`from:` in the manifest, or --header-row 3."
    ]
    assert (
        "Row 2, where the header is said to be, is empty."
        in problems(lambda: load("rows.xlsx", data, header_row=2))[0]
    )


def test_so_in_a_csv() -> None:
    data = "Spring;2026\n\nexternal_task_id;image;sound_file\na;a.png;a.mp3\n"
    assert load("rows.csv", data, header_row=3).jobs[0].location.line == 4
    (problem,) = problems(lambda: load("rows.csv", data))
    assert problem.startswith("rows.csv:3:1: The first row is a title, it seems: line 3 has the fields.")
    assert "No row begins on line 2" in problems(lambda: load("rows.csv", data, header_row=2))[0]
    assert "No row begins on line 9" in problems(lambda: load("rows.csv", data, header_row=9))[0]


def test_what_people_call_our_fields_is_understood_and_told() -> None:
    names = ("ID", "Portrait", "Audio", "City")
    manifest = load("rows.xlsx", xlsx({"S": sheet(header(1, names), job(2, "a", "a.png", "a.mp3", "Rome"))}))
    (job_,) = manifest.jobs
    assert (job_.external_task_id, job_.image, job_.sound_file, dict(job_.vars)) == (
        "a",
        "a.png",
        "a.mp3",
        {"City": "Rome"},
    )
    assert manifest.notes == (
        "Columns read as fields: `ID` as external_task_id, `Portrait` as image, `Audio` as sound_file. Where that is "
        "not meant, say what a column is under `columns:`, or rename it.",
    )


def test_a_text_beside_recordings_is_asked_about() -> None:
    assert (
        "`Text` is no field: did you mean `speech.text`?"
        in problems(lambda: load("rows.csv", "id,image,Audio,Text\na,a.png,a.mp3,Hi\n"))[0]
    )


def test_two_columns_that_may_be_the_same_field_are_asked_about() -> None:
    said = problems(lambda: load("rows.csv", "id,Photo,Portrait,Audio\na,a.png,b.png,a.mp3\n"))
    assert "`Photo`, `Portrait` may each be meant to be `image`." in said[0]
    assert "columns: {Photo: image}" in said[0]


def test_headings_are_what_the_manifest_says_they_are() -> None:
    data = xlsx(
        {"S": sheet(header(1, ("Nr", "Bild", "Ton", "Kunde")), job(2, "a", "a.png", "a.mp3", "Acme"))}
    )
    said = ", columns: {Nr: external_task_id, Bild: image, Ton: sound_file, Kunde: client}"
    manifest = beside("rows.xlsx", data, said, head='output: "{client}.mp4"\n')
    assert (manifest.jobs[0].output, manifest.notes) == ("Acme.mp4", ())


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("{Nr: speech.txt}", "`speech.txt` is no field."),
        ("{Nr: image}", "`image` is the heading of column 1 and of column 2."),
        ("{Nr: vars}", "`vars` can't be a column."),
        ("{Foto: image}", "The sheet has no column `Foto`, of which"),
    ],
)
def test_what_is_said_of_headings_may_be_wrong(columns: str, said: str) -> None:
    data = b"Nr,image,sound_file\na,a.png,a.mp3\n"
    assert any(
        said in problem for problem in problems(lambda: beside("rows.csv", data, f", columns: {columns}"))
    )


def test_hidden_rows_are_made_and_told_of() -> None:
    data = xlsx(
        {"S": sheet(header(), job(2, "a", "a.png", "a.mp3"), job(3, "b", "a.png", "b.mp3", hidden=True))}
    )
    manifest = load("rows.xlsx", data)
    assert len(manifest.jobs) == 2
    assert manifest.notes == (
        "1 row is hidden in the sheet S (the first: row 3): what they ask for is made, too.",
    )


def test_cells_that_tell_nothing_are_problems() -> None:
    data = xlsx(
        {
            "S": sheet(
                row(1, text("A1", "#"), cell("C1", "<v>#REF!</v>", "e")),  # above the header: nobody's matter
                header(2),
                row(
                    3,
                    number("A3", "100000", 1),
                    text("B3", "a.png"),
                    cell("C3", "<f>X1</f>"),
                    text("F3", "x"),
                ),
                row(4, text("A4", "b"), text("B4", "a.png"), cell("C4", "<v>#N/A</v>", "e")),
                after='<mergeCells><mergeCell ref="A1:D1"/><mergeCell ref="B4:B6"/></mergeCells>',
            )
        },
        formats=("0.00E+00",),
    )
    said = problems(lambda: load("rows.xlsx", data, header_row=2))
    assert [problem.partition(": ")[0] for problem in said] == [
        "rows.xlsx S!A3",
        "rows.xlsx S!C3",
        "rows.xlsx S!F3",
        "rows.xlsx S!B4:B6",
        "rows.xlsx S!C4",
    ]


def test_a_column_without_a_heading_and_without_anything_in_it_is_no_matter() -> None:
    names = ("external_task_id", "", "image", "sound_file")
    data = xlsx({"S": sheet(header(1, names), job(2, "a", "", "a.png", "a.mp3"))})
    assert load("rows.xlsx", data).jobs[0].where("image").cell == "S!C2"


@pytest.mark.parametrize("name", ["rows.xlsx", "rows.ods"])
def test_a_csv_under_a_workbooks_name_is_told(name: str) -> None:
    assert "damaged" in problems(lambda: load(name, "id,image\n"))[0]


def test_a_wrong_sheet_is_told_where_it_is_named() -> None:
    data = xlsx({"S": sheet(header())})
    (said,) = problems(lambda: beside("rows.xlsx", data, ", sheet: T"))
    assert said.startswith("m.yaml:2:32: The workbook has no sheet `T`. It has `S`.")


# -- encodings -------------------------------------------------------------------------------------------------------

SHEET = "external_task_id;image;sound_file;Straße\na;größe.png;a.mp3;Käthe – “so”\n"


def test_windows_1252_is_read_when_it_is_clear_and_told() -> None:
    manifest = load("rows.csv", SHEET.encode("cp1252"))
    assert dict(manifest.jobs[0].vars) == {"Straße": "Käthe – “so”"}
    assert "read as Windows-1252, with words such as `Straße`" in manifest.notes[0]
    assert beside("rows.csv", SHEET.encode("cp1252"), ", encoding: cp1252").notes == ()


@pytest.mark.parametrize(
    "data",
    [
        SHEET.replace("ß", "привет").encode("cp1251", "replace"),
        "external_task_id,image,sound_file\na,zażółć.png,a.mp3\n".encode("cp1250"),
        b"external_task_id,image\n\x81\x8d,a.png\n",
    ],
)
def test_what_is_not_clear_is_asked_about(data: bytes) -> None:
    assert "is not UTF-8" in problems(lambda: load("rows.csv", data))[0]


def test_utf_16_says_itself_what_it_is() -> None:
    assert load("rows.csv", SHEET.encode("utf-16")).jobs[0].image == "größe.png"


def test_an_encoding_that_is_said_and_wrong_is_told() -> None:
    said = problems(lambda: beside("rows.csv", b"\xff\xfe\x00", ", encoding: utf-16"))
    assert "The file is not utf-16, as it is said to be." in said[0]


# -- links -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What lies at which link; the guard itself is tried out where it is."""
    pages: dict[str, bytes] = {}

    def fetch(url: str, most: int, **_: object) -> bytes:
        found = pages[url]
        if found == b"gone":
            raise bounded_get.Gone(404)
        if found == b"slow":
            raise bounded_get.Unreadable("it took more than 60 s")
        if len(found) > most:
            raise bounded_get.TooMuch
        return found

    monkeypatch.setattr(remote, "fetch", fetch)
    return pages


LINK = "https://docs.google.com/spreadsheets/d/e/2PACX-1vQsecretsecretsecretsecret/pub?gid=0&output=csv"


def from_link() -> Manifest:
    Path("m.yaml").write_text(f'version: 1\njobs: {{from: "{LINK}"}}\n', encoding="utf-8")
    return load_manifest(Path("m.yaml"))


def test_a_google_sheet_that_was_published_is_a_sheet(published: dict[str, bytes]) -> None:
    published[LINK] = b"ID,Portrait,Audio\r\na,a.png,a.mp3\r\n"
    (job_,) = from_link().jobs
    assert job_.sound_file == "a.mp3"
    assert job_.location.file == "https://docs.google.com/spreadsheets/d/e/2PACX-1v…/pub"
    published[LINK] = xlsx({"S": sheet(header(), job(2, "b", "a.png", "a.mp3"))})
    manifest = from_link()
    assert (manifest.jobs[0].external_task_id, manifest.table) == ("b", None)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (b"gone", "leads to nothing: its server answers 404."),
        (b"slow", "could not be fetched: it took more than 60 s."),
        (
            b"<!DOCTYPE html><html>",
            "is a web page, no sheet. In Google Sheets: File, Share, Publish to the web",
        ),
    ],
)
def test_a_link_that_leads_to_no_sheet_is_told_without_its_secrets(
    published: dict[str, bytes], page: bytes, said: str
) -> None:
    published[LINK] = page
    (problem,) = problems(from_link)
    assert problem.startswith("m.yaml:2:14: https://docs.google.com/spreadsheets/d/e/2PACX-1v…/pub ")
    assert said in problem and "secret" not in problem


@pytest.mark.parametrize("link", ["http://example.com/x.csv", "ftp://example.com/x.csv", "https://"])
def test_other_links_are_refused(link: str) -> None:
    Path("m.yaml").write_text(f'version: 1\njobs: {{from: "{link}"}}\n', encoding="utf-8")
    assert "`jobs.from` must name a file" in problems(lambda: load_manifest(Path("m.yaml")))[0]
