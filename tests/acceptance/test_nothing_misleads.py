"""What a person is told must be true, and what a stranger's folder says must not be obeyed."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from manifest_runner.ledger import open_ledger

KEY = {"KLING_API_KEY": "canary-key-0123456789"}
SPOKEN = "speech: {text: Good morning to all of you, voice_id: oversea_male1, voice_language: en}"
ROW = "  - {external_task_id: ID, image: assets/portrait.png, " + SPOKEN + "}\n"


@pytest.fixture
def folder(cli, tmp_path: Path) -> Path:
    cli("init", ".")
    return tmp_path


def write(folder: Path, *rows: str, head: str = "service: sandbox\n") -> None:
    text = "version: 1\ncampaign: c\n" + head + "jobs:\n" + "".join(rows)
    (folder / "c.yaml").write_text(text, encoding="utf-8")


def row(key: str, extra: str = "") -> str:
    return ROW.replace("ID", key).replace("}\n", f"{extra}}}\n")


def report(folder: Path) -> dict:
    return json.loads((folder / "out" / "c" / "report.json").read_text(encoding="utf-8"))


@contextmanager
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server that answers nothing useful and remembers which keys it was shown."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers.get("Authorization", ""))
            self.send_error(404)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", keys
        finally:
            server.shutdown()
            thread.join()


def test_what_is_called_the_sandbox_is_on_this_machine(cli, folder):
    write(
        folder, row("one"), head="service: {name: sandbox, base_url: 'https://api-singapore.klingai.com'}\n"
    )
    answer = cli("run", "c.yaml", env=KEY)
    assert answer.returncode in (2, 4)
    assert "no sandbox" in answer.stderr
    assert "free" not in answer.stderr


def test_the_sandbox_is_never_asked_at_the_services_address(cli, folder):
    write(folder, row("one"))
    with listener() as (url, keys):
        answer = cli("run", "c.yaml", env={**KEY, "KLING_BASE_URL": url})
        assert answer.returncode == 0, answer.stderr
    assert keys == []


@pytest.mark.parametrize("service", ["kling", "sandbox"])
def test_a_manifest_does_not_lead_the_key_to_another_program_on_this_machine(cli, folder, service):
    with listener() as (url, keys):
        write(folder, row("one"), head=f"service: {{name: {service}, base_url: '{url}'}}\n")
        answer = cli("run", "c.yaml", env=KEY)
    assert answer.returncode == 2
    assert "--base-url" in answer.stderr
    assert keys == []


@pytest.mark.parametrize(
    ("written", "environment"),
    [
        ("KLING_API_KEY=${OTHER_SECRET}\nKLING_BASE_URL=ADDRESS\n", {"OTHER_SECRET": "canary-other-secret"}),
        ("KLING_BASE_URL=ADDRESS\n", KEY),
    ],
)
def test_an_env_file_leads_no_secret_of_the_environment_anywhere(cli, folder, written, environment):
    write(folder, row("one"), head="service: kling\n")
    with listener() as (url, keys):
        (folder / ".env").write_text(written.replace("ADDRESS", url))
        answer = cli("run", "c.yaml", env=environment)
        assert answer.returncode == 2
        assert "canary" not in answer.stdout + answer.stderr
        assert keys == []
        # Confirmed by the person: the address is used, and the file's text stays text.
        cli("run", "c.yaml", "--base-url", url, env=environment)
    assert keys
    assert not any("other-secret" in key for key in keys)


def test_a_key_of_an_env_file_does_not_take_the_place_of_the_environments(cli, folder):
    write(folder, row("one"), head="service: kling\n")
    (folder / ".env").write_text("KLING_API_KEY=somebody-elses-key-012345\n")
    with listener() as (url, keys):
        pair = {
            "KLING_ACCESS_KEY": "canary-access-0123456789",
            "KLING_SECRET_KEY": "canary-secret-0123456789",
        }
        cli("run", "c.yaml", "--base-url", url, env=pair)
    assert keys
    assert not any("somebody" in key for key in keys)


def test_an_env_file_that_is_no_text(cli, folder):
    write(folder, row("one"), head="service: kling\n")
    (folder / ".env").write_bytes(b"KLING_API_KEY=\xff\xfe\n")
    answer = cli("run", "c.yaml")
    assert answer.returncode == 2
    assert ".env" in answer.stderr


def test_an_edited_row_is_named_and_is_not_everything_done(cli, folder):
    write(folder, row("one"), row("two"))
    assert cli("run", "c.yaml").returncode == 0
    write(folder, row("one", ", prompt: Gently"), row("two"))
    answer = cli("run", "c.yaml")
    assert answer.returncode == 3
    assert "1 video made before the row changed" in answer.stdout
    assert "every job is done" not in answer.stdout
    (one, two) = report(folder)["jobs"]
    assert (one["outcome"], one["changed"], two["changed"]) == ("done", ["prompt"], [])
    assert "prompt" in one["message"]


def test_a_row_that_was_taken_out_is_not_counted_and_not_forgotten(cli, folder):
    write(folder, row("one"), row("two", ", prompt: '[sandbox:fail]'"))
    assert cli("run", "c.yaml").returncode == 3
    write(folder, row("one"), row("three"))
    answer = cli("run", "c.yaml")
    assert answer.returncode == 0, "what is listed is done"
    assert "2 of 2 jobs done" in answer.stdout
    assert "Not in the manifest any more, but still in the ledger: 1 failed" in answer.stdout
    status = json.loads(cli("status", "c.yaml", "--json").stdout)
    assert (status["jobs"], status["by_state"], status["not_in_manifest"]) == (2, {"done": 2}, {"failed": 1})
    lines = {job["external_task_id"]: job["line"] for job in report(folder)["jobs"]}
    assert lines == {"one": 5, "three": 6, "two": None}


def test_a_video_that_is_not_the_one_that_was_fetched_is_named(cli, folder):
    write(folder, row("one"))
    assert cli("run", "c.yaml").returncode == 0
    video = folder / "out" / "c" / "one.mp4"
    whole = video.read_bytes()
    video.write_bytes(b"x")
    answer = cli("run", "c.yaml")
    assert answer.returncode == 3
    assert "no longer the file that was fetched" in answer.stderr
    assert video.read_bytes() == b"x", "it may be somebody's own cut"
    video.unlink()
    again = cli("run", "c.yaml")
    assert (again.returncode, "No create call" in again.stdout) == (0, True)
    assert video.read_bytes() == whole


def test_the_sheets_columns_add_up_to_what_was_deducted(cli, folder):
    write(folder, row("one"), row("two"), row("three", ", mode: pro"))
    assert cli("run", "c.yaml").returncode == 0
    with (folder / "out" / "c" / "report.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    total = sum(Decimal(line["units_deducted"]) + Decimal(line["units_speech"]) for line in rows)
    assert str(total) == report(folder)["totals"]["units_deducted"]
    assert [line["line"] for line in rows] == ["5", "6", "7"]
    assert sorted(line["units_speech"] for line in rows) == ["0", "0", "0.05"], "one text, made once"


def test_plan_and_status_do_not_speak_of_another_service(cli, folder):
    write(folder, row("one"))
    assert cli("run", "c.yaml").returncode == 0
    for command in ("plan", "status"):
        answer = cli(command, "c.yaml", "--service", "kling")
        assert answer.returncode == 2
        assert "--ledger" in answer.stderr
    assert "sandbox" in cli("plan", "c.yaml").stdout
    assert "sandbox" in cli("status", "c.yaml").stdout


def test_a_run_without_a_key_does_not_bind_the_ledger(cli, folder):
    write(folder, row("one"))
    assert cli("run", "c.yaml", "--service", "kling").returncode == 4
    assert cli("run", "c.yaml").returncode == 0


def test_a_report_of_another_ledger_is_kept(cli, folder):
    write(folder, row("one"))
    assert cli("run", "c.yaml").returncode == 0
    before = report(folder)
    write(folder, row("two"))
    assert cli("run", "c.yaml", "--ledger", "other.sqlite3").returncode == 0
    kept = json.loads((folder / "out" / "c" / "report.kept-1.json").read_text())
    assert kept == before
    assert (folder / "out" / "c" / "report.kept-1.csv").exists()
    assert report(folder)["ledger"] != before["ledger"]


def test_rows_without_ids_are_warned_of(cli, folder):
    write(folder, row("one"), "  - {image: assets/portrait.png, " + SPOKEN + "}\n")
    for command in (("validate", "c.yaml"), ("plan", "c.yaml"), ("run", "c.yaml")):
        answer = cli(*command)
        assert answer.returncode == 0
        assert "1 job has no external_task_id" in answer.stdout + answer.stderr


def test_the_plan_says_when_the_budget_may_not_do(cli, folder):
    write(folder, row("one"), row("two"))
    assert "may stop before" in cli("plan", "c.yaml", "--budget-units", "2").stdout
    assert "may stop before" not in cli("plan", "c.yaml", "--budget-units", "200").stdout


def test_an_id_that_a_later_attempt_has_is_refused_before_anything_is_sent(cli, folder):
    write(folder, row("one", ", prompt: '[sandbox:fail]'"))
    cli("run", "c.yaml")
    write(folder, row("one"))
    assert cli("run", "c.yaml", "--retry", "failed").returncode == 0
    write(folder, row("one-r2"), row("two"))
    answer = cli("run", "c.yaml")
    assert answer.returncode == 2
    assert "later attempt of the job 'one'" in answer.stderr


def test_names_do_not_steer_the_terminal(cli, folder):
    with open_ledger(folder / ".manifest-runner" / "ledger.sqlite3", account="sandbox") as ledger:
        ledger.write_now(lambda c: c.execute("UPDATE owner SET host = ?", ("\x1b]0;owned\x07",)))
        write(folder, row("one"))
        for command in ("status", "run"):
            answer = cli(command, "c.yaml")
            assert "owned" in answer.stdout + answer.stderr
            assert "\x1b" not in answer.stdout + answer.stderr


def test_on_a_terminal_it_asks_before_it_spends(folder):
    write(folder, row("one"), head="service: kling\n")
    with listener() as (url, keys):
        environment = {**os.environ, **KEY, "KLING_BASE_URL": url}
        said, code = on_a_terminal(folder, environment, "run", "c.yaml", "--budget-units", "20", answer="n\n")
    assert "Send 1 video to kling (paid) for about " in said
    assert "the budget is 20" in said
    assert code == 130
    assert keys == []


def on_a_terminal(folder: Path, environment: dict[str, str], *arguments: str, answer: str) -> tuple[str, int]:
    """Everything a command said on a terminal of its own on which `answer` was typed, and its exit code."""
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    command = [sys.executable, "-m", "manifest_runner.cli", *arguments]
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(theirs)
        os.close(ours)
    return ended.stdout, ended.returncode


def test_media_outside_the_manifests_folder_are_named(cli, folder):
    inside = folder / "campaign"
    inside.mkdir()
    (inside / "c.yaml").write_text(
        "version: 1\nservice: sandbox\njobs:\n"
        + row("one").replace("assets/portrait.png", "../assets/portrait.png")
    )
    answer = cli("validate", "campaign/c.yaml")
    assert answer.returncode == 0
    assert "portrait.png': outside the manifest's folder" in answer.stdout
    write(folder, row("one"))
    assert "outside" not in cli("validate", "c.yaml").stdout


def test_a_link_in_a_strangers_folder_leads_neither_videos_nor_a_ledger_elsewhere(cli, tmp_path):
    cli("init", "campaign")
    victim = tmp_path / "victim"
    victim.mkdir()
    for link in ("out/first-campaign", ".manifest-runner"):
        place = tmp_path / "campaign" / link
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(victim)
        answer = cli("run", "campaign/campaign.yaml")
        assert answer.returncode == 2, link
        assert "outside the manifest's folder" in answer.stderr
        place.unlink()
    assert list(victim.iterdir()) == []


def test_a_link_inside_the_folder_leads_no_video_among_its_media(cli, folder):
    write(folder, row("one"))
    before = sorted(path.name for path in (folder / "assets").iterdir())
    for link in ("out/c", ".manifest-runner"):
        place = folder / link
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(folder / "assets")
        answer = cli("run", "c.yaml")
        assert answer.returncode == 2, link
        assert "in another place of the manifest's folder" in answer.stderr
        place.unlink()
    (folder / "out/c").symlink_to("c")
    answer = cli("run", "c.yaml")
    assert answer.returncode == 2
    assert "leads nowhere" in answer.stderr
    assert sorted(path.name for path in (folder / "assets").iterdir()) == before


def test_captions_that_cannot_be_recorded_take_no_report_away(cli, folder, tmp_path):
    write(folder, row("one").replace("}\n", ", captions: srt}\n"))
    patch = tmp_path / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(
        "from manifest_runner.errors import LedgerError\n"
        "from manifest_runner.runner import captions\n"
        "def broken(*_, **__): raise LedgerError('The ledger is out of order.')\n"
        "captions.caption_all = broken\n"
    )
    answer = cli("run", "c.yaml", env={"PYTHONPATH": str(patch)})
    assert answer.returncode == 4, answer.stdout + answer.stderr
    assert "Stopped: The ledger is out of order." in answer.stderr
    assert (folder / "out/c/one.mp4").is_file()
    assert (folder / "out/c/report.json").is_file()


def test_rows_from_outside_the_manifests_folder_are_not_read(cli, tmp_path):
    (tmp_path / "secrets.csv").write_text("external_task_id,image\nhush,a.png\n")
    folder = tmp_path / "campaign"
    folder.mkdir()
    (folder / "link.csv").symlink_to(tmp_path / "secrets.csv")
    for rows in ("../secrets.csv", str(tmp_path / "secrets.csv"), "link.csv"):
        (folder / "c.yaml").write_text(f"version: 1\ncampaign: c\nservice: sandbox\njobs: {{from: {rows}}}\n")
        answer = cli("validate", "campaign/c.yaml")
        assert answer.returncode == 2
        assert "lies outside the manifest's folder" in answer.stderr
        assert "hush" not in answer.stderr


def test_whom_the_service_will_call_is_said_before_anything_is_sent(cli, folder):
    write(folder, row("a", ', callback_url: "https://theirs.example/hook"'))
    for command in ("validate", "plan", "run"):
        answer = cli(command, "c.yaml")
        said = answer.stdout + answer.stderr
        assert answer.returncode == 0, said
        assert said.count("theirs.example (1)") == 1, command


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({}, "No credentials."),
        ({"KLING_ACCESS_KEY": "canary-access-key-0123"}, "KLING_SECRET_KEY is not set."),
    ],
)
def test_a_sandbox_somebody_started_wants_its_own_key(cli, folder, env, why):
    """Not an account's, and not `service: sandbox`, which is what was asked for."""
    write(folder, row("one"))
    answer = cli("run", "c.yaml", "--base-url", "http://127.0.0.1:9", env=env)
    assert answer.returncode == 4
    assert f"{why} The sandbox at http://127.0.0.1:9 was not started by this run" in answer.stderr
    assert "that `manifest-runner sandbox` printed" in answer.stderr
    assert "leave --base-url out" in answer.stderr
    assert "without an account" not in answer.stderr


