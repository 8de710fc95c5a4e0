"""A file in place of another in one step: the old one or the new one, never a half; and a person's own file aside."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from manifest_runner.disk import kept_name
from manifest_runner.errors import NeedsPerson


@contextmanager
def replacement(target: Path, write: Callable[[BinaryIO], None]) -> Iterator[Callable[[], Path]]:
    """Write beside the target, durably, and hand out the move onto it; what was not moved is removed.

    A link in the target's place is replaced, not followed. Raises OSError.
    """
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as out:
            write(out)
            out.flush()
            os.fsync(out.fileno())
        yield lambda: part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def put(target: Path, chunks: Iterable[bytes]) -> None:
    """Write beside the target and move onto it. Raises OSError."""
    with replacement(target, lambda out: out.writelines(chunks)) as move:
        move()


def keep_aside(file: Path) -> None:
    """Another name for what lies where a file of ours goes, so that nothing of a person's is lost.

    Raises NeedsPerson for what is neither a file nor a link: the videos in a folder would move with it. OSError.
    """
    refuse_folder(file)
    if os.path.lexists(file):
        file.replace(kept_name(file))


def refuse_folder(file: Path) -> None:
    """Raises NeedsPerson where a folder (or a pipe, a device) lies in the place of a file of ours."""
    if os.path.lexists(file) and not file.is_symlink() and not file.is_file():
        raise NeedsPerson(
            f"{file} can't be written: {'a folder' if file.is_dir() else 'something that is no file'} has its name.",
            mend="Give that another name, then run the same command again.",
        )
