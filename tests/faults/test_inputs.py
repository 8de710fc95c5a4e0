"""Bad inputs through the real command line: each is refused with its place, and the service never hears of it.

And those that look bad and are not are taken as they are. What the media of a job turn into while a run goes on, and
addresses that a service must not follow, are tried against a real sandbox, whose books tell what was sent.
"""

from __future__ import annotations

import csv
import json
import os
import socket
import socketserver
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from inputs import KEPT, MEDIA, NOTES, PROMPTS, REFUSED, RUN, Input, Kept, job, jobs, png, wav

from manifest_runner.sandbox import start_sandbox

MOST_SECONDS = 60
CONFINED = ("sh", "-c", f'ulimit -v {4 * 1024**2}; exec "$@"', "sh")
"""Before a command: it gets 4 GiB, in which no picture of 60,000 x 60,000 pixels can be decoded."""

Finished = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def door() -> Iterator[socket.socket]:
    """Where the service would be. Nobody opens: whoever knocks is found waiting."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def somebody_knocked(door: socket.socket) -> bool:
    try:
        door.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def address_of(door: socket.socket) -> str:
    return f"http://127.0.0.1:{door.getsockname()[1]}"


def lay_down(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in {**MEDIA, **files}.items():
        (folder / name).write_bytes(content)


def command(folder: Path, *arguments: str, before: Sequence[str] = (), **keys: str) -> Finished:
    """One command in a process of its own, with these keys alone."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KLING_")}
    return subprocess.run(
        [*before, sys.executable, "-m", "manifest_runner.cli", *arguments],
        cwd=folder,
        env={**clean, **keys},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=MOST_SECONDS,
        check=False,
    )


def rows(database: Path, query: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def reported(folder: Path) -> dict[str, dict[str, Any]]:
    """The lines of report.json by their jobs' ids."""
    report = json.loads((folder / "out" / "c" / "report.json").read_text(encoding="utf-8"))
    return {line["external_task_id"]: line for line in report["jobs"]}


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: wrong.name)
def test_refused_with_its_place_before_anything_is_sent(
    wrong: Input, door: socket.socket, tmp_path: Path, canary: str
) -> None:
    lay_down(tmp_path, wrong.files)
    service = ("--service", "kling", "--base-url", address_of(door), *wrong.options)
    answer = command(
        tmp_path, "run", wrong.manifest or wrong.file, *service, before=CONFINED, KLING_API_KEY=canary
    )
    said = answer.stdout + answer.stderr
    assert answer.returncode == 2, said
    lines = answer.stderr.splitlines()
    for place, words in wrong.told():
        told = [line for line in lines if line.startswith((f"{place}:", f"{place} [")) and words in line]
        assert told, f"{place}: {words}\n{said[:4000]}"
        lines.remove(told[0])
    assert not [line for line in lines if line.startswith(f"{wrong.file}:")], "nothing else is wrong"
    assert "Traceback" not in said
    assert canary not in said
    assert not somebody_knocked(door)
    left = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert left <= {"problems.csv", ".problems.csv.sha256"}, "the rows to be mended, and nothing else"
    ledger = tmp_path / ".manifest-runner" / "ledger.sqlite3"
    if ledger.exists():
        assert rows(ledger, "SELECT 1 FROM jobs UNION ALL SELECT 1 FROM attempts") == []


