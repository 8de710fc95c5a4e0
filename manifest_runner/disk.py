"""What several rooms do on a disk: names that survive a power cut, and files of somebody's that stay."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a rename is only once its folder is."""
    if os.name == "nt":  # a folder can't be opened there, and renames are durable without
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def kept_name(file: Path) -> Path:
    """A free name for what lies at `file`, so that nothing is overwritten: `welcome.kept-1.mp4`."""
    number = 1
    while os.path.lexists(free := file.with_name(f"{file.stem}.kept-{number}{file.suffix}")):
        number += 1
    return free
