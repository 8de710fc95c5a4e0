"""The jobs of a manifest, each made when it is asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from manifest_runner.manifest.alike_jobs import jobs_alike
from manifest_runner.manifest.jobs import make_job
from manifest_runner.manifest.rows import Common, Row
from manifest_runner.manifest.sketch import Sketch, sketches_of
from manifest_runner.manifest.source import Source, TableSource
from manifest_runner.models import Job

_AT_ONCE = 500
_FEW = 8  # rows: so many are made one by one as soon


class Made(Sequence[Job]):
    """Jobs that are not kept: asked twice, it makes two equal ones."""

    __slots__ = ()

    @abstractmethod
    def at(self, places: Sequence[int]) -> Iterator[Job]:
        """The jobs at these places, in this order; sooner than one by one."""

    def __iter__(self) -> Iterator[Job]:
        return self.at(range(len(self)))

    @overload
    def __getitem__(self, key: int) -> Job: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Job, ...]: ...
    def __getitem__(self, key: int | slice) -> Job | tuple[Job, ...]:
        places = range(len(self))[key]
        return next(self.at((places,))) if isinstance(places, int) else tuple(self.at(places))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Jobs(Made):
    """The jobs of those rows of a source that were found sound."""

    source: Source
    common: Common
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def sketches(self, numbers: range) -> list[Sketch] | None:
        """What is paid for in these rows at a glance; None where it takes a closer look, at each job, and where some of
        the rows make no job."""
        if not isinstance(self.source, TableSource) or not isinstance(self.numbers, range):
            return None
        return sketches_of(self.source, self.common, numbers)

    def at(self, places: Sequence[int]) -> Iterator[Job]:
        for start in range(0, len(places), _AT_ONCE):
            yield from self._made([self.numbers[place] for place in places[start : start + _AT_ONCE]])

    def _made(self, numbers: Sequence[int]) -> Iterator[Job]:
        source, common = self.source, self.common
        if isinstance(source, TableSource) and len(numbers) > _FEW:
            together = jobs_alike(source, common, numbers)
            if together is not None:
                return together
        rows = zip(numbers, source.rows(numbers), strict=True)
        return (make_job(Row(number, data, source), common) for number, data in rows)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Altered(Made):
    """Those of some jobs that stand at these places, each altered."""

    jobs: Sequence[Job]
    places: Sequence[int]
    alter: Callable[[Job], Job]

    def __len__(self) -> int:
        return len(self.places)

    def at(self, places: Sequence[int]) -> Iterator[Job]:
        for start in range(0, len(places), _AT_ONCE):
            some = [self.places[place] for place in places[start : start + _AT_ONCE]]
            yield from map(self.alter, jobs_at(self.jobs, some))


def jobs_at(jobs: Sequence[Job], places: Sequence[int]) -> Iterator[Job]:
    """Some of the jobs of a manifest, whatever it was read from."""
    return jobs.at(places) if isinstance(jobs, Made) else map(jobs.__getitem__, places)
