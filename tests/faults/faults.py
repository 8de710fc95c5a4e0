"""The faults: what goes wrong, where, and how often. Each has to end with every video there once and paid once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import courses
from courses import Course
from failing_disk import FailingDisk

ALWAYS = 10_000
TEN_YEARS = "315360000"  # seconds
IN_THE_FUTURE = "Thu, 31 Dec 2099 23:59:59 GMT"
EIGHT_HOURS = 28_800  # seconds


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`rules` are the front's. Beside them the first run may go wrong by itself: `first` are sabotage.py's options
    (`settings` are those that are no fault), `disk` fails under it, `course` is another way of going about it.

    `waits` is how long, in seconds, a call that was told to wait has to wait: at least and at most. `without_figure`
    is of how many jobs the service does not tell what it deducted.
    """

    name: str
    rules: Sequence[dict[str, Any]] = ()
    first: Sequence[str] = ()
    settings: Sequence[str] = ()
    disk: FailingDisk | None = None
    course: Course | None = None
    keep_alive: bool = False
    callbacks: bool = False
    waits: tuple[float, float] | None = None
    without_figure: int = 0
    spoken: bool = False
    jobs: int = 3
    concurrency: int = 3

    @property
    def done(self) -> frozenset[tuple[str, str]]:
        return frozenset((rule["route"], rule["do"]) for rule in self.rules)


def rule(route: str, do: str, **more: Any) -> dict[str, Any]:
    return {"route": route, "do": do, **more}


def retry_after(value: str, route: str = "create", nth: int = 1) -> list[dict[str, Any]]:
    return [rule(route, "refuse", nth=nth, value=[429, 1302, value])]


def capped(name: str, value: str, route: str = "create", nth: int = 1) -> Fault:
    """A Retry-After beyond reason. What it is cut down to is a minute, here a second and a half, so that the table
    stays quick; without any Retry-After the wait would be a second at most."""
    return Fault(
        name=name,
        rules=retry_after(value, route, nth),
        settings=("--longest-retry-after", "1.5"),
        waits=(1.4, 15.0),  # the uncapped wait is a minute at least, on however busy a machine
    )


CREATE = [
    Fault(name="create call lost on its way", rules=[rule("create", "drop_before", times=2)]),
    Fault(name="create call's reply lost", rules=[rule("create", "drop_after", times=2)]),
    Fault(name="create call reset on its way", rules=[rule("create", "reset_before", times=2)]),
    Fault(name="create call reset before its reply", rules=[rule("create", "reset_after", times=2)]),
    Fault(name="502 though created", rules=[rule("create", "502_after", times=2)]),
    Fault(name="502, nothing created", rules=[rule("create", "502_before", times=2)]),
    Fault(name="HTML at 200 though created", rules=[rule("create", "html", times=2)]),
    Fault(name="reply cut off", rules=[rule("create", "cut", times=2)]),
    Fault(name="reply after the time-out", rules=[rule("create", "delay", seconds=1.5, times=2)]),
    Fault(name="absent, then the old call lands", rules=[rule("create", "late", seconds=0.7, times=2)]),
    Fault(
        name="created, and hidden from look-ups for a while",
        rules=[rule("create", "drop_after"), rule("look", "hide", seconds=1.0, times=ALWAYS)],
    ),
    Fault(name="1303 storm", rules=[rule("create", "refuse", value=[429, 1303, None], times=6)]),
    Fault(name="1302 storm", rules=[rule("create", "refuse", value=[429, 1302, None], times=4)]),
    Fault(name="1302, Retry-After: 1", rules=retry_after("1")),
    Fault(name="1302, Retry-After: negative", rules=retry_after("-5")),
    Fault(name="1302, Retry-After: a date gone by", rules=retry_after("Wed, 21 Oct 2015 07:28:00 GMT")),
    Fault(name="1302, Retry-After: nonsense", rules=retry_after("soon")),
    capped("1302, Retry-After: ten years", TEN_YEARS),
    capped("1302, Retry-After: a date in the future", IN_THE_FUTURE),
    capped("1302 while listing, Retry-After: ten years", TEN_YEARS, "list", nth=2),
    capped("1302 while listing, Retry-After: a date", IN_THE_FUTURE, "list", nth=2),
    Fault(name="1102, the account is empty", rules=[rule("create", "refuse", value=[429, 1102, None])]),
    Fault(
        name="task ids as numbers",
        rules=[rule("create", "replace", value=['"task_id": *"([0-9]+)"', r'"task_id": \1'], times=ALWAYS)],
    ),
    Fault(name="created, without a task id", rules=[rule("create", "rewrite", value={"task_id": None})]),
]

