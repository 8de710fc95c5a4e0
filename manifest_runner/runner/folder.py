"""The output folder as a plan looks at it: whether done videos are where they were put."""

from __future__ import annotations

import os
import stat
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Protocol

from manifest_runner.runner.landing import leads_outside


class FileState(Enum):
    """What lies where a done job's video was put."""

    THERE = "there"
    MISSING = "missing"
    ALTERED = "altered"


class Placed(Protocol):
    """What the ledger knows of a job's files."""

    @property
    def file(self) -> str | None: ...
    @property
    def watermark_file(self) -> str | None: ...
    @property
    def watermark(self) -> bool | int: ...
    @property
    def bytes(self) -> int | None: ...


class OutputFolder:
    """One look at a file, by plain calls: a campaign may have a hundred thousand of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._root = f"{path}/"
        self._leads: dict[str, bool] = {}  # thousands of outputs share a few folders

    def state(self, job: Placed) -> FileState:
        file, copy = job.file, job.watermark_file
        if file is None:
            return FileState.THERE
        size = self._size(file)
        if size is None or (copy is not None and self._size(copy) is None):
            return FileState.MISSING
        if job.watermark and copy is None:  # it was paid for with it, and it never came
            return FileState.MISSING
        return FileState.THERE if job.bytes in (None, size) else FileState.ALTERED

    def leads_outside(self, output: str) -> bool:
        """Whether a link in the folder would lead a video out of it."""
        below = output.rpartition("/")[0]
        if below not in self._leads:
            self._leads[below] = leads_outside(self.path, PurePosixPath(below))
        return self._leads[below]

    def _size(self, name: str) -> int | None:
        """None where no plain file can be seen."""
        try:
            found = os.stat(self._root + name)  # noqa: PTH116 - pathlib takes thrice as long
        except (OSError, ValueError):  # ValueError: a name that no file can have
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None
