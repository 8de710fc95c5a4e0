"""Ids: made ones, repeated ones, and ones that a later attempt of another job would carry."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LONGEST_ID = 64
_HASH_DIGITS = 16  # 64 bits: ten thousand rows meet by chance once in 10^11 campaigns
_ATTEMPT = re.compile(r"(?P<job>.+)-r(?P<number>[1-9][0-9]*)\Z")


@dataclass(frozen=True, slots=True)
class Repeat:
    """Two jobs with one id. The numbers are places in the list of ids."""

    earlier: int
    later: int


def slug(text: str, *, otherwise: str = "campaign") -> str:
    """Lower-case letters, digits and hyphens, at most 64: `Frühling 2026!` becomes `fruhling-2026`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_ID].rstrip("-") or otherwise


def made_id(campaign: str, content: Mapping[str, Any]) -> str:
    """`CAMPAIGN-HASH` for a job without an id: the same for the same content, wherever the row stands."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode("ascii")).hexdigest()[:_HASH_DIGITS]
    return f"{campaign[: _LONGEST_ID - _HASH_DIGITS - 1]}-{digest}"


def repeats(ids: Sequence[str]) -> Iterator[Repeat]:
    """Every id that an earlier job has."""
    first: dict[str, int] = {}
    for number, name in enumerate(ids):
        if name in first:
            yield Repeat(first[name], number)
        first.setdefault(name, number)


def attempt_of(name: str) -> tuple[str, int] | None:
    """The job and the number of the later attempt that would carry this id: `x-r2` is attempt 2 of `x`."""
    match = _ATTEMPT.match(name) if "-r" in name else None
    return (match["job"], int(match["number"])) if match and int(match["number"]) > 1 else None


def attempt_clashes(ids: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """(job, other, attempt) where the job's id is what the other job's later attempt would carry."""
    first = {name: number for number, name in reversed(list(enumerate(ids)))}
    for number, name in enumerate(ids):
        attempt = attempt_of(name)
        if attempt and attempt[0] in first:
            yield number, first[attempt[0]], attempt[1]
