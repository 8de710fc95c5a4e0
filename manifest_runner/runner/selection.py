"""Which of a campaign's jobs are meant: `--select`, `--exclude`, `--limit`. Pure; what they go by is looked up before.

`--select tag:de,state:failed` takes what has both; given twice, what one of them takes. A sample is the same whenever
it is asked for: it goes by the ids alone.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from heapq import nsmallest
from typing import NamedTuple

from manifest_runner.errors import UsageError
from manifest_runner.models import JobState

NEW = "new"  # in place of a state: the ledger does not know the job

_STATES = (NEW, *(state.value for state in JobState))
_ROWS = re.compile(r"([0-9]{1,7})(?:-([0-9]{1,7})?)?\Z")
_NUMBER = re.compile(r"[0-9]{1,7}\Z")
_GRAMMAR = (
    "Write id:PATTERN, tag:PATTERN, state:STATE, code:NUMBER, rows:FROM-TO, changed or sample:N; with commas between "
    "those that must hold together."
)


class Facts(NamedTuple):
    """What is known of a job, in the order of the manifest."""

    external_task_id: str
    tags: Sequence[str] = ()
    line: int | None = None  # where its row begins
    state: str = NEW
    code: int | None = None  # of the service's last refusal or failure
    changed: bool = False  # its row is no longer what was sent


Test = Callable[[Facts], bool]


@dataclass(frozen=True, slots=True)
class _Expression:
    """`tag:de,state:failed,sample:5`."""

    tests: tuple[Test, ...]
    sample: int | None
    by_change: bool = False  # whether it asks what has changed
    by_ledger: bool = False  # whether it asks what only the ledger knows

    def takes(self, facts: Facts) -> bool:
        return (facts.changed or not self.by_change) and self.may_take(facts)

    def may_take(self, facts: Facts) -> bool:
        """The same, whatever has changed."""
        return all(test(facts) for test in self.tests)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a person selects. Without anything, everything."""

    selects: tuple[_Expression, ...] = ()
    excludes: tuple[_Expression, ...] = ()
    limit: int | None = None

    @property
    def is_everything(self) -> bool:
        return not self.selects and not self.excludes and self.limit is None

    @property
    def by_change(self) -> bool:
        """Whether it depends on which rows have changed."""
        return any(expression.by_change for expression in (*self.selects, *self.excludes))

    @property
    def by_ledger(self) -> bool:
        """Whether it depends on what the ledger knows."""
        return any(expression.by_ledger for expression in (*self.selects, *self.excludes))

    def candidates(self, jobs: Iterable[Facts]) -> array[int]:
        """The places of the jobs that may be meant, as long as it is not known what has changed."""
        return array(
            "q",
            (
                place
                for place, facts in enumerate(jobs)
                if (not self.selects or any(one.may_take(facts) for one in self.selects))
                and not any(not one.by_change and one.takes(facts) for one in self.excludes)
            ),
        )

    def places(self, jobs: Iterable[Facts]) -> array[int]:
        """The places of the jobs that are meant, from 0 and rising; a few bytes for each."""
        taken: set[int] = set()
        samples: list[list[tuple[bytes, int]]] = [[] for _ in self.selects]
        for place, facts in enumerate(jobs):
            if any(expression.takes(facts) for expression in self.excludes):
                continue
            if not self.selects:
                taken.add(place)
            for expression, sample in zip(self.selects, samples, strict=True):
                if expression.takes(facts):
                    if expression.sample is None:
                        taken.add(place)
                    else:
                        sample.append((_lot(facts.external_task_id), place))
        for expression, sample in zip(self.selects, samples, strict=True):
            taken.update(place for _, place in nsmallest(expression.sample or 0, sample))
        return array("q", sorted(taken)[: self.limit])


def selection_of(selects: Iterable[str], excludes: Iterable[str] = (), limit: int | None = None) -> Selection:
    """Raises UsageError for what is no selection."""
    excluded = tuple(_expression(text) for text in excludes)
    if any(expression.sample is not None for expression in excluded):
        raise UsageError("A sample can't be excluded.", mend="Select one: `--select sample:5`.")
    return Selection(tuple(_expression(text) for text in selects), excluded, limit)


def _expression(text: str) -> _Expression:
    tests: list[Test] = []
    sample = None
    for term in text.split(","):
        kind, colon, value = term.strip().partition(":")
        if kind == "sample" and colon:
            sample = _whole(value, term)
        elif term.strip() != "changed":
            tests.append(_test(kind, value if colon else None, term.strip()))
    kinds = {term.strip().partition(":")[0] for term in text.split(",")}
    by_change = "changed" in kinds
    return _Expression(tuple(tests), sample, by_change, by_change or bool(kinds & {"state", "code"}))


def _test(kind: str, value: str | None, term: str) -> Test:
    if value is None:
        return _of_id(_some(term, term))
    if kind == "id":
        return _of_id(_some(value, term))
    if kind == "tag":
        pattern = _some(value, term)
        return lambda facts: any(fnmatchcase(tag, pattern) for tag in facts.tags)
    if kind == "state":
        if value not in _STATES:
            raise UsageError(f"`{value}` is no state.", mend=f"The states are {', '.join(_STATES)}.")
        return lambda facts: facts.state == value
    if kind == "code":
        code = _whole(value, term)
        return lambda facts: facts.code == code
    if kind == "rows":
        return _of_rows(value, term)
    raise UsageError(f"`{term}` selects nothing: there is no `{kind}:`.", mend=_GRAMMAR)


def _of_id(pattern: str) -> Test:
    return lambda facts: fnmatchcase(facts.external_task_id, pattern)


def _of_rows(value: str, term: str) -> Test:
    """By the lines of the file that has the rows, as messages name them: `rows:2-9`, `rows:7`, `rows:100-`."""
    found = _ROWS.match(value)
    if found is None:
        raise UsageError(f"`{term}` is no range of rows.", mend="Write rows:7, rows:2-9 or rows:100-.")
    first = int(found[1])
    last = first if "-" not in value else int(found[2]) if found[2] else None
    return lambda facts: (
        facts.line is not None and first <= facts.line and (last is None or facts.line <= last)
    )


def _some(value: str, term: str) -> str:
    if not value:
        raise UsageError(f"`{term}` selects nothing.", mend=_GRAMMAR)
    return value


def _whole(value: str, term: str) -> int:
    if not _NUMBER.match(value):
        raise UsageError(f"`{term}` has no number.", mend=_GRAMMAR)
    return int(value)


def _lot(external_task_id: str) -> bytes:
    """What decides who is in a sample: nothing that a person or the order of a sheet has a part in."""
    return hashlib.blake2b(external_task_id.encode(), digest_size=8).digest()
