"""What must never be found in a file, a message or a log record: keys, and the tokens signed with them."""

from __future__ import annotations

import re
from pathlib import Path

CANARY = "canary-5f0c9e7ab31d4628"  # what each test's key begins with, whatever it is used for
TOKEN = re.compile(
    rb"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}"
)  # a signed one, still good

MOST_BYTES = 2**26  # larger files are the tests' own sparse ones


def secrets_in(content: bytes, known: set[str]) -> list[str]:
    """Which secrets a text or file holds: the known ones, the canary, or a signed token."""
    found = [secret for secret in {CANARY, *known} if secret.encode() in content]
    return found + [match.decode() for match in TOKEN.findall(content)]


def files_with_secrets(folder: Path, known: set[str]) -> list[str]:
    """The files below a folder that hold any; `.env` is where a person puts them, and is left out."""
    return [
        f"{path.relative_to(folder)}: {found}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.is_symlink()
        and path.stat().st_size <= MOST_BYTES
        and path.name != ".env"
        and (found := secrets_in(path.read_bytes(), known))
    ]
