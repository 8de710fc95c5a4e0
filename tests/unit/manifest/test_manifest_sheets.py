"""Large sheets: rows are kept as text, and jobs made when they are asked for, each time the same ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifest_runner.errors import ManifestError
from manifest_runner.manifest import Settings, csv_rows, load_manifest
from manifest_runner.manifest.csv_rows import _records, read_csv
from manifest_runner.models import Job, Location

HEADER = "external_task_id,image,sound_file,prompt,priority,city\n"


def rows(count: int) -> str:
    return "".join(
        f'j{number},a.png,a.mp3,"Hi {{city}},\nsmile",{number % 7},Rome\n' for number in range(count)
    )


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    path = tmp_path / "m.csv"
    path.write_text(HEADER + rows(5) + "\n,,,,,\n" + "last,b.png,é.mp3,,,\n", encoding="utf-8")
    return path


def test_jobs_are_a_sequence_that_makes_equal_jobs_each_time(sheet: Path) -> None:
    jobs = load_manifest(sheet).jobs
    assert isinstance(jobs, Sequence)
    assert len(jobs) == 6
    assert list(jobs) == list(jobs)
    assert [jobs[number] for number in range(6)] == list(jobs)
    assert jobs[-1] == jobs[5]
    assert jobs[-1].sound_file == "é.mp3"
    assert list(jobs[4:1:-2]) == [jobs[4], jobs[2]]
    assert next(reversed(jobs)) == jobs[5]
    with pytest.raises(IndexError):
        jobs[6]


def test_a_job_of_a_sheet_is_a_job_like_any_other(sheet: Path) -> None:
    job = load_manifest(sheet).jobs[1]
    assert (job.external_task_id, job.prompt, job.priority) == ("j1", "Hi Rome,\nsmile", 1)
    assert replace(job, prompt=None) == replace(load_manifest(sheet).jobs[1], prompt=None) != job
    assert str(sheet) not in repr(job.field_locations)


def test_a_job_of_a_sheet_knows_its_places(sheet: Path) -> None:
    job = load_manifest(sheet).jobs[-1]
    assert job.location == Location(file=str(sheet), line=14, json_path="$.jobs[5]")
    assert job.where("sound_file") == Location(
        file=str(sheet), line=14, column="sound_file", json_path="$.jobs[5].sound_file"
    )
    assert job.where("vars.city") == job.where("speech.text") == job.where("nothing") == job.location
    assert list(job.field_locations) == ["external_task_id", "image", "sound_file"]
    first = load_manifest(sheet).jobs[0]
    assert first.where("vars.city").column == "city"
    assert dict(first.field_locations) == dict(load_manifest(sheet).jobs[0].field_locations)
    assert "vars.nothing" not in first.field_locations


def test_the_sound_jobs_of_a_faulty_sheet_are_known(sheet: Path) -> None:
    sheet.write_text(HEADER + rows(3) + "bad,,a.mp3,,,\n" + "worse,a.png,a.mp3,,high,\nfine,a.png,a.mp3,,,\n")
    with pytest.raises(ManifestError) as caught:
        load_manifest(sheet)
    assert [job.external_task_id for job in caught.value.sound] == ["j0", "j1", "j2", "fine"]
    assert caught.value.sound[3].location.line == 10
    assert [problem.job for problem in caught.value.problems] == ["bad", "worse"]


@pytest.mark.parametrize("where", [0, 499, 500, 1100])
def test_one_bad_row_is_found_among_many_and_told_as_it_is_alone(tmp_path: Path, where: int) -> None:
    lines = [f"j{number},a.png,a.mp3,,," for number in range(1200)]
    lines[where] = "x,a.png,a.mp3,{nobody},,"
    (tmp_path / "m.csv").write_text(HEADER + "\n".join(lines))
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "m.csv")
    [problem] = caught.value.problems
    assert problem.what == "`{nobody}` names no value."
    assert problem.location.line == where + 2


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("a,a.png,a.mp3,,,", "a,b.png,a.mp3,,,", "The id `a` is already that of the job on line 2."),
        ("a,a.png,a.mp3,,,", "a-r2,b.png,a.mp3,,,", "The id `a-r2` is kept for attempt 2 of `a` on line 2."),
        ("a-r3,a.png,a.mp3,,,", "a,b.png,a.mp3,,,", "The id `a-r3` is kept for attempt 3 of `a` on line 703."),
        ("q,a.png,a.mp3,,,X", "r,b.png,a.mp3,,,x", "The output `x.mp4` is the same file as `X.mp4` of the job"),
        (",a.png,a.mp3,,,", ",a.png,a.mp3,,,", "asks for the same video as the one on line 2"),
    ],
)  # fmt: skip
def test_jobs_far_from_each_other_are_compared(tmp_path: Path, first: str, last: str, said: str) -> None:
    between = "".join(f"j{number},a.png,a.mp3,,,{number}\n" for number in range(700))
    (tmp_path / "m.csv").write_text(f"{HEADER}{first}\n{between}{last}\n")
    output = "{city}.mp4" if first.endswith("X") else "{external_task_id}.mp4"
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "m.csv", settings=Settings(output=output))
    [problem] = caught.value.problems
    assert said in problem.what


CELLS = st.sampled_from(
    ["", " ", "a", "é", '"x"', '"a,b"', '"a\nb"', '"a\r\nb"', '"q""q"', "\U0001f600", 'x"y']
)
LINES = st.lists(st.lists(CELLS, min_size=1, max_size=4).map(",".join), max_size=12)


@settings(max_examples=300, deadline=None)
@given(lines=LINES, ending=st.sampled_from(["\n", "\r\n", "\r"]), block=st.integers(1, 4))
def test_rows_read_in_blocks_are_those_read_one_by_one(lines: list[str], ending: str, block: int) -> None:
    """Each with its line and its text, whatever stands before it."""
    text = ending.join(["image,city,note", *lines])
    read = list(_records(text.encode(), "m.csv", ","))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "_BLOCK", block)
        source, problems = read_csv(text, "m.csv")
    wide = [record for record in read[1:] if len(record.cells) == 3 and any(map(str.strip, record.cells))]
    assert list(source.lines) == [record.line for record in wide]
    assert list(source.data["jobs"].cells(range(len(wide)))) == [record.cells for record in wide]
    wrong = [record.line for record in read[1:] if len(record.cells) != 3]
    assert [problem.location.line for problem in problems if problem.location.column == "note"] == [
        record.line for record in read[1:] if len(record.cells) == 2
    ]
    assert len(problems) == len(wrong)


MEASURE = """
import resource, sys
from pathlib import Path
from manifest_runner.manifest import Settings, load_manifest

