"""Bytes to JSON values, exactly or not at all: no NaN, no key twice, no float, no crash on depth."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal, DecimalException
from typing import NoReturn

_LONGEST_NUMBER = 100  # characters


def parse_json(raw: bytes, *, redact: Callable[[str], str] = str) -> object:
    """The JSON value in these UTF-8 bytes: numbers as int or Decimal. Raises ValueError saying what is wrong.

    `redact` blots secrets out of a text. It is applied to what was parsed, not to the bytes: in those, an escape
    such as `\\u0041` hides a letter.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    try:
        value: object = json.loads(
            text,
            parse_float=_number,
            parse_int=_whole_number,
            parse_constant=_no_constant,
            object_pairs_hook=_members,
        )
        # What is nowhere in the text is in none of its parts, where no escape hides a letter.
        if "\\" not in text and redact(text) == text:
            return value
        return _redacted(value, redact)
    except json.JSONDecodeError:
        raise ValueError("it is cut off or no JSON") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _redacted(value: object, redact: Callable[[str], str]) -> object:
    """The value with every text in it redacted. A number whose digits are a secret becomes text."""
    match value:
        case str():
            return redact(value)
        case dict():
            return {redact(name): _redacted(member, redact) for name, member in value.items()}
        case list():
            return [_redacted(item, redact) for item in value]
        case int() | Decimal():
            digits = str(value)
            return value if redact(digits) == digits else redact(digits)
        case _:
            return value


def _number(text: str) -> Decimal:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("it holds an absurd number")
    try:
        return Decimal(text)
    except DecimalException:  # an exponent beyond what Decimal can hold
        raise ValueError("it holds an absurd number") from None


def _whole_number(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("it holds an absurd number")
    return int(text)


def _no_constant(_: str) -> NoReturn:
    raise ValueError("it holds NaN or Infinity, which JSON doesn't have")


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("it holds the same key twice")
    return members
