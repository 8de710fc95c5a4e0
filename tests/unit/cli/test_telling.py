"""What is said at the end of a run of the callbacks that it waited for."""

from __future__ import annotations

from collections import Counter

import pytest

from manifest_runner.cli.telling import callback_lines
from manifest_runner.runner.gauges import Arrivals


@pytest.mark.parametrize(
    ("arrivals", "ended", "said"),
    [
        (Arrivals(), 0, []),
        (Arrivals(taken=1200), 600, ["Callbacks: 1,200 received and taken."]),
        (
            Arrivals(taken=2, refused=Counter({"it is not signed": 3, "it is old": 1})),
            2,
            ["Callbacks: 2 received and taken, 4 refused: it is not signed (3); it is old (1)."],
        ),
        (
            Arrivals(refused=Counter({"it is not signed": 3})),
            1,
            ["Callbacks: 0 received and taken, 3 refused", "No callback was taken, though 1 task ended;"],
        ),
        (Arrivals(), 12, ["Callbacks: 0 received", "No callback arrived, though 12 tasks ended;"]),
        (
            Arrivals(refused=Counter({"it is not signed": 1})),
            0,
            ["Callbacks: 0 received and taken, 1 refused"],
        ),
    ],
)
def test_whether_they_come_through_is_said(arrivals: Arrivals, ended: int, said: list[str]) -> None:
    lines = callback_lines(arrivals, ended)
    assert len(lines) == len(said)
    assert all(line.startswith(start) for line, start in zip(lines, said, strict=True))