def peak():
    [line] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1])

load_manifest(Path(sys.argv[1]))
before = peak()
jobs = load_manifest(Path(sys.argv[2])).jobs
assert sum(job.priority for job in jobs) == len(jobs)
print(peak() - before)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="2026-11-25: the peak of memory is read from /proc"
)
def test_a_sheet_takes_a_few_times_its_own_size(tmp_path: Path) -> None:
    """As a list of jobs it takes thirty times as much."""
    line = 'job-{:06d},assets/presenter.png,assets/audio/{:06d}.mp3,"Greets {{city}}, smiles",1,Rome number {:06d}\n'
    for name, count in (("small.csv", 10), ("large.csv", 40_000)):
        (tmp_path / name).write_text(
            HEADER + "".join(line.format(number, number, number) for number in range(count))
        )
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "small.csv", tmp_path / "large.csv"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(answer.stdout) * 1024 < 8 * (tmp_path / "large.csv").stat().st_size


COLUMNS = ["image", "sound_file", "audio_id", "speech.text", "prompt", "mode", "city", "row", "note", "tags"]
DEFAULTS = [
    "{image: a.png, sound_file: a.mp3}",
    "{image: a.png, sound_file: a.mp3, vars: {city: Rome, x: '1'}, fit: off, prompt: '{city} {row} {x}'}",
    "{image: a.png, speech: {text: 'Hello {city}, 100 %', voice_id: v, voice_language: en}, vars: {city: Bonn}, "
    "captions: srt, watermark_info: {enabled: true}, mode: pro}",
]