FIGURE = '"final_unit_deduction": *"([0-9.]+)"'


def no_figure(name: str, route: str, do: str, value: Any, *more: dict[str, Any]) -> Fault:
    return Fault(name=name, rules=[*more, rule(route, do, value=value, times=ALWAYS)], without_figure=3)


UNSEEN = rule("list", "hide", seconds=ALWAYS, times=ALWAYS)  # everything has to be looked up one by one

WATCH = [
    Fault(name="connection lost while listing", rules=[rule("list", "drop_before", nth=2, times=3)]),
    Fault(
        name="connection lost while listing and looking up",
        rules=[rule("list", "drop_before", nth=2, times=3), rule("look", "drop_before", nth=4, times=3)],
    ),
    Fault(
        name="stale kept connection reset while listing",
        rules=[rule("list", "reset_before", reused=True, times=3)],
        keep_alive=True,
    ),
    Fault(
        name="stale kept connection reset while looking up",
        rules=[
            rule("create", "drop_after", times=2),
            rule("look", "reset_before", reused=True, times=3),
        ],
        keep_alive=True,
    ),
    Fault(name="list pages shifting", rules=[rule("list", "shift", nth=2, times=ALWAYS)]),
    Fault(name="new tasks missing in the list", rules=[rule("list", "hide", seconds=1.5, times=ALWAYS)]),
    Fault(name="list cut off", rules=[rule("list", "cut", nth=2, times=2)]),
    Fault(
        name="a status that nobody knows",
        rules=[rule("list", "rewrite", nth=2, times=2, value={"task_status": "daydreaming"})],
    ),
    Fault(
        name="succeed without an address",
        rules=[rule("list", "replace", nth=2, times=ALWAYS, value=['"url": *"[^"]*[.]mp4"', '"url": ""'])],
    ),
    no_figure("deduction missing in the list", "list", "rewrite", {"final_unit_deduction": None}),
    no_figure("deduction missing in look-ups", "look", "rewrite", {"final_unit_deduction": None}, UNSEEN),
    no_figure(
        "deduction negative in the list", "list", "replace", [FIGURE, r'"final_unit_deduction": "-\1"']
    ),
    no_figure(
        "deduction negative in look-ups", "look", "replace", [FIGURE, r'"final_unit_deduction": -\1'], UNSEEN
    ),
    Fault(
        name="deduction a number",
        rules=[rule("list", "replace", times=ALWAYS, value=[FIGURE, r'"final_unit_deduction": \1'])],
    ),
]

FETCH = [
    Fault(name="download truncated", rules=[rule("result", "truncate", times=2)]),
    Fault(
        name="download truncated, length unsaid",
        rules=[rule("result", "truncate", value="no length", times=2)],
    ),
    Fault(
        name="200 for a range, another tag",
        rules=[rule("result", "truncate"), rule("result", "no_range", nth=2, times=2)],
    ),
    Fault(name="an HTML page named .mp4", rules=[rule("result", "page", times=2)]),
    Fault(name="result address expired", rules=[rule("result", "gone", times=2)]),
    Fault(name="connection lost while fetching", rules=[rule("result", "drop_before", times=3)]),
]

CALLBACKS = [
    Fault(
        name="callbacks repeated", callbacks=True, rules=[rule("callback", "repeat", value=3, times=ALWAYS)]
    ),
    Fault(
        name="callbacks late and out of order",
        callbacks=True,
        rules=[rule("callback", "slow", seconds=1.0)],
    ),
    Fault(
        name="callbacks lost on their way", callbacks=True, rules=[rule("callback", "drop_before", times=3)]
    ),
    Fault(name="callbacks never", callbacks=True, rules=[rule("callback", "swallow", times=ALWAYS)]),
    Fault(
        name="a callback before the POST's own answer",
        callbacks=True,
        rules=[rule("create", "after_callback", seconds=0.8, times=ALWAYS)],
    ),
    Fault(
        name="a callback, and the POST's own answer lost",
        callbacks=True,
        rules=[rule("create", "drop_after", times=2), rule("callback", "repeat", value=2, times=ALWAYS)],
    ),
]

