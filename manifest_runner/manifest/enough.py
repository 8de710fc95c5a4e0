"""How many problems are enough: a file that is wrong throughout is not read to its end, and not told to its end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from manifest_runner.models import Location, Problem

MOST_TOLD = 100
"""Problems that a person is told of at once."""

ENOUGH = 1000
"""Problems after which the reading stops: nothing can be saved any more, and looking on only costs time."""


def told(problems: Sequence[Problem]) -> list[Problem]:
    """The first of the problems, and how many there are beside them."""
    if len(problems) <= MOST_TOLD:
        return list(problems)
    left = len(problems) - MOST_TOLD
    more = f"{left:,} more" if len(problems) < ENOUGH else f"at least {left:,} more"
    last = Problem(
        location=Location(file=problems[MOST_TOLD].location.file),
        what=f"There are {more} like these.",
        mend="Mend these first, and look again.",
    )
    return [*islice(problems, MOST_TOLD), last]
