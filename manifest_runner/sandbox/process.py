"""A sandbox in a process of its own, for as long as a `with` block lasts.

It has its own session, so a terminal's Ctrl-C reaches only the runner, and it watches the pipe to its parent, so it
ends even when the parent is killed outright.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from manifest_runner.errors import NeedsPerson, ServiceUnreachable
from manifest_runner.sandbox.folders import make_private_folder, open_private
from manifest_runner.sandbox.settings import SandboxSettings, new_key_pair

SETTINGS_VARIABLE = "MANIFEST_RUNNER_SANDBOX_SETTINGS"
START_DEADLINE = 30.0  # seconds; longer than the child waits for the lock of its folder
END_DEADLINE = 10.0
LOG_NAME = "sandbox.log"


@dataclass(frozen=True, kw_only=True)
class SandboxProcess:
    """A sandbox that listens. `environment` is what a client finds its key under (KLING_ACCESS_KEY, ...)."""

    base_url: str
    pid: int
    environment: Mapping[str, str] = field(repr=False)


@contextlib.contextmanager
def start_sandbox(
    state: Path,
    *,
    slots: int = 5,
    workers: int = 2,
    render_time: float | None = None,
    speed: float | None = None,
    previews: bool = True,
    retention_days: float = 30,
    webhook_secret: str | None = None,
    allow_private_media: bool = False,
    receiver: tuple[str, int] | None = None,
    allow_local_callbacks: bool = False,
    count_calls: bool = False,
    deadline: float = START_DEADLINE,
) -> Iterator[SandboxProcess]:
    """Start a sandbox with new keys over the folder `state`, give it once it listens, and end it with the block.

    Raises UsageError for settings that make no sense, ServiceUnreachable, with the last lines of what the sandbox
    said, when it does not listen within `deadline` seconds, and NeedsPerson when its folder can't be used.
    """
    settings = SandboxSettings(
        state=state,
        slots=slots,
        workers=workers,
        render_time=render_time,
        speed=speed,
        previews=previews,
        retention_days=retention_days,
        webhook_secret=webhook_secret,
        allow_private_media=allow_private_media,
        receiver=receiver,
        allow_local_callbacks=allow_local_callbacks,
        count_calls=count_calls,
        **new_key_pair(),
    )
    try:
        make_private_folder(settings.state)
        log = open_private(settings.state / LOG_NAME)
    except OSError as error:
        raise NeedsPerson(
            f"The sandbox can't use the folder {settings.state}: {error.strerror or error}.",
            mend="Free the disk or its rights, or move away what is in its place.",
        ) from None
    with log:
        log.truncate()
        child = _spawn(settings, log)
        try:
            base_url = _wait_until_ready(child, settings.state / LOG_NAME, deadline)
            yield SandboxProcess(base_url=base_url, pid=child.pid, environment=settings.environment)
        finally:
            _end(child)


def _spawn(settings: SandboxSettings, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """`-P` keeps the working folder off the import path: a file there must not pose as one of our modules."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KLING_")}
    environment[SETTINGS_VARIABLE] = settings.to_json()
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "manifest_runner.sandbox"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        start_new_session=True,
    )


def _wait_until_ready(child: subprocess.Popen[bytes], log: Path, deadline: float) -> str:
    line = _read_line(child, time.monotonic() + deadline)
    try:
        return str(json.loads(line)["base_url"])
    except (ValueError, KeyError, TypeError):
        reason = _last_lines(log) or f"it said nothing for {deadline:.0f} s."
        raise ServiceUnreachable(f"The sandbox did not start: {reason}") from None


def _read_line(child: subprocess.Popen[bytes], until: float) -> bytes:
    """The child's first line, or what there is of it when it ends or the time is over."""
    line = b""
    output = cast(IO[bytes], child.stdout)  # it was started with a pipe
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while not line.endswith(b"\n") and selector.select(max(0.0, until - time.monotonic())):
            chunk = os.read(output.fileno(), 4096)
            if not chunk:
                break
            line += chunk
    return line


def _last_lines(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").splitlines()[-5:])[-1000:]


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask twice, by the closed pipe and by SIGTERM; then insist."""
    for pipe in (child.stdin, child.stdout):
        cast(IO[bytes], pipe).close()
    child.terminate()
    try:
        child.wait(END_DEADLINE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
