"""Clients that connect and say nothing, or say it too slowly: they are let go, and others are heard meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from manifest_runner.sandbox import SandboxSettings, new_key_pair
from manifest_runner.sandbox.calls import RESULTS_PATH
from manifest_runner.sandbox.connections import (
    MOST_HELD,
    InOnePiece,
    accept_backlog,
    connection_limit,
    quieten_full_tables,
)

SERVE = """
import resource, sys
from manifest_runner.sandbox import connections
from manifest_runner.sandbox.serve import serve
from manifest_runner.sandbox.settings import SandboxSettings
connections.HEADERS_WITHIN, connections.BODY_WITHIN = float(sys.argv[2]), float(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[4]),) * 2)
serve(SandboxSettings.from_json(sys.argv[1]), ready=lambda url: print(url, flush=True))
"""
HALF_HEADERS = b"GET /x HT"
HALF_BODY = b"POST /v1/videos/avatar/image2video HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"


@contextlib.contextmanager
def serving(
    state: Path, *, headers: float = 60, body: float = 60, files: int = 256, errors: list[str] | None = None
) -> Iterator[tuple[str, int]]:
    settings = SandboxSettings(state=state, **new_key_pair())
    arguments = [settings.to_json(), str(headers), str(body), str(files)]
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            address = urlsplit(child.stdout.readline().strip())
            yield str(address.hostname), int(address.port or 0)
        finally:
            child.terminate()
            _, said = child.communicate(timeout=10)
            if errors is not None:
                errors.append(said)


def closed_within(client: socket.socket, seconds: float) -> bool:
    client.settimeout(seconds)
    try:
        while client.recv(4096):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        pass
    return True


def answered(address: tuple[str, int]) -> int:
    return httpx.get(f"http://{address[0]}:{address[1]}/x", timeout=5).status_code


@pytest.mark.parametrize("begun", [HALF_HEADERS, HALF_BODY])
def test_hundreds_of_clients_that_never_finish_starve_nobody(tmp_path: Path, begun: bytes) -> None:
    errors: list[str] = []
    with serving(tmp_path, files=128, errors=errors) as address, contextlib.ExitStack() as held:
        for _ in range(300):
            client = held.enter_context(socket.create_connection(address, timeout=5))
            with contextlib.suppress(ConnectionError):  # some are let go as others come
                client.sendall(begun)
        began = time.monotonic()
        assert [answered(address) for _ in range(5)] == [401] * 5
        assert time.monotonic() - began < 5
    assert errors == [""]


@pytest.mark.parametrize(
    ("begun", "times"),
    [
        (b"", {"headers": 0.4}),
        (HALF_HEADERS, {"headers": 0.4}),
        (HALF_BODY, {"body": 0.4}),
    ],
)
def test_a_request_that_does_not_arrive_in_time_is_let_go(
    tmp_path: Path, begun: bytes, times: dict[str, float]
) -> None:
    errors: list[str] = []
    with serving(tmp_path, errors=errors, **times) as address, socket.create_connection(address) as client:
        client.sendall(begun)
        assert closed_within(client, 5)
        assert answered(address) == 401
    assert errors == [""]


def test_bytes_that_trickle_in_do_not_prolong_the_time(tmp_path: Path) -> None:
    with serving(tmp_path, headers=0.5) as address, socket.create_connection(address) as client:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 5:
                client.sendall(b"G")
                time.sleep(0.05)
        assert 0.4 < time.monotonic() - began < 3


def test_a_connection_that_is_kept_open_may_rest_and_its_next_request_is_timed_anew(tmp_path: Path) -> None:
    request = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(tmp_path, headers=0.4) as address, socket.create_connection(address) as client:
        for _ in range(2):
            client.sendall(request)
            client.settimeout(5)
            time.sleep(0.8)  # twice what headers may take; the whole answer has come by then
            assert client.recv(4096).startswith(b"HTTP/1.1 401")
        client.sendall(HALF_HEADERS)
        assert closed_within(client, 5)


@pytest.mark.parametrize("answered_first", [True, False])
def test_nonsense_in_a_body_is_a_line_and_answered_once(tmp_path: Path, answered_first: bool) -> None:
    """The handler of such a request must not answer after the server has."""
    errors: list[str] = []
    begun = (
        f"GET {RESULTS_PATH}x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n".encode()
    )
    with serving(tmp_path, errors=errors) as address, socket.create_connection(address, timeout=5) as client:
        if answered_first:
            client.sendall(begun)
            said = client.recv(4096)
            assert said.startswith(b"HTTP/1.1 404 ")
            client.sendall(b"zz\r\n")
        else:
            client.sendall(begun + b"zz\r\n")
            said = b""
        with contextlib.suppress(ConnectionResetError):
            while some := client.recv(4096):
                said += some
        assert said.count(b"HTTP/1.1") == 1
        assert answered(address) == 401
    assert "Traceback" not in errors[0]


@pytest.mark.parametrize(
    ("files", "limit", "backlog"),
    [
        (resource.RLIM_INFINITY, 256, 128),
        (1_048_576, 256, 128),
        (1024, 256, 120),
        (256, 96, 24),
        (128, 32, 8),
        (20, 8, 4),
    ],
)
def test_the_bounds_leave_descriptors_for_the_work_itself(
    monkeypatch: pytest.MonkeyPatch, files: int, limit: int, backlog: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert (connection_limit(), accept_backlog()) == (limit, backlog)


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (lambda: OSError(errno.EMFILE, "Too many open files"), 1),
        (lambda: OSError(errno.EPIPE, "Broken pipe"), 4),
    ],
)
async def test_a_full_table_of_files_is_one_line_and_any_other_fault_is_told_in_full(
    caplog: pytest.LogCaptureFixture, error: Callable[[], OSError], lines: int
) -> None:
    caplog.set_level(logging.WARNING)
    try:
        raise error()
    except OSError as raised:
        quieten_full_tables(asyncio.get_running_loop(), {"message": "m", "exception": raised})
    assert (len(caplog.text.splitlines()) > 1) is (lines > 1)
    assert error().strerror in caplog.text


class Wire:
    """What of a transport is written to."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.sent.append(b"closed")


async def test_what_is_written_in_one_turn_leaves_in_one_piece() -> None:
    wire = Wire()
    transport = InOnePiece(wire, asyncio.get_running_loop())  # type: ignore[arg-type]  # all that it uses
    for part in (b"head ", b"body", b""):
        transport.write(part)
    assert wire.sent == []
    await asyncio.sleep(0)
    assert wire.sent == [b"head body"]
    transport.write(b"last")
    transport.close()
    await asyncio.sleep(0)
    assert wire.sent[1:] == [b"last", b"closed"]


async def test_a_large_answer_is_not_held_back() -> None:
    wire = Wire()
    transport = InOnePiece(wire, asyncio.get_running_loop())  # type: ignore[arg-type]
    transport.write(b"x" * MOST_HELD)
    assert wire.sent == []
    transport.write(b"y")
    assert [len(piece) for piece in wire.sent] == [MOST_HELD + 1]
