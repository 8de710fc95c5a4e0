"""The jobs of a manifest, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from manifest_runner.manifest.jobs import make_job
from manifest_runner.manifest.rows import Common, Row
from manifest_runner.manifest.sketch import Sketch, sketches_of
from manifest_runner.manifest.source import CsvSource, Source
from manifest_runner.models import Job


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Jobs(Sequence[Job]):
    """The jobs of those rows of a source that were found sound. Asked twice, it makes two equal jobs."""

    source: Source
    common: Common
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Job]:
        return self.at(self.numbers)

    @overload
    def __getitem__(self, key: int) -> Job: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Job, ...]: ...
    def __getitem__(self, key: int | slice) -> Job | tuple[Job, ...]:
        numbers = self.numbers[key]
        return next(self.at((numbers,))) if isinstance(numbers, int) else tuple(self.at(numbers))

    def sketches(self, numbers: range) -> list[Sketch] | None:
        """What is paid for in these rows at a glance; None where it takes a closer look, at each job, and where some of
        the rows make no job."""
        if not isinstance(self.source, CsvSource) or not isinstance(self.numbers, range):
            return None
        return sketches_of(self.source, self.common, numbers)

    def at(self, numbers: Sequence[int]) -> Iterator[Job]:
        """The jobs of these rows, in the order of the numbers; sooner than one by one."""
        source, common = self.source, self.common
        for number, data in zip(numbers, source.rows(numbers), strict=True):
            yield make_job(Row(number, data, source), common)
