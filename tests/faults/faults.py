"""The faults: what goes wrong, where, and how often. Each has to end with every video there once and paid once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ALWAYS = 10_000


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`rules` are the front's; `first` is what goes wrong in the first run's own process, beside them.

    `runs_end_with` are exit codes that runs before the last may end with, where something has to be done by a person.
    """

    name: str
    rules: Sequence[dict[str, Any]] = ()
    first: Sequence[str] = ()
    spoken: bool = False
    jobs: int = 3
    concurrency: int = 3


def rule(route: str, do: str, **more: Any) -> dict[str, Any]:
    return {"route": route, "do": do, **more}


def retry_after(value: str) -> list[dict[str, Any]]:
    return [rule("create", "refuse", value=[429, 1302, value])]


CREATE = [
    Fault(name="create call lost on its way", rules=[rule("create", "drop_before", times=2)]),
    Fault(name="create call's reply lost", rules=[rule("create", "drop_after", times=2)]),
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
    Fault(name="1102, the account is empty", rules=[rule("create", "refuse", value=[429, 1102, None])]),
    Fault(name="task ids as numbers", rules=[rule("create", "numbers", times=ALWAYS)]),
    Fault(name="created, without a task id", rules=[rule("create", "rewrite", value={"task_id": None})]),
]

WATCH = [
    Fault(name="connection lost while listing", rules=[rule("list", "drop_before", nth=2, times=3)]),
    Fault(name="list pages shifting", rules=[rule("list", "shift", nth=2, times=ALWAYS)]),
    Fault(name="new tasks missing in the list", rules=[rule("list", "hide", seconds=1.5, times=ALWAYS)]),
    Fault(name="list cut off", rules=[rule("list", "cut", nth=2, times=2)]),
    Fault(
        name="a status that nobody knows",
        rules=[rule("list", "rewrite", nth=2, times=2, value={"task_status": "daydreaming"})],
    ),
    Fault(name="succeed without an address", rules=[rule("list", "no_url", nth=2, times=ALWAYS)]),
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
    Fault(name="disk full in the ledger", first=("--ledger-pages", "16")),
    Fault(name="clock an hour ahead", first=("--clock", "3600")),
    Fault(name="clock an hour behind", first=("--clock", "-3600")),
    Fault(
        name="clock an hour ahead, reply lost",
        first=("--clock", "3600"),
        rules=[rule("create", "drop_after", times=2)],
    ),
    Fault(
        name="clock an hour behind, reply lost",
        first=("--clock", "-3600"),
        rules=[rule("create", "drop_after", times=2)],
    ),
]

FAULTS = [*CREATE, *WATCH, *FETCH, *PROCESS]
