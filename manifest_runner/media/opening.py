"""Opening a person's media: the only place that does. A reference becomes a file that can be read and sought in.

What is opened is a regular file, looked at through the one descriptor that was checked; nothing is read here but what
the reader asks for.
"""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from manifest_runner.errors import MediaError
from manifest_runner.media.source import Base64Source, FileSource, megabytes, shortened
from manifest_runner.models import printable

OPEN_LIMIT = 2 * 1024**3
"""Bytes. An hour of studio sound, or any picture; a larger file is refused by its size alone."""

_LOOKED_AT = 300  # entries of a folder searched for a near name: a big folder must not slow a big manifest


@contextmanager
def opened(
    source: FileSource | Base64Source, folder: Path, max_bytes: int = OPEN_LIMIT
) -> Iterator[BinaryIO]:
    """The file (relative to `folder`), or the decoded Base64 text, to read and seek in.

    Raises MediaError when it has more than `max_bytes`, when it can't be opened or read within the `with`, or when it
    is no regular file: a pipe or a device could keep us waiting for ever.
    """
    if isinstance(source, Base64Source):
        yield BytesIO(_decoded(source, max_bytes))
        return
    try:
        with _open(source.resolved(folder), source.label, max_bytes) as file:
            yield file
    except OSError as error:
        raise _unreadable(source, folder, error) from error


def as_file(data: bytes | Path | BinaryIO) -> BinaryIO:
    """Bytes, or a file that is open already, from its start. A path's file is read whole: that is for tests."""
    if isinstance(data, Path):
        with opened(FileSource(str(data)), Path()) as file:
            return BytesIO(file.read())
    if isinstance(data, bytes):
        return BytesIO(data)
    data.seek(0)
    return data


def sha256_of(file: BinaryIO, most: int = OPEN_LIMIT, *, label: str = "The file") -> str:
    """The hash of all of it, read a little at a time; it stands at its start again afterwards.

    `label` is what messages call it. Raises MediaError for a file that has more in it than its size said: it may grow
    faster than it can be read.
    """
    file.seek(0)
    digest, read = hashlib.sha256(), 0
    while chunk := file.read(1 << 20):
        digest.update(chunk)
        read += len(chunk)
        if read > most:
            raise _too_large(label, read, most)
    file.seek(0)
    return digest.hexdigest()


def size_of(file: BinaryIO) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _too_large(label: str, count: int, most: int) -> MediaError:
    return MediaError(
        f"{label} is too large: {megabytes(count)}, where {megabytes(most)} is the most that is read.",
        mend="Make it smaller: the service takes pictures up to 10 MB and recordings up to 5 MB.",
    )


def _decoded(source: Base64Source, max_bytes: int) -> bytes:
    if (size := len(source.text) // 4 * 3) > max_bytes + 2:  # padding takes at most two bytes off
        raise _too_large(source.label, size, max_bytes)
    try:
        data = base64.b64decode(source.text, validate=True)
    except binascii.Error as error:
        raise MediaError(f"{source.label} can't be decoded.", mend="Encode the file again.") from error
    if len(data) > max_bytes:
        raise _too_large(source.label, len(data), max_bytes)
    return data


def _open(path: Path, label: str, max_bytes: int) -> BinaryIO:
    # Looked at before it is opened, because opening alone can act on a device; and again when open, because what
    # stands at the path can have been exchanged in between. O_NONBLOCK keeps a pipe from holding us up meanwhile.
    _refuse_irregular(path.stat().st_mode, label)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb")
    try:
        status = os.fstat(descriptor)
        _refuse_irregular(status.st_mode, label)
        if status.st_size > max_bytes:
            raise _too_large(label, status.st_size, max_bytes)
        os.set_blocking(descriptor, True)
    except BaseException:
        file.close()
        raise
    if not status.st_size:
        # What the kernel makes up while it is read (/proc, /sys) says so of itself too, and can have no end.
        file.close()
        return BytesIO()
    return file


def _refuse_irregular(mode: int, label: str) -> None:
    if stat.S_ISDIR(mode):
        raise MediaError(f"{label} is a folder.", mend="Name a file in it.")
    if not stat.S_ISREG(mode):
        raise MediaError(f"{label} is a pipe or a device, not a file.", mend="Name a regular file.")


def _unreadable(source: FileSource, folder: Path, error: OSError) -> MediaError:
    path = source.resolved(folder)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return MediaError(
            f"There is no file {source.label}.", mend=_way_to(source, folder), kind="file that is not there"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return MediaError(
            f"{source.label} may not be read.", mend=f"Allow it: chmod u+r '{printable(str(path))}'."
        )
    if error.errno == errno.ENAMETOOLONG:
        return MediaError(
            f"{source.label} is too long for a path, and is no valid Base64 either.",
            mend="Shorten the path, or encode the file again (standard alphabet, padded).",
        )
    return MediaError(
        f"{source.label} can't be read: {os.strerror(error.errno or errno.EIO)}.", mend="Mend that."
    )


def _way_to(source: FileSource, folder: Path) -> str:
    """What to do about a missing file: the name it may have been meant to be, where one is near."""
    if meant := _meant(source.path, folder):
        return f"Did you mean '{shortened(meant)}'?"
    if "\\" in source.path:
        return "Write / between folders in place of \\: that holds on every system."
    there = source.resolved(folder).parent
    if not _is(there, stat.S_ISDIR):
        return f"Its folder '{shortened(str(there))}' does not exist; paths are relative to the manifest."
    place = "beside the manifest" if there == folder else f"into '{shortened(str(there))}'"
    return f"Put it {place}, or mend the path; paths are relative to the manifest."


def _meant(written: str, folder: Path) -> str | None:
    """The path that was perhaps meant: the same with slashes, one with nearly the same name, or one to a file of
    that name in a folder beside the manifest."""
    turned = written.replace("\\", "/")
    path = folder / turned
    if turned != written and _is(path, stat.S_ISREG):
        return turned
    names = _names_in(path.parent)
    alike = [name for name in names if name.casefold() == path.name.casefold()]
    alike += [name for name in names if Path(name).stem.casefold() == path.stem.casefold()]
    if alike:
        return str(Path(turned).with_name(alike[0]))
    folders = [name for name in _names_in(folder) if _is(folder / name, stat.S_ISDIR)]
    return next(
        (f"{name}/{path.name}" for name in folders if _is(folder / name / path.name, stat.S_ISREG)), None
    )


def _names_in(folder: Path) -> list[str]:
    """What is in a folder, in order; nothing where it can't be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in islice(entries, _LOOKED_AT))
    except OSError:
        return []


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether something of a kind is there. What may not be looked at, or has no possible name, is not."""
    try:
        return kind(path.stat().st_mode)
    except (OSError, ValueError):
        return False
