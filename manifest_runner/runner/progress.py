"""How far a run has come, for people: bars on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import asyncio
import os
import sys

from tqdm import tqdm

from manifest_runner.models import units_text
from manifest_runner.runner.meter import Figures, Meter

LOOK_SECONDS = 0.5
LINE_SECONDS = 10.0
LEAST_COLUMNS, LEAST_ROWS = 40, 5  # a smaller terminal gets lines: tqdm shows nothing, or too much, on one


class Progress:
    """Shows a run's progress on standard error until cancelled, by a meter of its own."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    async def run(self) -> None:
        if _has_room():
            await self._bars()
        else:
            await self._lines()

    async def _bars(self) -> None:
        jobs_format = "Jobs {n:,}/{total:,} |{bar}| {desc}"
        with (
            tqdm(bar_format=jobs_format, leave=False, total=1, dynamic_ncols=True) as jobs,
            tqdm(bar_format="Units |{bar}| {desc}", leave=False, total=1.0, dynamic_ncols=True) as units,
            tqdm(bar_format="{desc}", leave=False) as rest,
        ):
            while True:
                figures = self._meter.look()
                jobs.total, jobs.n = figures.jobs, figures.done + figures.not_made
                jobs.desc = time_left(figures)
                units.n = _share(figures)
                units.desc = units_words(figures)
                rest.desc = "; ".join((*slot_words(figures), *made_words(figures)))[
                    : max(0, _size()[0] - 1)
                ]  # tqdm cuts what has a bar, nothing else
                for bar in (jobs, units, rest):
                    bar.refresh()
                await asyncio.sleep(LOOK_SECONDS)

    async def _lines(self) -> None:
        while True:
            await asyncio.sleep(LINE_SECONDS)
            print(progress_line(self._meter.look()), file=sys.stderr, flush=True)  # noqa: T201 - this is the display


def progress_line(figures: Figures) -> str:
    """All of it on one line: `312 of 1,000 jobs done; 5 at the service, 2 to fetch; slots 5 of 5; ...`."""
    return "; ".join(
        (
            f"{figures.done:,} of {figures.jobs:,} jobs done",
            *((f"{figures.not_made:,} not made",) if figures.not_made else ()),
            *slot_words(figures),
            units_words(figures),
            *made_words(figures),
            time_left(figures),
        )
    )


def slot_words(figures: Figures) -> tuple[str, ...]:
    """What is under way, and the slots it takes; of the ceiling only while the account lets fewer through."""
    under_way = f"{figures.at_service:,} at the service, {figures.to_fetch:,} to fetch"
    if figures.slots_limit is None:
        return (under_way,)
    lowered = figures.slots_ceiling is not None and figures.slots_limit < figures.slots_ceiling
    ceiling = f" ({figures.slots_ceiling} allowed)" if lowered else ""
    return under_way, f"slots {figures.slots_used} of {figures.slots_limit}{ceiling}"


def units_words(figures: Figures) -> str:
    """`124.5 of 500 units, 20 held back`; without a budget, of about what was expected."""
    of = (
        units_text(figures.units_limit)
        if figures.units_limit is not None
        else f"about {units_text(figures.units_expected)}"
    )
    if figures.units_spent is None:
        return f"units: {of} to spend"
    held = f", {units_text(figures.units_held)} held back" if figures.units_held else ""
    return f"{units_text(figures.units_spent)} of {of} units{held}"


def made_words(figures: Figures) -> tuple[str, ...]:
    seconds = f"{figures.video_seconds:,.0f}"
    of = f" of about {figures.seconds_expected:,.0f}" if figures.seconds_expected is not None else ""
    return (f"{seconds}{of} s of video, {figures.bytes_received / 1e6:.1f} MB",)


def time_left(figures: Figures) -> str:
    """`about 2 min left`; `time left unknown` before there is a speed to go by."""
    if figures.seconds_left is None:
        return "time left unknown"
    minutes = round(figures.seconds_left / 60)
    if minutes < 1:
        return "less than a minute left" if figures.seconds_left < 30 else "about 1 min left"
    if minutes < 120:
        return f"about {minutes} min left"
    return f"about {minutes // 60} h {minutes % 60} min left"


def _has_room() -> bool:
    """Whether standard error is a terminal on which bars can be moved about, and large enough for them."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return False
    columns, rows = _size()
    return columns >= LEAST_COLUMNS and rows >= LEAST_ROWS


def _size() -> tuple[int, int]:
    """Columns and rows of the terminal; 0 where it does not tell."""
    try:
        return os.get_terminal_size(sys.stderr.fileno())
    except OSError:
        return 0, 0


def _share(figures: Figures) -> float:
    """The part of the budget, or of what was expected, that is spent: 0 to 1."""
    whole = figures.units_limit if figures.units_limit is not None else figures.units_expected
    return min(1.0, float(figures.units_spent / whole)) if figures.units_spent and whole else 0.0
