"""A sheet saved as CSV by an older program: in which encoding it was, when nobody says."""

from __future__ import annotations

import re
import unicodedata

from manifest_runner.manifest.layout import Encoding
from manifest_runner.manifest.text import shown

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SIGNS = frozenset("€‚„…†‡‰‹›“”‘’•–—™¡¿§©«»®°±·ªº£¥¢\u00a0")
"""Beside letters, what people type and Windows-1252 has above ASCII."""

_OTHER_ALPHABET = re.compile(r"[^\W\d_\x00-\x7f]{3}")
"""Western words have one or two letters beyond ASCII in a row; Cyrillic or Greek ones, read wrongly, have no others."""

_WORD = re.compile(r"\w*[^\W\d_\x00-\x7f]\w*")


def encoding_of(data: bytes, said: Encoding | None) -> tuple[Encoding, str | None]:
    """The encoding, and a sentence about it where it was neither said nor is sure.

    Windows-1252 takes nearly all bytes: it counts only where each of them is then a letter or a sign that people type,
    in words as western languages have them. Anything else is left to the complaint that it is no UTF-8.
    """
    if said is not None:
        return said, None
    if data.startswith(_UTF_16):
        return "utf-16", None  # its mark says so
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        if (word := _western_word(data)) is not None:
            return "cp1252", (
                "The sheet is not in UTF-8 and was read as Windows-1252, with words such as "
                f"`{shown(word, 30)}`: where they are wrong, save it as UTF-8 or say its `encoding:`."
            )
    return "utf-8", None


def _western_word(data: bytes) -> str | None:
    """A word with a letter that ASCII has not, where all of the text surely is Windows-1252."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    strange = {sign for sign in text if sign > "\x7f"} - _SIGNS
    if any(unicodedata.category(sign)[0] != "L" for sign in strange) or _OTHER_ALPHABET.search(text):
        return None
    found = _WORD.search(text)
    return found[0] if found else None
