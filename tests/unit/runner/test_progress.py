"""What people see of a run: bars on a terminal, else a line now and then."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import re
import struct
import termios
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import pytest
from ledger_kit import Doings

from manifest_runner.ledger import open_ledger
from manifest_runner.models import JobState
from manifest_runner.runner import progress
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.gauges import Gauges
from manifest_runner.runner.meter import Figures, Meter
from manifest_runner.runner.progress import Progress, progress_line, time_left, units_words


def figures(**changed: object) -> Figures:
    given = {
        "by_state": Counter(
            {JobState.DONE: 312, JobState.PENDING: 680, JobState.RUNNING: 5, JobState.RENDERED: 3}
        ),
        "slots_used": 5,
        "slots_limit": 5,
        "slots_ceiling": 5,
        "units_spent": Decimal("124.50"),
        "units_held": Decimal(20),
        "units_limit": Decimal(500),
        "units_expected": Decimal(480),
        "video_seconds": Decimal("1203.4"),
        "seconds_expected": None,
        "bytes_received": 45_100_000,
        "service_calls": 9,
        "callbacks_taken": None,
        "callbacks_refused": None,
        "seconds_left": 125.0,
    }
    return Figures(**{**given, **changed})  # type: ignore[arg-type]


def test_a_line_has_all_that_is_asked_of_it():
    assert progress_line(figures()) == (
        "312 of 1,000 jobs done; 5 at the service, 3 to fetch; slots 5 of 5; 124.5 of 500 units, 20 held back; "
        "1,203 s of video, 45.1 MB; about 2 min left"
    )


def test_what_is_not_known_yet_is_said_so():
    line = progress_line(figures(slots_limit=None, units_spent=None, units_limit=None, seconds_left=None))
    assert "slots" not in line
    assert "about 480 to spend" in line
    assert line.endswith("time left unknown")


def test_failures_and_a_lower_limit_are_said():
    states = Counter({JobState.DONE: 2, JobState.FAILED: 1, JobState.REJECTED: 1})
    line = progress_line(figures(by_state=states, slots_limit=3, seconds_expected=Decimal(2000)))
    assert "2 of 4 jobs done; 2 not made" in line
    assert "slots 5 of 3 (5 allowed)" in line
    assert "1,203 of about 2,000 s of video" in line


def test_without_a_budget_units_are_held_against_what_is_expected():
    assert units_words(figures(units_limit=None, units_held=Decimal(0))) == "124.5 of about 480 units"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "less than a minute left"),
        (45, "about 1 min left"),
        (600, "about 10 min left"),
        (7140, "about 119 min left"),
        (3 * 3600 + 60, "about 3 h 1 min left"),
    ],
)
def test_time_left_in_round_words(seconds, said):
    assert time_left(figures(seconds_left=seconds)) == said


@pytest.fixture
def doings(tmp_path: Path) -> Iterator[Doings]:
    with open_ledger(tmp_path / "ledger.sqlite3", account="sandbox") as ledger:
        yield Doings(ledger)


class Shown:
    """A terminal, with what it has shown."""

    def __init__(self, out: TextIO, seen: Callable[[], str]) -> None:
        self.getvalue = seen
        self.write, self.flush, self.isatty, self.fileno = out.write, out.flush, out.isatty, out.fileno
        self.encoding = "utf-8"


class Terminal(io.StringIO):
    """One of no known size."""

    def isatty(self) -> bool:
        return True


async def shown(doings: Doings, out: Any, monkeypatch: pytest.MonkeyPatch, until: str) -> str:
    """What the display shows until it has shown `until`."""
    monkeypatch.setattr("sys.stderr", out)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)
    gauges = Gauges(slots=SimpleNamespace(used=1, limit=2, ceiling=2), budget=Budget(None, Decimal(0)))
    display = Progress(Meter(doings.ledger, "c", gauges, expected_units=Decimal(8)))
    showing = asyncio.create_task(display.run())
    doings.make("a")
    async with asyncio.timeout(10):
        while until not in out.getvalue():  # noqa: ASYNC110 - what is waited for is text
            await asyncio.sleep(0.01)
    showing.cancel()
    with suppress(asyncio.CancelledError):
        await showing
    return out.getvalue()


async def test_without_a_terminal_there_are_plain_lines(doings, monkeypatch):
    doings.enrol("a", "b")
    out = io.StringIO()
    text = await shown(doings, out, monkeypatch, "1 of 2 jobs done")
    assert "\r" not in text
    assert "\x1b" not in text
    assert text.endswith("\n")


@pytest.fixture
def terminal() -> Iterator[tuple[TextIO, Callable[[int, int], None], Callable[[], str]]]:
    """A real one: what to write to, what sets its size, and what it has shown so far."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    seen = bytearray()

    def resize(columns: int, rows: int) -> None:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def shown_so_far() -> str:
        with suppress(BlockingIOError):
            while some := os.read(master, 65536):
                seen.extend(some)
        return seen.decode()

    with os.fdopen(slave, "w") as out:
        yield out, resize, shown_so_far
    os.close(master)


@pytest.mark.parametrize("size", [(40, 5), (80, 24), (300, 100)])
async def test_on_a_terminal_there_are_bars_that_fit(doings, monkeypatch, terminal, size):
    monkeypatch.setenv("TERM", "xterm")
    out, resize, seen = terminal
    resize(*size)
    doings.enrol("a", "b")
    text = await shown(doings, Shown(out, seen), monkeypatch, "Jobs 1/2")
    assert re.search(r"Units \|.*\| 0 of about 8 units", text)
    assert "0 at the service, 0 to fetch" in text
    plain = re.sub(r"\x1b\[[A-Z]", "", text)
    assert max(map(len, re.split(r"[\r\n]", plain))) <= size[0]


@pytest.mark.parametrize("size", [(20, 2), (39, 24), (80, 4), (0, 0)])
async def test_a_terminal_without_room_for_bars_gets_lines(doings, monkeypatch, terminal, size):
    monkeypatch.setenv("TERM", "xterm")
    out, resize, seen = terminal
    resize(*size)
    doings.enrol("a", "b")
    text = await shown(doings, Shown(out, seen), monkeypatch, "1 of 2 jobs done")
    assert "\x1b" not in text


async def test_a_terminal_that_can_only_type_gets_lines(doings, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    doings.enrol("a", "b")
    text = await shown(doings, Terminal(), monkeypatch, "1 of 2 jobs done")
    assert "\r" not in text
    assert "\x1b" not in text
