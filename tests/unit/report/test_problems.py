"""problems.csv: only the rows that have problems, for whoever mends them; and the sentence that groups them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from manifest_runner.errors import ManifestError, NeedsPerson
from manifest_runner.models import Job, Location, Problem
from manifest_runner.report.problems import forget_problems, public_name, write_problems

SMALL = "image smaller than 300 px"


def job(number: int, **fields: object) -> Job:
    given = {"image": f"{number}.png", "sound_file": f"{number}.mp3", "output": f"{number}.mp4", **fields}
    place = Location(file="rows.csv", line=number + 2, json_path=f"$.jobs[{number}]")
    return Job(external_task_id=f"j{number}", location=place, **given)  # type: ignore[arg-type]


def problem(number: int, column: str = "image", kind: str = SMALL, what: str = "is small.") -> Problem:
    place = Location(file="rows.csv", line=number + 2, column=column, json_path=f"$.jobs[{number}].{column}")
    return Problem(location=place, what=what, mend="Use a larger one.", job=f"j{number}", kind=kind)


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as text:
        return list(csv.DictReader(text))


def test_it_has_the_rows_that_have_problems_and_no_others(tmp_path):
    jobs = [job(number, vars=MappingProxyType({"city": f"City {number}"})) for number in range(5)]
    found = [problem(3), problem(1), problem(1, "sound_file", "recording that can't be used", "is a video.")]
    rows = rows_of(write_problems(found, jobs, tmp_path / "out"))
    assert [row["external_task_id"] for row in rows] == ["j1", "j3"]
    assert rows[0] == {
        "line": "3",
        "external_task_id": "j1",
        "columns": "image, sound_file",
        "problems": "is small. is a video.",
        "what to do": "Use a larger one.",
        "image": "1.png",
        "sound_file": "1.mp3",
        "var.city": "City 1",
    }


def test_what_would_be_a_formula_is_text_and_a_whole_picture_is_not_repeated(tmp_path):
    jobs = [job(0, image="=cmd|' /C calc'!A0", sound_file="A" * 9000)]
    (row,) = rows_of(write_problems([problem(0)], jobs, tmp_path))
    assert row["image"].startswith("'=")
    assert len(row["sound_file"]) < 300


def test_a_field_of_a_yaml_file_is_named_by_its_path(tmp_path):
    place = Location(file="m.yaml", line=4, column=9, json_path="$.jobs[0].image")
    (row,) = rows_of(
        write_problems([Problem(location=place, what="x", job="j0", kind="k")], [job(0)], tmp_path)
    )
    assert row["columns"] == "image"


def test_rows_that_are_no_jobs_stand_among_the_others(tmp_path):
    """Also two of one id: the first of them may be sound."""
    found = [problem(2, "mode", kind="", what="is no mode."), problem(4, kind=""), problem(2, kind="")]
    found[0] = replace(found[0], job=None)
    cells = replace(found[1], location=Location(file="rows.csv", line=9, column="prompt"), job=None)
    rows = rows_of(write_problems([cells, *found], [job(1), job(4)], tmp_path))
    assert [(row["line"], row["external_task_id"], row["columns"]) for row in rows] == [
        ("4", "j2", "mode, image"),
        ("6", "j4", "image"),
        ("9", "", "prompt"),
    ]
    assert [row["image"] for row in rows] == ["", "4.png", ""]


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(NeedsPerson, match=r"problems\.csv can't be written"):
        write_problems([problem(0)], [job(0)], tmp_path / "out")


def test_an_old_list_goes_when_there_are_no_problems_and_a_persons_own_file_stays(tmp_path):
    file = write_problems([problem(0)], [job(0)], tmp_path)
    forget_problems(tmp_path)
    assert not file.exists()
    file.write_text("my own notes")
    forget_problems(tmp_path)
    assert file.read_text() == "my own notes"
    forget_problems(tmp_path / "nowhere")


def test_a_list_that_a_person_has_worked_in_is_theirs(tmp_path):
    file = write_problems([problem(0)], [job(0)], tmp_path)
    write_problems([problem(0, what="is tiny.")], [job(0)], tmp_path)
    assert not list(tmp_path.glob("*.kept-*")), "our own is written over"
    notes = file.read_bytes() + b"asked Ana for a larger one\r\n"
    file.write_bytes(notes)
    forget_problems(tmp_path)
    assert file.read_bytes() == notes
    write_problems([problem(0)], [job(0)], tmp_path)
    assert (tmp_path / "problems.kept-1.csv").read_bytes() == notes
    forget_problems(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["problems.kept-1.csv"]


def test_a_folder_in_its_place_stays(tmp_path):
    (tmp_path / "problems.csv").mkdir()
    with pytest.raises(NeedsPerson, match="a folder has its name"):
        write_problems([problem(0)], [job(0)], tmp_path)
    forget_problems(tmp_path)
    assert (tmp_path / "problems.csv").is_dir()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("photos/ana #1?.png", "photos/ana #1?.png"),
        ("C:\\photos\\ana@home.png", "C:\\photos\\ana@home.png"),
        ("https://cdn.example/a/@b.png?sig=hush", "https://cdn.example/a/@b.png"),
        ("HTTPS://u:hush@cdn.example:8443/a.png#hush", "HTTPS://cdn.example:8443/a.png"),
        ("https://cdn.example?sig=hush", "https://cdn.example"),
        ("https://[::1]:80/a?hush", "https://[::1]:80/a"),
        ("https://cdn.example:x/a.png?sig=hush", "https://cdn.example:x/a.png"),
        ("https://u:hu?sh@cdn.example/a", "https://…"),
        ("https://u:hu/sh@cdn.example/a", "https://…"),
        ("https://cdn.example?mail=a@hush", "https://…"),
        ("http:cdn.example/a?hush", "http:cdn.example/a"),
        ("//u:hush@cdn.example/a?hush", "//cdn.example/a"),
        (" <https://u:hush@cdn.example/a?hush>", "<https://cdn.example/a"),
        ("data:image/png;base64,hush", "data:…"),
        ("abcd" * 500, "abcdabcdabcdabcdabcd…"),
    ],
)
def test_no_secret_of_a_reference_is_written_down(tmp_path, written, shown):
    assert public_name(written) == shown
    (row,) = rows_of(write_problems([problem(0)], [job(0, image=written, sound_file=written)], tmp_path))
    assert row["image"] == row["sound_file"] == shown


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "problems.csv").symlink_to(tmp_path / "victim")
    write_problems([problem(0)], [job(0)], tmp_path)
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / "problems.csv").is_symlink()


def test_many_problems_of_few_kinds_are_counted_first():
    found = [problem(number, what=f"is {number} px wide.") for number in range(412)]
    found += [problem(number, "sound_file", "recording longer than 300 s") for number in range(3)]
    lines = str(ManifestError(found)).splitlines()
    assert lines[:3] == [
        "415 problems in the manifest, in 412 rows.",
        "  412 rows: image smaller than 300 px (the first: rows.csv:2 (column image))",
        "  3 rows: recording longer than 300 s (the first: rows.csv:2 (column sound_file))",
    ]
    assert len(lines) < 30
    assert lines[-1] == "... and 395 more."


def test_alike_ones_are_one_line_with_their_places():
    found = [problem(number, kind="") for number in (1, 2, *range(5, 119))]
    found += [problem(3, "sound_file", kind="", what="is a video.")]
    assert str(ManifestError(found)).splitlines() == [
        "117 problems in the manifest, in 117 rows.",
        "rows.csv, lines 3-4, 7-120 (column image): is small. Use a larger one.",
        "rows.csv:5 (column sound_file): is a video. Use a larger one.",
    ]


def test_two_alike_keep_their_places():
    assert len(str(ManifestError([problem(1, kind=""), problem(2, kind="")])).splitlines()) == 3


def test_few_problems_are_told_one_by_one():
    lines = str(
        ManifestError([problem(number, what=f"{number} is small.") for number in range(3)])
    ).splitlines()
    assert len(lines) == 4
    assert "is small. Use a larger one." in lines[1]
