"""Ctrl-C twice: the program leaves at once, and still says what becomes of what was sent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

LIST = "image2video?"
NO_TASKS = {"code": 0, "message": "ok", "request_id": "r", "data": []}
NO_TASK = {"code": 1203, "message": "no such task", "request_id": "r", "data": None}


class Silent(ThreadingHTTPServer):
    """A service that has no tasks, and never answers a create call."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked, self.over = threading.Event(), threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: Silent

    def do_GET(self) -> None:
        all_of_them = LIST in self.path
        body = json.dumps(NO_TASKS if all_of_them else NO_TASK).encode()
        self.send_response(200 if all_of_them else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.asked.set()
        self.server.over.wait(60)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def silent_service() -> Iterator[Silent]:
    with Silent() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[tuple[Silent, subprocess.Popen[str]]]:
    """A run whose only create call is under way."""
    (tmp_path / "c.yaml").write_text(
        "version: 1\ncampaign: c\nservice: kling\n"
        "jobs: [{external_task_id: a, image: 'https://cdn.example/a.png', audio_id: '1'}]\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KLING_")}
    with silent_service() as server:
        command = [sys.executable, "-m", "manifest_runner.cli", "run", "c.yaml", "--log-json", "events.jsonl"]
        with subprocess.Popen(
            [*command, "--base-url", f"http://127.0.0.1:{server.server_address[1]}"],
            cwd=tmp_path,
            env={**clean, "KLING_API_KEY": "no-account-has-this"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            try:
                yield server, child
            finally:
                child.kill()


def test_the_second_leaves_at_once_and_says_what_that_means(run, tmp_path):
    server, child = run
    if not server.asked.wait(30):
        child.kill()
        pytest.fail(child.communicate()[1])
    child.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert child.poll() is None, "the first waits for the answer"
    child.send_signal(signal.SIGINT)
    out, said = child.communicate(timeout=20)
    assert child.returncode == 130, said
    sentence = (
        "Interrupted. What was sent goes on at the service, and the next run looks it up; only a text that was just "
        "being spoken may be paid once more. Run the same command again"
    )
    assert said.count(sentence) == said.count("Interrupted") == 1
    assert "Traceback" not in said
    assert "No create call" not in out + said
    ended = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    assert (ended["event"], ended["reason"]) == ("run_ended", "interrupted")
