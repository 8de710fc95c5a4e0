"""A sheet with many wrong rows: counted, told on a screen, and all of it in problems.csv."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

HEAD = "external_task_id,image,sound_file,mode\n"


def write(folder: Path, mode: str) -> None:
    """Each third of 600 rows has this mode."""
    rows = [f"r{number},face.png,voice.wav,{'std' if number % 3 else mode}\n" for number in range(600)]
    (folder / "rows.csv").write_text(HEAD + "".join(rows))


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_alike_problems_are_one_line_and_problems_csv_has_each_row(cli, tmp_path, command):
    write(tmp_path, "fast")
    answer = cli(command, "rows.csv", "--service", "sandbox")
    assert answer.returncode == 2
    told = answer.stderr.splitlines()
    assert len(told) < 30, answer.stderr
    assert "problems in the manifest, in " in told[0]
    assert any(line.startswith("rows.csv, lines 2, 5, 8, ") and "(column mode)" in line for line in told)
    assert "$.jobs" not in answer.stderr
    file = tmp_path / "out/rows/problems.csv"
    assert told[-1] == "The rows concerned are in out/rows/problems.csv."
    with file.open(encoding="utf-8-sig", newline="") as text:
        wrong = [row for row in csv.DictReader(text) if "mode" in row["columns"]]
    assert [row["external_task_id"] for row in wrong] == [f"r{number}" for number in range(0, 600, 3)]
    assert not (tmp_path / ".manifest-runner").exists()


def test_what_is_wrong_outside_the_rows_makes_no_list_of_rows(cli, tmp_path):
    (tmp_path / "c.yaml").write_text("version: 1\ncampaign: c\nconcurrency: 0\njobs: [{image: a}\n")
    assert cli("validate", "c.yaml").returncode == 2
    assert not (tmp_path / "out").exists()
