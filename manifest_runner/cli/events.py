"""`--log-json`: where the events of a run go, opened before anything is sent."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from manifest_runner.cli.campaign import where_it_leads
from manifest_runner.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

STANDARD_OUTPUT = "-"
_BEGINS = re.compile(rb'\{"v":\d+,"event":"')
_WITHOUT_WAITING = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def log_json_option(command: F) -> F:
    """For every command that sends something."""
    # Its value can't be left out: `run --log-json campaign.yaml` would take the manifest for it.
    return click.option(
        "--log-json",
        metavar="FILE|-",
        help="Add what happens to FILE as events for programs, one JSON object a line; - is standard output, and turns "
        "off what is shown to people there.",
    )(command)


def refuse_two_on_standard_output(log_json: str | None, *, as_json: bool) -> None:
    """Raise UsageError when both `--log-json -` and `--json` are given: whoever reads could take neither apart."""
    if log_json == STANDARD_OUTPUT and as_json:
        raise UsageError(
            "Both --log-json - and --json write to standard output.",
            mend="Give --log-json a file, or leave --json out: the report is in report.json all the same.",
        )


@contextmanager
def events_out(where: str | None, *, manifest: Path, ledger: Path) -> Iterator[TextIO | None]:
    """What the events are written to; None when nobody asked for them.

    A file, or a pipe that somebody reads. Raises UsageError for what can't be written, and for what is somebody's:
    the manifest, the ledger, a file that holds anything else than events.
    """
    if where is None:
        yield None
    elif where == STANDARD_OUTPUT:
        yield sys.stdout
    else:
        path = Path(where)
        _refuse_files_of_the_run(path, manifest, ledger)
        try:
            descriptor = _open(path)
        except OSError as error:
            unread = error.errno == errno.ENXIO  # what opening a pipe says
            raise _refusal(
                path, "nobody reads from this pipe" if unread else error.strerror or str(error)
            ) from error
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            yield out


def _refuse_files_of_the_run(path: Path, manifest: Path, ledger: Path) -> None:
    """Whatever begins with the ledger's name in its folder is the ledger's: its log, its lock, its journal."""
    place, ledger = where_it_leads(path.parent) / path.name, where_it_leads(ledger)
    if place.parent == ledger.parent and place.name.casefold().startswith(ledger.name.casefold()):
        raise _refusal(path, "it is one of the ledger's files")
    if place == where_it_leads(manifest):
        raise _refusal(path, "it is the manifest")


def _open(path: Path) -> int:
    """The file's descriptor, to add to it on a line of its own.

    It may lie in anybody's folder: a link in its place leads us nowhere else, and a pipe without a reader does not
    keep us waiting. What is looked at is what was opened, whatever stands at the path by then.
    """
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        kind = stat.S_IFREG
    if stat.S_ISFIFO(kind):
        descriptor = os.open(path, os.O_WRONLY | _WITHOUT_WAITING)  # fails without a reader
    elif stat.S_ISREG(kind):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _WITHOUT_WAITING, 0o666)
    else:
        raise _refusal(path, "it is a link, a folder or a device")
    try:
        status = os.fstat(descriptor)
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(kind):
            raise _refusal(path, "something else has taken its place")
        if stat.S_ISREG(kind):
            if status.st_nlink > 1:  # a folder can come with one that is a name for the ledger's log
                raise _refusal(path, "it has another name as well")
            _begin_a_line(descriptor, status.st_size, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _begin_a_line(descriptor: int, size: int, path: Path) -> None:
    """Raise UsageError unless there is nothing in it, or events; end a line that was cut off, as by a kill."""
    if not size:
        return
    if not _BEGINS.match(os.pread(descriptor, 64, 0)):
        raise _refusal(path, "it holds something else than events of --log-json")
    if os.pread(descriptor, 1, size - 1) != b"\n":
        os.write(descriptor, b"\n")


def _refusal(path: Path, why: str) -> UsageError:
    return UsageError(
        f"The events can't be written to {path}: {why}.",
        mend="Name another file with --log-json, or - for standard output.",
    )
