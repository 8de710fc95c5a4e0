"""`listen`, and runs that are told of their tasks by callbacks: real processes, a real socket, the real sandbox."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

KEY = b"the account's webhook secret"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
ENV = {"KLING_WEBHOOK_SECRET": SECRET}
TOLD = b'{"task_id":"870123456789012345","task_status":"succeed","task_info":{"external_task_id":"hello"}}'


def signed(body: bytes, webhook_id: str) -> dict[str, str]:
    moment = str(int(time.time()))
    mac = hmac.digest(KEY, f"{webhook_id}.{moment}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


@contextlib.contextmanager
def listening(
    folder: Path, *arguments: str, env: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """`manifest-runner listen` at work, where it says that it listens, and the whole line that says so."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KLING_")}
    with subprocess.Popen(
        [sys.executable, "-m", "manifest_runner.cli", "listen", "--listen", "0", *arguments],
        cwd=folder,
        env={**clean, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert child.stderr is not None
            said = child.stderr.readline()
            assert said.startswith("Listening on http://"), said
            yield child, said.split()[2], said
        finally:
            child.kill()


@pytest.mark.parametrize(
    ("arguments", "env", "says"),
    [
        ((), {}, "to any path (anybody's, as KLING_WEBHOOK_SECRET is not set)"),
        ((), ENV, "to any path (signed)"),
        (("--callback-url", "https://me.example/hook"), {}, "to the callback URL's path alone (anybody's, "),
        (("--callback-url", "https://me.example/hook"), ENV, "to any path (signed)"),
    ],
)
def test_what_is_taken_is_said_and_is_so(tmp_path, arguments, env, says):
    with listening(tmp_path, *arguments, env=env) as (_, url, said):
        assert says in said
        status = httpx.post(f"{url}/other", content=TOLD, headers=signed(TOLD, "msg_1")).status_code
        assert status == (200 if "any path" in says else 404)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_each_genuine_callback_is_a_line_and_the_end_is_no_failure(tmp_path, end):
    with listening(tmp_path, "--callback-url", "https://me.example/hook", env=ENV) as (child, url, _):
        statuses = [
            httpx.post(f"{url}/hook", content=TOLD, headers=signed(TOLD, "msg_1")).status_code,
            httpx.post(f"{url}/hook", content=TOLD, headers=signed(TOLD, "msg_1")).status_code,  # again
            httpx.post(f"{url}/hook", content=TOLD).status_code,
            httpx.post(f"{url}/other", content=TOLD, headers=signed(TOLD, "msg_2")).status_code,
            httpx.get(f"{url}/hook").status_code,
            httpx.post(f"{url}/hook", content=TOLD, headers=signed(TOLD, "msg_3")).status_code,
        ]
        assert statuses == [200, 200, 401, 200, 405, 200]
        child.send_signal(end)
        out, said = child.communicate(timeout=20)
    assert child.returncode == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["webhook_id"] for line in lines] == ["msg_1", "msg_2", "msg_3"]
    assert lines[0].pop("time").endswith("+00:00")
    assert lines[0] == {
        "webhook_id": "msg_1",
        "task_id": "870123456789012345",
        "external_task_id": "hello",
        "status_told": "succeed",
        "signed": True,
    }
    assert "A callback was refused: it is not signed." in said
    assert "Traceback" not in said
    assert SECRET not in out + said
    assert KEY.decode() not in out + said


def test_without_a_secret_it_is_said_that_anybody_is_believed(tmp_path):
    with listening(tmp_path, env={}) as (child, url, _):
        assert httpx.post(f"{url}/any/path", content=TOLD).json() == {}
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=20)
    assert json.loads(out)["signed"] is False


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path):
    with listening(tmp_path, env=ENV) as (child, url, _):
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        with contextlib.suppress(httpx.TransportError):  # it may have ended before the last of them
            for number in range(5):
                httpx.post(url, content=TOLD, headers=signed(TOLD, f"msg_{number}"))
                time.sleep(0.1)
        assert child.wait(20) in (1, 141)  # click has it end with 1
        assert child.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "env", "says"),
    [
        ((), ENV, "--listen"),
        (("--listen", "nowhere"), ENV, "no HOST:PORT"),
        (("--listen", "0", "--callback-url", "http://me.example/"), ENV, "not https"),
        (("--listen", "0", "--yes"), ENV, "MANIFEST"),
        (("--listen", "203.0.113.7:80"), ENV, "203.0.113.7:80"),
        (("--listen", "0"), {"KLING_WEBHOOK_SECRET": "whsec_not-base64!"}, "whsec_"),
        (("--listen", "0", "missing.yaml"), ENV, "missing.yaml"),
    ],
)
def test_what_can_not_be_listened_to_is_a_sentence(cli, arguments, env, says):
    answer = cli("listen", *arguments, env=env)
    assert answer.returncode == 2
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_port_in_use_is_named(cli):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = cli("listen", "--listen", str(port), env=ENV)
        assert answer.returncode == 2
        assert f"127.0.0.1:{port}" in answer.stderr
        cli("init", ".")
        address = ("--listen", str(port), "--callback-url", f"http://127.0.0.1:{port}/")
        answer = cli("run", "campaign.yaml", *address, env=ENV)
        assert answer.returncode == 2
        assert answer.stderr.startswith(f"Error: Callbacks can't be received on 127.0.0.1:{port}: ")
        assert answer.stdout == ""
        assert "not yet known" in cli("status", "campaign.yaml").stdout  # there is no ledger yet


