"""A file in place of another in one step: the old one or the new one, never a half."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def put(target: Path, chunks: Iterable[bytes]) -> None:
    """Write beside the target and move onto it; a link in its place is replaced, not followed. Raises OSError."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as out:
            for chunk in chunks:
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
