"""Bad input gets a clear error, an exit code, and nothing is sent or lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import pytest
from PIL import Image

JOB = "  - {external_task_id: one, image: face.png, sound_file: voice.wav}\n"


def write_wav(path: Path, seconds: float) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\x00\x10" * int(8000 * seconds))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (400, 500), "tan").save(tmp_path / "face.png")
    write_wav(tmp_path / "voice.wav", 2.5)
    return tmp_path


def write(folder: Path, jobs: str = JOB, head: str = "") -> None:
    (folder / "c.yaml").write_text(f"version: 1\ncampaign: c\nservice: sandbox\n{head}jobs:\n{jobs}")


def test_the_good_case_that_the_bad_ones_start_from(cli, folder):
    write(folder)
    assert cli("run", "c.yaml").returncode == 0


@pytest.mark.parametrize(
    ("jobs", "says"),
    [
        ("  []\n", "job"),
        (JOB + JOB, "one"),
        (JOB.replace("face.png", "missing.png"), "missing.png"),
        (JOB.replace("face.png", "."), "folder"),
        (JOB.replace("face.png", "renamed.png"), "text"),
        (JOB.replace("voice.wav", "short.wav").replace("}", ", fit: off}"), "2"),
        (JOB.replace("voice.wav", "long.wav"), "300"),
        (JOB.replace("}", ", output: ../out.mp4}"), "output"),
        (JOB.replace("}", ", output: /tmp/out.mp4}"), "output"),
        (JOB.replace("}", ", output: CON.mp4}"), "CON"),
        (JOB.replace("}", ", promt: hello}"), "did you mean `prompt`"),
        (
            JOB.replace("}", ", output: A.mp4}") + JOB.replace("one", "two").replace("}", ", output: a.mp4}"),
            "a.mp4",
        ),
    ],
    ids=[
        "empty",
        "duplicate id",
        "missing file",
        "folder as picture",
        "renamed text",
        "too short, and not to be mended",
        "too long",
        "leaves the folder",
        "absolute",
        "reserved",
        "unknown field",
        "same file but for case",
    ],
)
@pytest.mark.parametrize("command", ["validate", "run"])
def test_refused_with_its_place_before_anything_is_sent(cli, folder, jobs, says, command):
    (folder / "renamed.png").write_text("this is no picture\n" * 40)
    write_wav(folder / "short.wav", 1.0)
    write_wav(folder / "long.wav", 301.0)
    write(folder, jobs)
    answer = cli(command, "c.yaml")
    assert answer.returncode == 2, answer.stdout + answer.stderr
    assert says in answer.stderr
    assert "c.yaml:" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert {path.name for path in folder.glob("out/c/*")} <= {"problems.csv", ".problems.csv.sha256"}
    assert not (folder / ".manifest-runner" / "sandbox").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("latin.yaml", "version: 1\ncampaign: caf\xe9\njobs: []\n".encode("latin-1")),
        ("latin.csv", "external_task_id,image\nJos\xe9,a.png\n".encode("latin-1")),
        ("empty.yaml", b""),
        ("empty.csv", b""),
        ("nul.csv", b"external_task_id,image\na\x00,b\n"),
        ("deep.yaml", b"[" * 10_000),
    ],
)
def test_files_that_are_no_manifest(cli, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    answer = cli("validate", name)
    assert answer.returncode == 2
    assert name in answer.stderr
    assert "Traceback" not in answer.stderr


def test_validate_lists_every_problem_as_json(cli, folder):
    write(
        folder,
        JOB.replace("face.png", "gone.png") + JOB.replace("one", "two").replace("voice.wav", "gone.wav"),
    )
    answer = cli("validate", "c.yaml", "--json")
    assert answer.returncode == 2
    problems = json.loads(answer.stdout)["problems"]
    assert [(problem["job"], problem["line"]) for problem in problems] == [("one", 5), ("two", 6)]
    assert all(problem["what"] and problem["mend"] for problem in problems)


@pytest.mark.parametrize("command", ["validate", "run"])
def test_problems_are_told_where_their_list_cannot_be_written(cli, folder, command):
    write(folder, JOB.replace("face.png", "gone.png"))
    (folder / "out").write_text("a file, where the folder would be")
    answer = cli(command, "c.yaml")
    assert answer.returncode == 2, answer.stderr
    assert "gone.png" in answer.stderr
    assert "problems.csv can't be written" in answer.stderr


@pytest.mark.parametrize("name", ["report.json", "Posters", "problems.csv", "index.html"])
def test_no_video_goes_where_a_report_goes(cli, folder, name):
    write(folder, JOB.replace("}", f", output: {name}/a.mp4}}"))
    answer = cli("validate", "c.yaml")
    assert answer.returncode == 2
    assert "c.yaml:5" in answer.stderr
    assert f"`{name}` is the name of one of our own files" in answer.stderr


def test_a_folder_in_place_of_the_report_is_named_and_stays(cli, folder):
    write(folder)
    (folder / "out/c/report.csv").mkdir(parents=True)
    (folder / "out/c/report.csv/mine.txt").write_text("mine")
    answer = cli("run", "c.yaml")
    assert answer.returncode == 4
    assert "report.csv can't be written: a folder has its name" in answer.stderr
    assert (folder / "out/c/report.csv/mine.txt").read_text() == "mine"
    (folder / "out/c/report.csv").rename(folder / "out/c/own")
    assert cli("run", "c.yaml").returncode == 0, "the video is here, and paid once"


def test_a_list_of_problems_that_a_person_has_worked_in_stays(cli, folder):
    bad = JOB.replace("face.png", "gone.png")
    write(folder, bad)
    assert cli("validate", "c.yaml").returncode == 2
    file = folder / "out/c/problems.csv"
    notes = file.read_bytes() + b"ask Ana,,,,,,\r\n"
    file.write_bytes(notes)
    assert cli("validate", "c.yaml").returncode == 2
    assert (folder / "out/c/problems.kept-1.csv").read_bytes() == notes
    assert file.read_bytes() in notes
    write(folder)
    assert cli("validate", "c.yaml").returncode == 0
    assert not file.exists()


def test_a_wrong_key_stops_the_run_and_the_jobs_stay_pending(cli, folder):
    write(folder)
    sandbox = subprocess.Popen(
        [sys.executable, "-m", "manifest_runner.cli", "sandbox", "--port", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        lines = [sandbox.stdout.readline() for _ in range(4)]
        url = lines[1].split("=", 1)[1].strip()
        keys = dict(line.strip().removeprefix("export ").split("=", 1) for line in lines[2:4])
        wrong = {**keys, "KLING_SECRET_KEY": "canary" * 8}
        arguments = ("run", "c.yaml", "--service", "kling", "--base-url", url)
        answer = cli(*arguments, env=wrong)
        assert answer.returncode == 4
        assert "1000" in answer.stderr
        assert "canary" not in answer.stdout + answer.stderr
        assert json.loads(cli("status", "c.yaml", "--json").stdout)["by_state"] == {"pending": 1}
        assert cli(*arguments, env=keys).returncode == 0
    finally:
        sandbox.send_signal(signal.SIGINT)
        assert sandbox.wait(20) == 0
        sandbox.stdout.close()


def test_failed_and_refused_jobs_are_reported_and_sent_again_only_when_asked(cli, folder):
    jobs = (
        JOB
        + JOB.replace("one", "two").replace("}", ', prompt: "[sandbox:fail]"}')
        + JOB.replace("one", "three").replace("}", ', prompt: "[sandbox:refuse]"}')
    )
    write(folder, jobs)
    first = cli("run", "c.yaml")
    assert first.returncode == 3
    report = json.loads((folder / "out" / "c" / "report.json").read_text())
    assert report["totals"]["by_outcome"] == {"done": 1, "failed": 1, "rejected": 1}
    again = cli("run", "c.yaml")
    assert again.returncode == 3
    assert "No create call was made" in again.stdout

    write(folder, jobs.replace("[sandbox:fail]", "calm").replace("[sandbox:refuse]", "calm"))
    edited = cli("run", "c.yaml", "--retry", "failed")
    assert edited.returncode == 0, edited.stderr
    report = json.loads((folder / "out" / "c" / "report.json").read_text())
    assert report["totals"]["by_outcome"] == {"done": 3}
    assert [job["attempts"] for job in report["jobs"]] == [1, 2, 2]


def test_a_changed_row_is_shown_and_not_paid_again_by_itself(cli, folder):
    write(folder)
    assert cli("run", "c.yaml").returncode == 0
    before = (folder / "out" / "c" / "one.mp4").read_bytes()
    write(folder, JOB.replace("}", ", mode: pro}"))
    plan = json.loads(cli("plan", "c.yaml", "--json").stdout)
    assert plan["steps"][0]["action"] == "hold"
    assert plan["steps"][0]["changed"] == ["mode"]
    unpaid = cli("run", "c.yaml")
    assert "No create call was made" in unpaid.stdout
    assert cli("run", "c.yaml", "--retry", "changed").returncode == 0
    assert (folder / "out" / "c" / "one.kept-1.mp4").read_bytes() == before, "the first was paid for too"


def test_a_second_runner_is_refused_by_name_and_ctrl_c_keeps_the_state(cli, folder):
    write(folder, "".join(JOB.replace("one", f"job-{n}") for n in range(60)), head="concurrency: 1\n")
    command = [sys.executable, "-m", "manifest_runner.cli", "run", "c.yaml"]
    first = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while "running" not in cli("status", "c.yaml", "--json").stdout and time.monotonic() < deadline:
            time.sleep(0.05)
        second = cli("run", "c.yaml")
        assert second.returncode == 6
        assert str(first.pid) in second.stderr
    finally:
        first.send_signal(signal.SIGINT)
        out, err = first.communicate(timeout=30)
    assert first.returncode == 130, out + err
    assert "Run the same command again" in err
    rest = cli("run", "c.yaml", "--concurrency", "20")
    assert rest.returncode == 0, rest.stderr
    report = json.loads((folder / "out" / "c" / "report.json").read_text())
    assert report["totals"]["by_outcome"] == {"done": 60}
    assert {job["attempts"] for job in report["jobs"]} == {1}


@pytest.mark.skipif(
    os.geteuid() != 0, reason="2026-11-24: only root can mount a disk that is small enough to fill"
)
def test_a_full_disk_stops_the_run_and_the_paid_video_is_fetched_later(cli, folder):
    Image.effect_noise((400, 500), 90).convert("RGB").save(folder / "face.png")  # a video that needs room
    write(folder)
    small = folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], check=True)
    try:
        answer = cli("run", "c.yaml", "--out", "small")
        assert answer.returncode == 4, answer.stdout + answer.stderr
        assert "full" in answer.stderr
    finally:
        subprocess.run(["umount", small], check=True)
    later = cli("run", "c.yaml")
    assert later.returncode == 0
    assert "No create call was made" in later.stdout
