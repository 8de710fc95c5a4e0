"""Where videos may go: names that every file system can hold, and no two jobs onto one file.

That a path is relative, has forward slashes and ends in .mp4 is the schema's rule. What is checked here are its
folders and file names one by one, and the paths of a campaign against one another.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from manifest_runner.manifest.text import shown

MAX_NAME_BYTES = 200  # most file systems hold 255; what is put behind a name while it is written needs room

_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [device + digit for device in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"]
)

# What lies in the output folder beside the videos: the reports, and what belongs to a page.
_OURS = frozenset(
    ["report.json", "report.csv", "problems.csv", ".problems.csv.sha256", "index.html", "posters"]
)


def _surely_good() -> re.Pattern[str]:
    """Paths of which one look tells that nothing is wrong: short names of plain letters, far from any reserved one."""
    devices = "|".join(sorted({_in_any_case(name[:3]) for name in _RESERVED}))
    ours = "|".join(sorted(map(_in_any_case, _OURS)))
    name = rf"(?!{devices})[A-Za-z0-9_-](?:[A-Za-z0-9 ._-]{{0,{MAX_NAME_BYTES // 2}}}[A-Za-z0-9_-])?"
    return re.compile(rf"(?!{ours}){name}(?:/{name})*")


def _in_any_case(text: str) -> str:
    return "".join(f"[{sign}{sign.upper()}]" if sign.isalpha() else re.escape(sign) for sign in text)


_SURELY_GOOD = _surely_good()


@dataclass(frozen=True, slots=True)
class Clash:
    """Two paths that can't both exist. The numbers are places in the list of paths."""

    earlier: int
    later: int
    folder: bool  # one is a file where the other needs a folder


def path_fault(path: str) -> tuple[str, str] | None:
    """What is wrong with one of a path's names, and how to mend it; None for a good path."""
    if _SURELY_GOOD.fullmatch(path):
        return None
    first, *_ = names = path.split("/")
    if same_file_key(first) in _OURS:
        return (
            f"`{shown(first)}` is the name of one of our own files beside the videos",
            "Choose another name.",
        )
    return next((fault for name in names if (fault := name_fault(name))), None)


def name_fault(name: str) -> tuple[str, str] | None:
    """What is wrong with the name of a file or folder, and how to mend it; None for a good one."""
    if not name:
        return "a name between two slashes is missing", "Remove one of the slashes."
    if name in (".", ".."):
        return f"`{name}` would lead elsewhere", "Name the folders below the output folder only."
    if name.endswith((".", " ")) or name.startswith(" "):
        return f"`{shown(name)}` begins or ends with a blank, or ends with a dot", "Remove it."
    if name.partition(".")[0].rstrip().casefold() in _RESERVED:
        return f"`{shown(name)}` is a name that Windows keeps for a device", "Choose another name."
    if len(name.encode("utf-8")) > MAX_NAME_BYTES:
        return f"a name has more than {MAX_NAME_BYTES} bytes", "Shorten it."
    return None


def clashes(paths: Iterable[str]) -> Iterator[Clash]:
    """Paths that are one file, or a file and a folder, on a disk that ignores case and Unicode composition."""
    keys = [same_file_key(path) for path in paths]
    files: dict[str, int] = {}
    folders: dict[str, int] = {}
    for number, key in enumerate(keys):
        if key in files:
            yield Clash(files[key], number, folder=False)
            continue
        if key in folders:
            yield Clash(folders[key], number, folder=True)
        files[key] = number
        for folder in folders_of(key):
            if folder in files:
                yield Clash(files[folder], number, folder=True)
            folders.setdefault(folder, number)


def same_file_key(path: str) -> str:
    """Equal for two paths that a forgiving file system takes for one."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def folders_of(key: str) -> Iterator[str]:
    """All the folders on the way to a path."""
    parts = key.split("/")
    for length in range(1, len(parts)):
        yield "/".join(parts[:length])
