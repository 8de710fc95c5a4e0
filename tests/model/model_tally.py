"""How often each rule was used and each interesting thing happened: a search that never meets a conflict proves nothing
about conflicts."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import rule
from model_rig import Rig

from manifest_runner.models import JobState

PHRASES = (
    *(
        "in doubt",
        "asked twice",
        "found under its id",
        "landed after all",
        "sent again",
        "an earlier run ended",
    ),
    *("adopted by a person", "not ours", "did not send it", "asked for once more", "fetched again"),
)
SEEN: Counter[str] = Counter()


def seen(what: str, times: int = 1) -> None:
    SEEN[what] += times
    event(what)


def step(**draws: st.SearchStrategy) -> Callable[[Callable], Callable]:
    """A rule whose uses are counted."""

    def counted(do: Callable) -> Callable:
        @rule(**draws)
        @functools.wraps(do)
        def counting(machine: Any, **drawn: object) -> None:
            seen(f"rule: {do.__name__}")
            machine.steps.append(f"{do.__name__}({', '.join(f'{k}={v!r}' for k, v in drawn.items())})")
            with said(machine.steps):
                do(machine, **drawn)

        return counting

    return counted


@contextmanager
def said(steps: Sequence[str]) -> Iterator[None]:
    """A failure names what led to it. Hypothesis does so too, but not where the clock makes a failure come and go."""
    try:
        yield
    except AssertionError as error:
        error.add_note("\n".join(["Steps:", *steps]))
        raise


def look_back(rig: Rig) -> None:
    """Count what a whole campaign has been through."""
    known = rig.known()
    for key, record in known.jobs.items():
        seen(f"attempts of a job: {len(record.attempts)}")
        for entry in known.events[key]:
            if entry.attempt_id or entry.from_state is not entry.to_state:
                seen(f"ledger: {entry.from_state} -> {entry.to_state}")
            for words in PHRASES:
                if words in entry.why:
                    seen(f"ledger: {words}")
    for what, times in rig.service.played.items():
        seen(f"service: {what}", times)


def look_around(rig: Rig) -> None:
    """Count what a command left in doubt, on the way or in the way."""
    for record in rig.jobs().values():
        seen(f"left {record.state}")
        if record.state is JobState.SUBMITTING:
            made = rig.service.sales(record.attempts[-1].attempt_id)
            seen("left in doubt, and made" if made else "left in doubt, and not made")


def tell() -> str:
    return "\n".join(f"{times:7} {what}" for what, times in sorted(SEEN.items()))
