"""Where a downloaded video lands: its place in the output folder, made durable, with nothing of anybody's lost."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path, PurePosixPath

from manifest_runner.disk import kept_name, sync_folder
from manifest_runner.errors import FetchError


def place_for(folder: Path, output: str) -> Path:
    """The final path of an output, its folders made one by one.

    Raises FetchError when the path or a link on the way would lead it outside, before anything is made there.
    """
    wanted = PurePosixPath(output)
    if wanted.is_absolute() or ".." in wanted.parts or not wanted.name:
        raise _outside(output, folder)
    if wanted.suffix.lower() != ".mp4":  # the manifest's rules, once more: a ledger can be anybody's
        raise FetchError(f"{output} is no name for a video.", final=True)
    folder.mkdir(parents=True, exist_ok=True)
    root, parent = folder.resolve(), folder
    for name in wanted.parts[:-1]:
        parent /= name
        try:
            parent.mkdir(exist_ok=True)
        except FileExistsError:
            what = f"{parent} is no folder, and the video {output} belongs into it."
            raise FetchError(what, final=True) from None
        if not parent.resolve().is_relative_to(root):
            raise _outside(output, folder)
    return parent / wanted.name


def prove_writable(folder: Path) -> None:
    """Write a file into the output folder and take it away. Raises OSError, before a video is paid and not after."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".manifest-runner-"):
        pass


def leads_outside(folder: Path, below: PurePosixPath) -> bool:
    """Whether a link among the folders `below`, as they are now, leads out of `folder`."""
    return not (folder / below).resolve().is_relative_to(folder.resolve())


def settle(part: Path, final: Path) -> str:
    """Make `part` durable under its final name and return its SHA-256. What else lies there is kept aside."""
    with part.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    if os.path.lexists(final) and not _same(final, sha256):
        final.replace(kept_name(final))  # it may be an earlier attempt's paid video, or somebody's own file
    part.replace(final)
    sync_folder(final.parent)
    return sha256


def _same(path: Path, sha256: str) -> bool:
    """Whether a plain file of this content lies there. A link, a pipe or a device is never read."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _outside(output: str, folder: Path) -> FetchError:
    return FetchError(f"{output} leads outside the output folder {folder} (through a link).", final=True)