@settings(max_examples=60, deadline=None)
@given(
    columns=st.lists(st.sampled_from(COLUMNS), unique=True),
    kinds=st.lists(st.lists(st.sampled_from(["", " ", "std", "pro"]), min_size=10, max_size=10), max_size=4),
    ids=st.booleans(),
    defaults=st.sampled_from(DEFAULTS),
    output=st.sampled_from(["{external_task_id}.mp4", "{mode}/{external_task_id}-{row}.mp4"]),
)
def test_jobs_made_together_are_those_made_one_by_one(
    tmp_path_factory: pytest.TempPathFactory,
    columns: list[str],
    kinds: list[list[str]],
    ids: bool,
    defaults: str,
    output: str,
) -> None:
    folder = tmp_path_factory.mktemp("sheet")
    lines = [
        ",".join([f"j{number}" if ids else "", *cells[: len(columns)], str(number)])
        for number, cells in enumerate((kinds or [["std"] * 10]) * 15)
    ]
    (folder / "m.csv").write_text(
        "\n".join([",".join(["external_task_id", *columns, "last"]), *lines]), encoding="utf-8"
    )
    (folder / "m.yaml").write_text(
        f"version: 1\noutput: '{output}'\ndefaults: {defaults}\njobs: {{from: m.csv}}\n"
    )
    try:
        jobs = load_manifest(folder / "m.yaml").jobs
    except ManifestError as error:
        jobs = error.sound
    together, alone = list(jobs), [jobs[number] for number in range(len(jobs))]
    assert together == alone
    assert [list(job.vars) for job in together] == [
        list(job.vars) for job in alone
    ]  # as the ledger writes them


def test_priorities_come_from_the_row_or_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(
        "version: 1\nconcurrency: auto\ndefaults: {image: a, sound_file: a, priority: 3}\njobs:\n"
        "  - {external_task_id: a, priority: -1000}\n"
        "  - {external_task_id: b}\n"
        "  - {external_task_id: c, priority: 0}\n"
    )
    manifest = load_manifest(tmp_path / "m.yaml")
    assert [job.priority for job in manifest.jobs] == [-1000, 3, 0]
    assert manifest.concurrency is None


def test_a_priority_is_nothing_that_is_paid_for(tmp_path: Path) -> None:
    def made(row: str) -> Job:
        (tmp_path / "m.yaml").write_text(f"version: 1\njobs: [{{image: a, sound_file: a{row}}}]\n")
        return load_manifest(tmp_path / "m.yaml").jobs[0]

    assert made(", priority: 9").external_task_id == made("").external_task_id


@pytest.mark.parametrize(
    ("written", "option", "used"),
    [
        ("7", None, 7),
        ("auto", None, None),
        ("'auto'", None, None),
        ("auto", 9, 9),
        ("7", "auto", None),
        ("7", 1000, 1000),
    ],
)
def test_concurrency_is_a_number_or_auto_and_the_command_line_wins(
    tmp_path: Path, written: str, option: int | str | None, used: int | None
) -> None:
    (tmp_path / "m.yaml").write_text(
        f"version: 1\nconcurrency: {written}\njobs: [{{external_task_id: a, image: a, sound_file: a}}]\n"
    )
    assert load_manifest(tmp_path / "m.yaml", settings=Settings(concurrency=option)).concurrency == used  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("AUTO", "`concurrency` must be a whole number from 1 to 1000, or the word auto. This is `AUTO`."),
        ("1.5", "`concurrency` must be a whole number from 1 to 1000, or the word auto. This is `1.5`."),
        ("-1", "`concurrency` must be at least 1, and this is `-1`. Raise it."),
        ("1001", "`concurrency` must be at most 1000, and this is `1001`. Lower it."),
        ("[5]", "`concurrency` must be a whole number or text, and this is a list."),
    ],
)
def test_no_other_concurrency_is_taken(tmp_path: Path, written: str, said: str) -> None:
    (tmp_path / "m.yaml").write_text(
        f"version: 1\nconcurrency: {written}\njobs: [{{external_task_id: a, image: a, sound_file: a}}]\n"
    )
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "m.yaml")
    [problem] = caught.value.problems
    assert str(problem).startswith(f"{tmp_path / 'm.yaml'}:2:14: {said}")
