"""Bytes to JSON values, exactly or not at all: no NaN, no key twice, no float, no crash on depth."""

from __future__ import annotations

import json
from decimal import Decimal, DecimalException
from typing import NoReturn

_LONGEST_NUMBER = 100  # characters


def parse_json(raw: bytes) -> object:
    """The JSON value in these UTF-8 bytes: numbers as int or Decimal. Raises ValueError saying what is wrong."""
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
    except json.JSONDecodeError:
        raise ValueError("it is cut off or no JSON") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
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
