"""A file in place of another in one step: the old one or the new one, never a half; and a person's own file aside."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from manifest_runner.disk import kept_name
from manifest_runner.errors import NeedsPerson


@contextmanager
def replacements(
    targets: Sequence[Path], write: Callable[[Sequence[BinaryIO]], None]
) -> Iterator[Callable[[], None]]:
    """Write beside the targets, durably, all of them together, and hand out the move onto them: each is on disk
    before any takes its name. What was not moved is removed.

    A link in a target's place is replaced, not followed. Raises OSError.
    """
    parts = [target.with_name(f".{target.name}.{secrets.token_hex(4)}.part") for target in targets]

    def move() -> None:
        for part, target in zip(parts, targets, strict=True):
            part.replace(target)

    try:
        with ExitStack() as opened:
            outs = [opened.enter_context(part.open("xb")) for part in parts]
            write(outs)
            for out in outs:
                out.flush()
                os.fsync(out.fileno())
        yield move
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def put(target: Path, chunks: Iterable[bytes]) -> None:
    """Write beside the target and move onto it. Raises OSError."""
    with replacements([target], lambda outs: outs[0].writelines(chunks)) as move:
        move()


def put_ours(file: Path, content: bytes) -> None:
    """A file of ours that people may work in: one that is not as we wrote it is kept aside. Raises NeedsPerson."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not is_ours(file):
            keep_aside(file)
        put(file, [content])
        put(_mark_of(file), [hashlib.sha256(content).hexdigest().encode("ascii")])
    except OSError as error:
        raise NeedsPerson(
            f"{file} can't be written: {error.strerror or error}.", mend="Check the folder and its disk."
        ) from None


def is_ours(file: Path) -> bool:
    """Whether it is, to the byte, what `put_ours` wrote."""
    mark = _mark_of(file)
    if any(path.is_symlink() or not path.is_file() for path in (file, mark)):
        return False
    with mark.open("rb") as kept, file.open("rb") as found:
        return kept.read(64) == hashlib.file_digest(found, "sha256").hexdigest().encode("ascii")


def forget_ours(file: Path) -> None:
    """Remove it, unless a person has worked in it. Raises OSError."""
    if is_ours(file):
        file.unlink()
        _mark_of(file).unlink(missing_ok=True)


def _mark_of(file: Path) -> Path:
    """What it was when we wrote it lies beside it."""
    return file.with_name(f".{file.name}.sha256")


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
