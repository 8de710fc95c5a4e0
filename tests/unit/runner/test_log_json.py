"""The events of `--log-json`: each once, in order, nothing secret in them, and no harm from whoever reads them."""

from __future__ import annotations

import asyncio
import io
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ledger_kit import Doings

from manifest_runner.cli.events import events_out
from manifest_runner.ledger import open_ledger
from manifest_runner.ledger.limits import limit_changed
from manifest_runner.ledger.standing import CHUNK
from manifest_runner.runner import log_json
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.gauges import Arrivals, Gauges
from manifest_runner.runner.log_json import JsonLog
from manifest_runner.runner.meter import Meter


@pytest.fixture
def doings(tmp_path: Path) -> Iterator[Doings]:
    with open_ledger(tmp_path / "ledger.sqlite3", account="sandbox") as ledger:
        yield Doings(ledger)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_json, "LOOK_SECONDS", 0.01)


def log_of(doings: Doings, out: Any, **options: Any) -> JsonLog:
    gauges = Gauges(slots=SimpleNamespace(used=1, limit=2, ceiling=2), budget=Budget(Decimal(9), Decimal(0)))
    meter = Meter(doings.ledger, "c", gauges, expected_units=Decimal(8), budget=Decimal(9))
    return JsonLog(meter, out, **options)


def events_in(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def beside(log: JsonLog, work: Any = None) -> None:
    """The log's task, begun and cancelled as a run does it; `work` is done meanwhile."""
    running = asyncio.create_task(log.run())
    for doing in work or ():
        await asyncio.sleep(0.02)
        doing()
    await asyncio.sleep(0.05)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_run_is_told_from_its_beginning_to_its_end(doings):
    doings.enrol("007", "b")
    out = io.StringIO()
    log = log_of(doings, out, service="sandbox")
    doings.send("007")
    await beside(
        log,
        [
            lambda: doings.accept("007"),
            lambda: doings.ledger.write_now(limit_changed, "c", 1, 1, "the account refused more"),
            lambda: doings.end("007"),
            lambda: doings.keep("007"),
        ],
    )
    doings.send("b")
    doings.refuse("b")
    log.finish(3)
    events = events_in(out.getvalue())
    assert {event["v"] for event in events} == {1}
    assert [event["event"] for event in events] == [
        "run_started",
        *["job"] * 2,
        "slots_limit",
        *["job"] * 4,
        "run_ended",
    ]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    moves = [event for event in events if event["event"] == "job"]
    assert [(move["external_task_id"], move["from"], move["to"]) for move in moves] == [
        ("007", "pending", "submitting"),
        ("007", "submitting", "running"),
        ("007", "running", "rendered"),
        ("007", "rendered", "done"),
        ("b", "pending", "submitting"),
        ("b", "submitting", "rejected"),
    ]
    assert [move["seq"] for move in moves] == sorted({move["seq"] for move in moves})
    assert [move["units_deducted"] for move in moves] == [None, None, "4.4", None, None, None]
    assert [move["video_seconds"] for move in moves] == [None, None, None, "10.5", None, None]
    assert [move["task_id"] for move in moves] == [None, *["task-007"] * 3, None, None]
    assert moves[5]["code"] == 1201
    assert events[3]["limit"] == 1
    started, ended = events[0], events[-1]
    assert (started["campaign"], started["service"], started["by_state"]) == ("c", "sandbox", {"pending": 2})
    assert started["units"] == {"spent": "0", "held": "0", "budget": "9", "expected": "8"}
    assert (ended["exit_code"], ended["reason"]) == (3, "jobs_not_done")
    assert ended["by_state"] == {"done": 1, "rejected": 1}
    assert ended["video_seconds"] == "10.5"
    assert ended.keys().isdisjoint({"seconds_left", "slots"}), "nothing is left to wait for"
    assert started.keys() == {"v", "event", "at", "campaign", "service", "jobs", "by_state", "units"}


@pytest.mark.parametrize(
    ("gauges", "units", "callbacks"),
    [
        (Gauges(), {"budget": "9", "to_spend": "8"}, None),
        (
            Gauges(
                budget=Budget(Decimal(9), Decimal(2)), arrivals=Arrivals(taken=3, refused=Counter(a=1, b=1))
            ),
            {"spent": "2", "held": "0", "budget": "9", "expected": "10"},
            {"taken": 3, "refused": 2},
        ),
    ],
    ids=["before it has a budget to ask", "while it listens"],
)
def test_no_field_is_told_that_nothing_is_known_of(doings, gauges, units, callbacks):
    doings.enrol("a")
    out = io.StringIO()
    meter = Meter(doings.ledger, "c", gauges, expected_units=Decimal(8), budget=Decimal(9))
    JsonLog(meter, out).finish(0)
    started, ended = events_in(out.getvalue())
    assert started["units"] == ended["units"] == units
    assert ended["callbacks"] == callbacks


async def test_nothing_secret_is_in_it(doings):
    doings.enrol("a", "b")
    out = io.StringIO()
    log = log_of(doings, out)
    doings.send("a")
    doings.refuse("a")
    doings.send("b")
    doings.accept("b")
    doings.end("b", failed=True)
    log.finish(3)
    assert "hush" not in out.getvalue()
    assert "://" not in out.getvalue()


def test_what_happened_before_is_not_told_again(doings):
    doings.enrol("a", "b")
    doings.make("a")
    doings.ledger.write_now(limit_changed, "c", 5, 0, "the run began")
    out = io.StringIO()
    log = log_of(doings, out)
    doings.send("b")
    log.finish(130)
    events = events_in(out.getvalue())
    assert [event["event"] for event in events] == ["run_started", "job", "run_ended"]
    assert events[-1]["reason"] == "interrupted"


def test_each_of_very_many_is_told_once(doings):
    out = io.StringIO()
    log = log_of(doings, out)
    ids = [f"j{number}" for number in range(CHUNK * 2 + 5)]
    doings.enrol(*ids)
    log.finish(0)
    told = [event["external_task_id"] for event in events_in(out.getvalue()) if event["event"] == "job"]
    assert told == ids


async def test_progress_is_told_now_and_then(doings, monkeypatch):
    monkeypatch.setattr(log_json, "PROGRESS_SECONDS", 0.01)
    doings.enrol("a")
    out = io.StringIO()
    await beside(log := log_of(doings, out))
    log.finish(0)
    shown = [event for event in events_in(out.getvalue()) if event["event"] == "progress"]
    assert shown
    assert shown[0]["slots"] == {"used": 1, "limit": 2, "ceiling": 2}
    assert shown[0]["units"] == {"spent": "0", "held": "0", "budget": "9", "expected": "8"}
    assert shown[0]["seconds_left"] is None


async def test_each_line_is_there_at_once_and_a_file_grows(doings, tmp_path):
    doings.enrol("a")
    file = tmp_path / "events.jsonl"
    for _ in range(2):
        with events_out(str(file), manifest=tmp_path / "c.yaml", ledger=tmp_path / "l.sqlite3") as out:
            assert out is not None
            log = log_of(doings, out)
            await beside(log)
            assert events_in(file.read_text())[-1]["event"] == "run_started", "before the file is closed"
            log.finish(0)
    names = [event["event"] for event in events_in(file.read_text())]
    assert names == ["run_started", "run_ended"] * 2


async def test_a_reader_that_goes_away_ends_the_events_and_not_the_run(doings, capsys):
    doings.enrol("a", "b")
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as out:
        log = log_of(doings, out)
        await beside(log)
        os.close(reading)
        await beside(log, [lambda: doings.make("a"), lambda: doings.make("b")])
        log.finish(0)
    said = capsys.readouterr().err
    assert said.count("The events of --log-json can't be written any more (Broken pipe)") == 1
    assert said.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="2026-11-25: /dev/full is Linux's")
