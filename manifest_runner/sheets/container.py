"""A workbook's zip file, opened with bounds: what comes from anybody may claim to be small and be endless."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO

from manifest_runner.sheets.errors import SheetError, damaged, locked

MOST_UNPACKED = 384 * 1024 * 1024
"""Bytes of all parts together. A sheet of 250,000 rows takes some 200 MB of XML."""

_BLOCK = 256 * 1024


class Container:
    """The parts of a workbook by name. Raises SheetError for a file that is none, or that can't be read."""

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(BytesIO(data))
            self.parts = self._zip.infolist()
            self.names = frozenset(self._zip.namelist())
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
            raise damaged() from None

    def blocks(self, name: str, taken: int = 0) -> Iterator[bytes]:
        """A part, block by block. Raises SheetError, also where it goes on beyond MOST_UNPACKED, of which so many bytes
        are taken."""
        try:
            with self._zip.open(name) as part:
                while block := part.read(_BLOCK):
                    taken += len(block)
                    if taken > MOST_UNPACKED:
                        raise SheetError(
                            f"The workbook unpacks to more than {MOST_UNPACKED // 1024**2} MB.",
                            "Keep the rows in a workbook of their own, or save the sheet as CSV.",
                        )
                    yield block
        except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError):
            raise damaged() from None
        except RuntimeError:  # the zip file itself has a password
            raise locked() from None

    def refuse_too_large(self) -> None:
        """Unpack every part once, and keep nothing of it: the library that reads the values has no such bound."""
        taken = 0
        for name in self.names:
            if name.endswith((".xml", ".rels")):
                taken += sum(map(len, self.blocks(name, taken)))