def test_a_run_is_told_of_its_tasks_by_the_sandbox(cli, tmp_path):
    cli("init", ".")
    port = free_port()
    told = ("--listen", str(port), "--callback-url", f"http://127.0.0.1:{port}/hook")
    answer = cli("run", "campaign.yaml", *told, env=ENV)
    assert answer.returncode == 0, answer.stderr
    assert f"Callbacks are received on 127.0.0.1:{port}, signed ones alone." in answer.stderr
    assert "refused" not in answer.stderr + answer.stdout
    assert re.search(r"^Callbacks: [1-9]\d* received and taken\.$", answer.stdout, re.MULTILINE)
    log = (tmp_path / ".manifest-runner/sandbox/sandbox.log").read_text()
    assert "was not sent" not in log  # as it is to addresses of this machine that nobody allowed


def test_a_run_whose_callbacks_go_elsewhere_says_what_to_look_at(cli, tmp_path):
    cli("init", ".")
    told = ("--listen", str(free_port()), "--callback-url", f"http://127.0.0.1:{free_port()}/hook")
    answer = cli("run", "campaign.yaml", *told, "--log-json", "events.jsonl", env=ENV)
    assert answer.returncode == 0, answer.stderr
    assert "No callback arrived, though 2 tasks ended" in answer.stdout
    ended = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    assert ended["callbacks"] == {"taken": 0, "refused": 0}


def test_a_run_with_nobody_to_call_it_back_is_refused(cli):
    cli("init", ".")
    answer = cli("run", "campaign.yaml", "--listen", "0")
    assert answer.returncode == 2
    assert "--callback-url" in answer.stderr


def test_with_a_manifest_it_brings_home_and_sends_nothing(cli, tmp_path):
    cli("init", ".")
    nothing_sent = cli("listen", "campaign.yaml", "--listen", "0", env=ENV)
    assert nothing_sent.returncode == 3, nothing_sent.stderr
    assert json.loads(cli("status", "campaign.yaml", "--json").stdout)["by_state"] == {"pending": 2}
    assert cli("run", "campaign.yaml").returncode == 0
    video = next((tmp_path / "out").rglob("hello-ana.mp4"))
    video.unlink()
    brought = cli("listen", "campaign.yaml", "--listen", "0", env=ENV)
    assert brought.returncode == 0, brought.stderr
    assert video.exists()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
