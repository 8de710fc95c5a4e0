"""The sandbox's state on disk: folders and files that only their owner can read, and the names that we give there.

A campaign folder may come from a stranger, with a sandbox's state in it already. So what is a link, or another
user's, is refused before anything in it is touched, and a name becomes a path, or is deleted, only when it is of
the kind that the sandbox gives itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from manifest_runner.errors import NeedsPerson

MEDIA, RESULTS = "media", "results"  # folders inside the state folder
FOLDER_MODE, FILE_MODE = 0o700, 0o600

_MEDIA_KEY = re.compile(r"(?:image|audio|speech)-[0-9a-f]{64}")
_MEDIA_PART = re.compile(rf"{_MEDIA_KEY.pattern}\.[0-9a-f]{{8}}\.part")
_RESULT = re.compile(r"[0-9a-f]{64}\.mp4")
_RESULT_PART = re.compile(rf"{_RESULT.pattern}\.part")
_NAMES = {MEDIA: _MEDIA_KEY, RESULTS: _RESULT}
_PARTS = {MEDIA: _MEDIA_PART, RESULTS: _RESULT_PART}


class ForeignName(Exception):
    """A stored name that the sandbox would not have given, or one that leads out of its folder."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The state folder and what is in it. `claim`, take the lock, then `prepare`."""

    state: Path

    @property
    def media(self) -> Path:
        return self.state / MEDIA

    @property
    def results(self) -> Path:
        return self.state / RESULTS

    @property
    def database(self) -> Path:
        return self.state / "sandbox.sqlite3"

    @property
    def lock(self) -> Path:
        return self.state / "sandbox.lock"

    def claim(self) -> None:
        """Make the state folder and the file of its lock. Raises NeedsPerson, OSError."""
        make_private_folder(self.state)
        open_private(self.lock).close()

    def prepare(self) -> None:
        """Make the folders; clear away what a killed process left half written, and links where our files belong.

        Only under the folder's lock. Raises NeedsPerson, OSError.
        """
        for folder in (self.media, self.results):
            make_private_folder(folder)
            for path in list(folder.iterdir()):
                ours = _NAMES[folder.name].fullmatch(path.name) is not None
                if _PARTS[folder.name].fullmatch(path.name) or (ours and not _is_plain(path)):
                    path.unlink()

    def media_file(self, key: str) -> Path:
        """Where the media of this key lie. Raises ForeignName."""
        return self._inside(MEDIA, key)

    def stored_file(self, file: str) -> Path:
        """The path of `media/KEY` or `results/NAME`, as the database has them. Raises ForeignName."""
        folder, _, name = file.partition("/")
        return self._inside(folder, name)

    def result_names(self) -> Iterator[str]:
        """The names of the results that are there; nothing else that somebody put beside them."""
        return (path.name for path in self.results.glob("*.mp4") if _RESULT.fullmatch(path.name))

    def _inside(self, folder: str, name: str) -> Path:
        pattern = _NAMES.get(folder)
        path = self.state / folder / name
        # The pattern has no separator in it; resolving finds what a name can't show, a link on the way.
        if (
            pattern is None
            or not pattern.fullmatch(name)
            or path.resolve() != self.state.resolve() / folder / name
        ):
            raise ForeignName("the database names a file that is not the sandbox's own")
        return path


def make_private_folder(folder: Path) -> None:
    """Make a folder that only we can enter, or make one that is there so. Raises NeedsPerson, OSError.

    Files in it will be overwritten and deleted: one that is a link, no folder, or another user's is refused.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=FOLDER_MODE, parents=True)
    found = folder.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise _refused(f"the folder {folder}: it is a link")
    if not stat.S_ISDIR(found.st_mode):
        raise _refused(f"the folder {folder}: it is a file")
    if found.st_uid != os.geteuid():
        raise _refused(f"the folder {folder}: it belongs to another user")
    if stat.S_IMODE(found.st_mode) != FOLDER_MODE:
        with contextlib.suppress(PermissionError):  # a file system without rights, such as a memory stick's
            folder.chmod(FOLDER_MODE)


def open_private(path: Path) -> IO[bytes]:
    """Open a file of ours to read and write, made when it is missing; its content is kept.

    A link is never followed, and a file with a second name elsewhere counts as one. Raises NeedsPerson.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe must not hold us up
    try:
        descriptor = os.open(path, flags, FILE_MODE)
    except OSError as error:
        why = "it is a link" if path.is_symlink() else error.strerror or str(error)
        raise _refused(f"{path}: {why}") from None
    with contextlib.ExitStack() as failing:
        file = failing.enter_context(os.fdopen(descriptor, "r+b", buffering=0))
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise _refused(f"{path}: it is a link, or no plain file")
        if found.st_uid != os.geteuid():
            raise _refused(f"{path}: it belongs to another user")
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, FILE_MODE)
        failing.pop_all()
    return file


def secure_database(path: Path) -> None:
    """Keep an SQLite file, and what SQLite puts beside it, to ourselves and off links. Raises NeedsPerson.

    A rollback journal is refused: our files have none (their journal is a WAL), and one that somebody made can have
    SQLite delete whatever file it names.
    """
    open_private(path).close()
    for side in (Path(f"{path}-wal"), Path(f"{path}-shm")):
        if os.path.lexists(side):
            open_private(side).close()
    if os.path.lexists(f"{path}-journal"):
        raise NeedsPerson(
            f"The sandbox can't use {path}: there is a rollback journal beside it, which is none of ours.",
            mend="Move both files away to begin anew.",
        )


def _is_plain(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _refused(what: str) -> NeedsPerson:
    return NeedsPerson(
        f"The sandbox can't use {what}.", mend="Move it away: a new one will be made in its place."
    )