def test_a_good_campaign_does_knock_and_shows_its_key(tmp_path: Path, canary: str) -> None:
    """Without this one, the others could pass for a wrong address."""
    lay_down(tmp_path, {"c.yaml": jobs(job()).encode()})
    with socket.create_server(("127.0.0.1", 0)) as listening:
        heard: list[bytes] = []

        def refuse() -> None:
            caller, _ = listening.accept()
            with caller:
                heard.append(caller.recv(65_536))
                body = b'{"code": 1000, "message": "no such key", "request_id": "x"}'
                caller.sendall(b"HTTP/1.1 401 X\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        answering = threading.Thread(target=refuse, daemon=True)
        answering.start()
        answer = command(tmp_path, "run", "c.yaml", "--base-url", address_of(listening), KLING_API_KEY=canary)
        answering.join(MOST_SECONDS)
    assert answer.returncode == 4, answer.stderr
    assert canary.encode() in heard[0]
    assert canary not in answer.stdout + answer.stderr


@pytest.mark.parametrize("odd", KEPT, ids=lambda odd: odd.name)
def test_kept_exactly(odd: Kept, tmp_path: Path) -> None:
    lay_down(tmp_path, {**odd.beside, odd.file: odd.content})
    answer = command(tmp_path, "plan", odd.file, "--service", "sandbox", "--json")
    assert answer.returncode == 0, answer.stderr
    steps = json.loads(answer.stdout)["steps"]
    assert {step["external_task_id"]: step["output"] for step in steps} == odd.videos


def test_what_is_sent_and_reported_is_what_was_written(tmp_path: Path) -> None:
    lay_down(tmp_path, {"c.yaml": RUN.encode()})
    answer = command(tmp_path, "run", "c.yaml", "--service", "sandbox")
    assert answer.returncode == 0, answer.stderr

    books = tmp_path / ".manifest-runner" / "sandbox" / "sandbox.sqlite3"
    assert dict(rows(books, "SELECT external_task_id, prompt FROM tasks")) == PROMPTS
    out = tmp_path / "out" / "c"
    assert {path.stem for path in out.glob("*.mp4")} == set(PROMPTS)

    assert {key: line["vars"]["note"] for key, line in reported(tmp_path).items()} == NOTES
    with (out / "report.csv").open(encoding="utf-8-sig", newline="") as file:
        shown = {line["external_task_id"]: line["var.note"] for line in csv.DictReader(file)}
    assert shown == {name: f"'{note}" if note[0] in "=@-" else note for name, note in NOTES.items()}


@contextmanager
def served(server: socketserver.TCPServer) -> Iterator[str]:
    """The address of a server that runs in a thread."""
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def gate(upstream: str, opened: Callable[[], None]) -> socketserver.TCPServer:
    """Passes on to `upstream`, byte by byte; `opened` is called first of all."""
    target = urlsplit(upstream)
    to_call = [opened]

    class Gate(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if to_call:
                to_call.pop()()
            with socket.create_connection((target.hostname or "", target.port or 0)) as onward:
                back = threading.Thread(target=pump, args=(onward, self.request), daemon=True)
                back.start()
                pump(self.request, onward)
                back.join()

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Gate)
    server.daemon_threads = True
    return server


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while chunk := source.recv(65_536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


def test_media_that_change_between_plan_and_send_are_not_sent(tmp_path: Path) -> None:
    """The run's first call finds the media checked and the plan made; what is changed then must not be paid for."""
    folder = tmp_path / "campaign"
    folder.mkdir()
    own = [job("picture", image="own.png"), job("sound", sound="own.wav"), job("gone", image="gone.png")]
    media = {"own.png": png(), "gone.png": png(), "own.wav": wav(2.1)}
    lay_down(folder, {"c.yaml": jobs(job("same"), *own).encode(), **media})

    def change() -> None:
        (folder / "own.png").write_bytes(png("navy"))
        (folder / "own.wav").write_bytes(wav(2.5))
        (folder / "gone.png").unlink()

    sent = "SELECT external_task_id, seconds FROM tasks ORDER BY task_id"
    with start_sandbox(tmp_path / "sandbox") as sandbox, served(gate(sandbox.base_url, change)) as url:
        run = ("run", "c.yaml", "--service", "kling", "--base-url", url)
        answer = command(folder, *run, **sandbox.environment)
        assert answer.returncode == 3, answer.stderr
        for key, file in (("picture", "own.png"), ("sound", "own.wav")):
            assert f"! {key}: '{file}' has changed between planning and sending." in answer.stderr
        assert "! gone: There is no file 'gone.png'." in answer.stderr
        books = tmp_path / "sandbox" / "sandbox.sqlite3"
        assert [key for key, _ in rows(books, sent)] == ["same"]

        (folder / "gone.png").write_bytes(png())
        again = command(folder, *run, **sandbox.environment)
        assert again.returncode == 0, again.stderr
        assert sorted(key for key, _ in rows(books, sent)) == ["gone", "picture", "same", "sound"]
        assert dict(rows(books, sent))["sound"] == "2.500"


def test_a_private_address_is_asked_neither_by_us_nor_by_the_service(
    door: socket.socket, tmp_path: Path
) -> None:
    """It would be refused by the service, which can't reach it: told before anything is sent, and never tried."""
    here = job("here", image=f'"{address_of(door)}/face.png"')
    cloud = job("cloud", image='"http://169.254.169.254/face.png"')
    lay_down(tmp_path, {"c.yaml": jobs(here, cloud, job("good")).encode()})
    answer = command(tmp_path, "run", "c.yaml", "--service", "sandbox")
    assert answer.returncode == 2, answer.stderr
    assert not somebody_knocked(door)
    assert answer.stderr.count("is an address of this machine or its network") == 2


class Elsewhere(BaseHTTPRequestHandler):
    """Leads on and on."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", f"{self.path}x")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


def test_an_address_that_leads_on_and_on_is_followed_only_so_far(tmp_path: Path) -> None:
    folder = tmp_path / "campaign"
    folder.mkdir()
    with (
        served(ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)) as url,
        start_sandbox(tmp_path / "sandbox", allow_private_media=True) as sandbox,
    ):
        lay_down(folder, {"c.yaml": jobs(job("on", image=f'"{url}/a.png"'), job("good")).encode()})
        service = ("--service", "kling", "--base-url", sandbox.base_url)
        answer = command(folder, "run", "c.yaml", *service, **sandbox.environment)
    assert answer.returncode == 3, answer.stderr
    lines = reported(folder)
    assert {key: line["outcome"] for key, line in lines.items()} == {"on": "rejected", "good": "done"}
    assert "more than 3 redirections" in lines["on"]["message"]


def test_a_link_in_the_output_folder_is_refused_before_a_video_is_paid_that_it_would_lead_away(
    door: socket.socket, tmp_path: Path
) -> None:
    folder, away = tmp_path / "campaign", tmp_path / "away"
    link = folder / "out" / "c" / "de"
    for made in (away, link.parent):
        made.mkdir(parents=True)
    link.symlink_to(away)
    lay_down(folder, {"c.yaml": jobs(job("a", ", output: de/a.mp4")).encode()})
    answer = command(folder, "run", "c.yaml", "--service", "kling", "--base-url", address_of(door))
    assert answer.returncode == 2, answer.stderr
    assert "de/a.mp4 leads outside the output folder" in answer.stderr
    assert not somebody_knocked(door)
    assert list(away.iterdir()) == []

    link.unlink()
    assert command(folder, "run", "c.yaml", "--service", "sandbox").returncode == 0
    assert (link / "a.mp4").is_file()


METADATA = "https://169.254.169.254/latest/meta-data"
OUT_OF_REACH = (
    METADATA,
    "http://127.0.0.1/face.png",
    "http://localhost:8000/face.png",
    "http://media.localhost/face.png",
    "https://10.1.2.3/face.png",
    "https://[::1]/face.png",
    "https://[::ffff:10.0.0.1]/face.png",
    "https://[64:ff9b::a9fe:a9fe]/face.png",
    "https://[2002:7f00:1::]/face.png",
    "https://224.0.0.1/face.png",
    "http://0x7f000001/face.png",
)


@pytest.mark.parametrize(
    ("doing", "url"), [("plan", METADATA), ("run", METADATA), *(("validate", url) for url in OUT_OF_REACH)]
)
def test_an_address_that_the_real_service_cannot_reach_is_refused(
    url: str, doing: str, tmp_path: Path
) -> None:
    lay_down(tmp_path, {"c.yaml": jobs(job("a", image=f'"{url}"')).encode()})
    answer = command(tmp_path, doing, "c.yaml", "--service", "kling", KLING_API_KEY="canary-never-sent")
    assert answer.returncode == 2
    assert "which the service can't reach" in answer.stderr
    assert "c.yaml:" in answer.stderr