@pytest.mark.parametrize("command", ["validate", "plan"])
@pytest.mark.parametrize(
    ("head", "options", "who", "says"),
    [
        ("", (), "kling", "which is paid; --service sandbox is local and free."),
        ("", ("--service", "sandbox"), "sandbox", "which is local and free."),
        ("service: sandbox\n", (), "sandbox", "which is local and free."),
    ],
)
def test_the_service_that_is_meant_is_named(cli, folder, command, head, options, who, says):
    write(folder, row("one"), head=head)
    answer = cli(command, "c.yaml", *options)
    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("The service: ")]
    assert line.startswith(f"The service: {who}")
    assert line.endswith(f", {says}")


def test_the_events_and_the_report_are_not_mixed(cli, folder):
    write(folder, row("one"))
    answer = cli("run", "c.yaml", "--log-json", "-", "--json")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "Both --log-json - and --json write to standard output." in answer.stderr
    assert not (folder / ".manifest-runner").exists(), "nothing was begun"


def test_an_address_of_ones_own_is_not_called_paid_for_sure(cli, folder):
    write(folder, row("one"), head="")
    said = cli("plan", "c.yaml", "--base-url", "http://127.0.0.1:9").stdout
    assert "The service: kling:127.0.0.1, an address of your own: what it makes may be paid." in said


def test_a_sheet_that_is_being_edited_hides_no_paid_job(cli, folder):
    """What the ledger knows is told though the manifest can't be used as it is."""
    write(folder, row("one"))
    assert cli("run", "c.yaml").returncode == 0
    write(folder, row("one", ", promt: calm"))
    for command in (("explain", "c.yaml", "one"), ("report", "c.yaml")):
        answer = cli(*command)
        assert answer.returncode == 0, answer.stderr
        assert "Note: c.yaml can't be used as it is (`validate` says why)." in answer.stderr
        assert "one" in answer.stdout
    assert report(folder)["totals"]["jobs"] == 1
    assert not (folder / "out" / "c" / "problems.csv").exists(), "nobody asked for it"
    assert "There is no file d.yaml." in cli("explain", "d.yaml", "one").stderr
