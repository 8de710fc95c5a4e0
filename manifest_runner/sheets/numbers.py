"""How a number in a cell looks to whoever typed it: `007` in a cell that is shown with three digits."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

_PLAIN = re.compile(r"(?P<digits>0+|#,##0|#)(?:\.(?P<decimals>0+))?(?P<percent>%)?\Z")
_SCIENTIFIC = re.compile(r"[0#.]E[+-]", re.IGNORECASE)
SCIENTIFIC_TEXT = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?E[+-]?[0-9]+", re.IGNORECASE)
_EXACT = 10**15
"""Beyond 15 digits a spreadsheet no longer keeps what was typed."""

BUILT_IN = {
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    48: "##0.0E+0",
}
"""The formats that have a number in place of a code (ECMA-376, 18.8.30), as far as they say how a number looks."""


def number_text(value: float, code: str = "") -> str:
    """The number with the digits that its format shows; all that it has, where the format is another kind."""
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        return str(value)
    form = _PLAIN.match(code.split(";", maxsplit=1)[0].strip())
    if form is None:
        return _plain(number)
    places = len(form["decimals"] or "")
    if form["percent"]:
        number *= 100
    if form["decimals"] is None and form["digits"] == "#":
        return _plain(number)
    shown = format(number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP), "f")
    if set(form["digits"]) == {"0"}:
        sign, digits = ("-", shown[1:]) if shown.startswith("-") else ("", shown)
        whole, point, rest = digits.partition(".")
        shown = f"{sign}{whole.zfill(len(form['digits']))}{point}{rest}"
    return f"{shown}%" if form["percent"] else shown


def is_scientific(code: str) -> bool:
    """`1.00E+05`: what was typed, `1e5` or `100000`, can't be told any more."""
    return bool(_SCIENTIFIC.search(code.split(";", maxsplit=1)[0]))


def is_rounded(value: float) -> bool:
    """Whether it has more digits than a spreadsheet keeps."""
    return abs(value) >= _EXACT


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
