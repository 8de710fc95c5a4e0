"""Text from manifests and from the service, made safe for a terminal and for a spreadsheet. Pure functions."""

from __future__ import annotations

import re

# Line ends of every kind and tabs, which only lay text out: a space does for them.
_LAYOUT = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")

# Controls (a terminal obeys them), overrides of the writing direction (they make a cell read backwards), halves of
# characters (UTF-8 can't hold them). Joiners stay: emoji and several scripts need them.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

# What begins a formula, also after blanks, quotes and invisible characters, which spreadsheets pass over; in full
# width too, which some of them read as the plain one. A `;` begins a new cell where the decimal sign is a comma,
# whatever the file's own separator is, so a formula behind it counts as well.
_FORMULA = re.compile(r'(^|;)(?=[\s\u00ad\u200b-\u200f\u2060\ufeff"]*[=+\-@＝＋－＠])')


def printable(text: str) -> str:
    """On one line, without anything that a terminal or a reader could be fooled by."""
    if text.isascii() and text.isprintable():  # nearly all of it, at a tenth of the time
        return text
    return _UNPRINTABLE.sub("", _LAYOUT.sub(" ", text))


def cell(text: str) -> str:
    """Printable text that a spreadsheet shows and never runs: an apostrophe before what would begin a formula."""
    if not text or (text[0].isalnum() and ";" not in text):
        return printable(text)
    return _FORMULA.sub(r"\1'", printable(text))