def test_a_full_disk_ends_the_events_and_not_the_run(doings, capsys):
    doings.enrol("a")
    with Path("/dev/full").open("w") as out:
        log = log_of(doings, out)
        doings.make("a")
        log.finish(0)
    assert capsys.readouterr().err.count("No space left on device") == 1


async def test_a_reader_that_takes_nothing_holds_nobody_up(doings, monkeypatch, capsys):
    monkeypatch.setattr(log_json, "PATIENCE_SECONDS", 0.2)
    doings.enrol(*(f"j{number}" for number in range(1000)))
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as out:
        log = log_of(doings, out)
        doings.enrol(*(f"k{number}" for number in range(1000)))  # more than a pipe holds
        running = asyncio.create_task(log.run())
        ticks = 0
        async with asyncio.timeout(5):
            for _ in range(20):
                await asyncio.sleep(0.01)
                ticks += 1
        assert ticks == 20, "the loop goes on"
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        log.finish(0)
        assert "its reader takes nothing" in capsys.readouterr().err
        os.close(reading)


async def test_a_slow_reader_gets_all_of_it(doings):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    got = bytearray()

    def read() -> None:
        while some := os.read(reading, 3000):
            got.extend(some)

    with os.fdopen(writing, "w") as out:
        log = log_of(doings, out)
        doings.enrol(*(f"k{number}" for number in range(2000)))
        reader = threading.Thread(target=read)
        await beside(log)
        reader.start()
        log.finish(0)
    reader.join()
    os.close(reading)
    assert [event["event"] for event in events_in(got.decode())] == [
        "run_started",
        *["job"] * 2000,
        "run_ended",
    ]