PROCESS = [
    Fault(name="kill before the intent", first=("--kill-at", "before_intent:2")),
    Fault(name="kill after the intent", first=("--kill-at", "after_intent:2")),
    Fault(name="kill while the call is under way", first=("--kill-at", "during_post:1")),
    Fault(name="kill after the call, before its record", first=("--kill-at", "after_post:2")),
    Fault(name="kill after the record", first=("--kill-at", "after_record:2")),
    Fault(name="kill before the ending is recorded", first=("--kill-at", "before_ended:1")),
    Fault(name="kill after the ending is recorded", first=("--kill-at", "after_ended:1")),
    Fault(name="kill before the rename", first=("--kill-at", "before_rename:1")),
    Fault(name="kill between rename and done", first=("--kill-at", "after_rename:1")),
    Fault(name="kill after done", first=("--kill-at", "after_done:1")),
    Fault(name="kill after a text was spoken", first=("--kill-at", "after_speech:1"), spoken=True, jobs=2),
    Fault(
        name="lock left by a kill",
        course=courses.killed_with_the_lock,
        rules=[rule("create", "delay", seconds=0.8, times=2)],
    ),
    Fault(name="a second runner", course=courses.second_runner, concurrency=1),
    Fault(
        name="a second runner, the lock's file deleted",
        course=courses.second_runner_without_the_lock,
        concurrency=1,
    ),
    Fault(name="two runners at the same moment", course=courses.two_together, concurrency=1),
    Fault(
        name="suspended while calls are under way",
        course=courses.suspended,
        rules=[rule("create", "delay", seconds=0.8, times=2)],
    ),
    Fault(
        name="suspended, and the calls commit meanwhile",
        course=courses.suspended,
        rules=[rule("create", "slow", seconds=1.5, times=2)],
    ),
]


PLACES = (0.1, 0.3, 0.5, 0.7)  # the number of writes differs by a fifth from run to run
WAL, EVERYTHING, VIDEO = "ledger.sqlite3-wal", "/.manifest-runner/", ".mp4.part"


def ledger_disk(name: str, **disk: Any) -> Fault:
    """With fewer slots than jobs: there is something left to send when the disk fails."""
    return Fault(name=name, disk=FailingDisk(**disk), concurrency=2)


DISK = [
    *(
        ledger_disk(f"ledger's disk full at {at:.0%} of the writes", path=WAL, error="ENOSPC", at=at)
        for at in PLACES
    ),
    *(
        ledger_disk(
            f"one I/O error at {at:.0%} of the ledger's writes", path=WAL, error="EIO", at=at, stays=False
        )
        for at in PLACES
    ),
    ledger_disk("disk full when an answer is recorded", path=WAL, error="ENOSPC", after="after_post:2"),
    ledger_disk(
        "I/O error when an answer is recorded", path=WAL, error="EIO", after="after_post:2", stays=False
    ),
    ledger_disk(
        "the same, and the rescue journal fails too", path=EVERYTHING, error="EIO", after="after_post:2"
    ),
    ledger_disk("I/O error when an ending is recorded", path=WAL, error="EIO", after="before_ended:2"),
    ledger_disk(
        "disk full when the last video is recorded", path=WAL, error="ENOSPC", after="after_rename:3"
    ),
    ledger_disk("syncing the ledger fails", path=WAL, error="EIO", after="after_post:1", calls="s"),
    Fault(name="disk full under the videos", disk=FailingDisk(path=VIDEO, error="ENOSPC")),
    Fault(name="I/O error under the videos", disk=FailingDisk(path=VIDEO, error="EIO")),
    Fault(name="I/O error on syncing a video", disk=FailingDisk(path=VIDEO, error="EIO", calls="s")),
]


def clock(name: str, *first: str, lost: int = 0) -> Fault:
    return Fault(name=name, first=first, rules=[rule("create", "drop_after", times=lost)] if lost else ())


CLOCK = [
    clock("clock an hour ahead", "--clock", "3600"),
    clock("clock an hour behind", "--clock", "-3600"),
    clock("clock an hour ahead, reply lost", "--clock", "3600", lost=2),
    clock("clock an hour behind, reply lost", "--clock", "-3600", lost=2),
    clock("clock an hour ahead, kill, clock set right", "--clock", "3600", "--kill-at", "after_post:2"),
    clock("clock an hour behind, kill, clock set right", "--clock", "-3600", "--kill-at", "after_post:2"),
    clock("clock leaps eight hours ahead", f"--leap={EIGHT_HOURS}:after_post:2"),
    clock("clock leaps eight hours back", f"--leap=-{EIGHT_HOURS}:after_post:2"),
    clock("clock leaps ahead in a call, reply lost", f"--leap={EIGHT_HOURS}:after_intent:1", lost=2),
    clock("clock leaps back in a call, reply lost", f"--leap=-{EIGHT_HOURS}:after_intent:1", lost=2),
]

FAULTS = [*CREATE, *WATCH, *FETCH, *CALLBACKS, *PROCESS, *DISK, *CLOCK]
