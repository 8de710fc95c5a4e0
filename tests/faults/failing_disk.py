"""A disk that fails under one process: failing_disk.c compiled, and the environment that puts it in the way.

What it did is read from its log: when which call failed, and how many calls there were.
"""

from __future__ import annotations

import atexit
import errno
import functools
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
_FAILED = re.compile(r"failed ([0-9.]+) \w+ [0-9]+ .*")
_COUNTED = re.compile(r"counted ([0-9]+)")


@dataclass(frozen=True, kw_only=True)
class FailingDisk:
    """What fails on files whose path holds `path`: the write numbered `at`, or with `at` below 1 the one at that
    fraction of all that a run needs (it is run once whole, and counted). With `after`, a step of sabotage.py's, the
    counting begins there.

    `stays`: every later one fails too. `calls`: w the writes, s the syncs. `ends_with`: the exit code of that run.
    """

    path: str
    error: str  # ENOSPC, EIO
    at: float = 1
    stays: bool = True
    calls: str = "ws"
    ends_with: int = 4
    after: str | None = None

    @property
    def holds_the_ledger(self) -> bool:
        return "ledger" in self.path or ".manifest-runner" in self.path

    def number(self, counted: int) -> int:
        return int(self.at) if self.at >= 1 else max(1, round(self.at * counted))


@dataclass(frozen=True, kw_only=True)
class DiskLog:
    """`failed_at`: when, by the monotonic clock. `counted`: every call, None when the process was killed."""

    failed_at: tuple[float, ...]
    counted: int | None


def preloaded(disk: FailingDisk, log: Path, *, number: int) -> dict[str, str]:
    """The environment for one process whose disk fails from the write of this number on; 0: it only counts."""
    return {
        "LD_PRELOAD": str(_compiled()),
        "FAILING_DISK_PATH": disk.path,
        "FAILING_DISK_CALLS": disk.calls,
        "FAILING_DISK_AT": str(number),
        "FAILING_DISK_ERRNO": str(getattr(errno, disk.error)),
        "FAILING_DISK_STAYS": str(int(disk.stays)),
        "FAILING_DISK_WAITS": str(int(disk.after is not None)),
        "FAILING_DISK_LOG": str(log),
    }


def read_log(log: Path) -> DiskLog:
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    counted = _COUNTED.findall(text)
    return DiskLog(
        failed_at=tuple(float(seconds) for seconds in _FAILED.findall(text)),
        counted=int(counted[-1]) if counted else None,
    )


@functools.cache
def _compiled() -> Path:
    """The library, compiled once for as long as this process lives."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sys.platform != "linux":
        raise RuntimeError(
            "The faults of the disk need Linux and a C compiler (cc): install one, such as Debian's package gcc."
        )
    folder = Path(tempfile.mkdtemp(prefix="failing-disk-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = folder / "failing_disk.so"
    source = HERE / "failing_disk.c"
    done = subprocess.run(
        [compiler, "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{source.name} could not be compiled: {done.stderr}")
    return library
