"""The person's own workbook, written back: a copy with what became of each row, and nothing of theirs changed."""

from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest
from workbooks import cell, number, row, sheet, text, xlsx

SANDBOX = ("spring.xlsx", "--service", "sandbox", "--header-row", "2")
HEADINGS = ("ID", "Portrait", "Text", "Voice ID", "Voice Language", "status", "price", "prompt")
SPOKEN = {3: "Good morning to all of you", 5: "Good night", 6: "Good evening to you"}


def workbook() -> bytes:
    rows = [row(1, text("A1", "Spring launch"))]
    rows.append(row(2, *(text(f"{'ABCDEFGH'[place]}2", name) for place, name in enumerate(HEADINGS))))
    for line, words in SPOKEN.items():
        cells = [
            number(f"A{line}", str(line), 1),
            text(f"B{line}", "assets/portrait.png"),
            text(f"C{line}", words),
        ]
        cells += [text(f"D{line}", "oversea_male1"), text(f"E{line}", "en"), text(f"F{line}", "theirs")]
        cells += [cell(f"G{line}", f"<f>{line}*2</f><v>{line * 2}</v>")]
        cells += [text(f"H{line}", "[sandbox:fail]")] if line == 5 else []
        rows.append(row(line, *cells, hidden=line == 6))
    return xlsx({"Spring": sheet(*rows), "Notes": sheet(row(1))}, formats=("000",))


@pytest.fixture
def folder(cli, tmp_path: Path) -> Path:
    cli("init", ".")
    (tmp_path / "spring.xlsx").write_bytes(workbook())
    return tmp_path


def cells(path: Path, name: str = "Spring"):
    return pandas.read_excel(
        path, sheet_name=name, header=None, dtype=object, na_filter=False, engine="calamine"
    )


def test_a_campaign_from_a_workbook_is_written_back_to_a_copy(cli, folder):
    original = (folder / "spring.xlsx").read_bytes()
    ran = cli("run", *SANDBOX)
    assert "1 row is hidden in the sheet Spring (the first: row 6)" in ran.stderr
    answer = cli("report", *SANDBOX, "--write-back")
    assert answer.returncode == 0, answer.stderr
    copy = folder / "out/spring/spring.results.xlsx"
    assert f"Your sheet, with what became of each row: {copy.relative_to(folder)}" in answer.stdout
    assert (folder / "spring.xlsx").read_bytes() == original, "it is only read"
    theirs, written = cells(folder / "spring.xlsx"), cells(copy)
    assert written.iloc[:, : theirs.shape[1]].equals(theirs), "no cell of theirs is another"
    ours = written.iloc[:, theirs.shape[1] :].values.tolist()
    assert ours[1] == ["status (manifest-runner)", "video", "units", "message"]
    assert (ours[0], ours[3]) == ([""] * 4, [""] * 4), "a title and a blank row have nothing"
    report = json.loads((folder / "out/spring/report.json").read_text(encoding="utf-8"))
    for job in report["jobs"]:
        line = int(job["external_task_id"])
        spent = float(job["units_deducted"] or 0) + float(job["units_speech"] or 0)
        assert ours[line - 1][:2] == [job["outcome"], job["file"] or ""]
        assert ours[line - 1][3] == (job["message"] or "")
        assert float(ours[line - 1][2] or 0) == pytest.approx(spent)
    assert {job["external_task_id"]: job["outcome"] for job in report["jobs"]} == {
        "003": "done",
        "005": "failed",
        "006": "done",
    }


def test_a_copy_that_a_person_has_worked_in_is_kept(cli, folder):
    cli("run", *SANDBOX)
    for _ in range(2):
        assert cli("report", *SANDBOX, "--write-back").returncode == 0
    out = folder / "out/spring"
    assert len(list(out.glob("spring.results*.xlsx"))) == 1
    (out / "spring.results.xlsx").write_bytes(b"theirs now")
    assert cli("report", *SANDBOX, "--write-back").returncode == 0
    kept = [path for path in out.glob("spring.results*.xlsx") if path.read_bytes() == b"theirs now"]
    assert len(kept) == 1 and kept[0].name != "spring.results.xlsx"


def test_other_sheets_are_not_written_back_to(cli, folder):
    cli("run", "campaign.yaml")
    answer = cli("report", "campaign.yaml", "--write-back")
    assert (answer.returncode, "stand in no workbook" in answer.stderr) == (2, True)
