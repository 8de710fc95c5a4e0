"""`--log-json`: where the events of a run go, opened before anything is sent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import SEEK_END
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from manifest_runner.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

STANDARD_OUTPUT = "-"
_BEGINS = '{"v":'


def log_json_option(command: F) -> F:
    """For every command that sends something."""
    # Its value can't be left out: `run --log-json campaign.yaml` would take the manifest for it.
    return click.option(
        "--log-json",
        metavar="FILE|-",
        help="Add what happens to FILE as events for programs, one JSON object a line; - is standard output, and turns "
        "off what is shown to people there.",
    )(command)


@contextmanager
def events_out(where: str | None) -> Iterator[TextIO | None]:
    """What the events are written to; None when nobody asked for them.

    Raises UsageError for a file that can't be written, or that holds anything else: a manifest, say.
    """
    if where is None:
        yield None
    elif where == STANDARD_OUTPUT:
        yield sys.stdout
    else:
        path = Path(where)
        try:
            if path.is_file() and not _is_ours(path):
                raise UsageError(
                    f"{path} holds something else than events of --log-json.", mend="Name another file."
                )
            cut_off = path.is_file() and _is_cut_off(path)
            out = path.open("a", encoding="utf-8")
            if cut_off:
                out.write("\n")
                out.flush()
        except OSError as error:
            raise UsageError(
                f"The events can't be written to {path}: {error.strerror or error}.",
                mend="Name another file with --log-json, or - for standard output.",
            ) from error
        with out:
            yield out


def _is_cut_off(path: Path) -> bool:
    """Whether its last line has no end, as after a kill: what comes next would be read as part of it."""
    with path.open("rb") as file:
        if not file.seek(0, SEEK_END):
            return False
        file.seek(-1, SEEK_END)
        return file.read(1) != b"\n"


def _is_ours(path: Path) -> bool:
    """Whether there is nothing in it, or events."""
    with path.open("rb") as file:
        begin = file.read(len(_BEGINS))
    return not begin or begin == _BEGINS.encode()
