"""The page of a rehearsal: every row with its preview, for a browser, complete in itself.

It runs no script and loads nothing but the videos and pictures beside it, which its Content-Security-Policy says too.
All that is data goes through `visible` and is escaped: no row can add an element, an attribute or an address.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from manifest_runner.errors import NeedsPerson
from manifest_runner.report.cards import COUNTED, Card, Fate
from manifest_runner.report.putting import keep_aside, put

NAME = "index.html"
GENERATOR = "manifest-runner rehearse"  # what tells a page of ours from a person's own
LINKS_SHOWN = 30  # rows of a group that are linked to from the top: the cards themselves show them all

# Controls, overrides of the writing direction and halves of characters: shown by their numbers, never obeyed.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Everything the page says. `costs` and `notices` are sentences; `cards` are in the manifest's order."""

    campaign: str
    manifest: str
    made_at: str
    costs: Sequence[str]
    notices: Sequence[str]
    cards: Sequence[Card]


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Rows without a preview for the same reason. `shown` are the first of them."""

    label: str
    fate: Fate
    reason: str
    cards: int
    shown: Sequence[Card]


def write_page(page: Page, folder: Path) -> Path:
    """Write index.html into `folder`, where the previews lie; a file there that is none of ours is kept aside.

    Raises NeedsPerson when it can't be written.
    """
    target = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not _is_ours(target):
            keep_aside(target)
        put(target, _html(page))
    except OSError as error:
        raise cannot_write(folder, error) from error
    return target


def _is_ours(file: Path) -> bool:
    if file.is_symlink() or not file.is_file():
        return False
    with file.open("rb") as head:
        return f'<meta name="generator" content="{GENERATOR}">'.encode() in head.read(1024)


def cannot_write(folder: Path, error: OSError) -> NeedsPerson:
    return NeedsPerson(
        f"The page of the rehearsal can't be written to {folder}: {error.strerror or error}.",
        mend="Check the folder and the room on its disk, then rehearse again: the previews that are there stay.",
    )


def counts(cards: Sequence[Card]) -> list[tuple[Fate, str, int]]:
    """How many rows of each fate that occurs, with the words for it."""
    by_fate = {fate: sum(card.fate is fate for card in cards) for fate in Fate}
    return [(fate, COUNTED[fate], number) for fate, number in by_fate.items() if number]


def groups(cards: Sequence[Card]) -> list[Group]:
    """The rows without a preview of their present version, those of one kind together; the largest group first."""
    by_kind: dict[tuple[str, Fate, str], list[Card]] = {}
    for card in cards:
        if card.fate is not Fate.THERE:
            by_kind.setdefault((card.label, card.fate, _kind_of(card)), []).append(card)
    found = []
    for (label, fate, kind), rows in by_kind.items():
        first = reason_of(rows[0])
        alike = all(reason_of(card) == first for card in rows)
        reason = first if alike else f"{kind}. The first: {first}"
        found.append(Group(label=label, fate=fate, reason=reason, cards=len(rows), shown=rows[:LINKS_SHOWN]))
    return sorted(found, key=lambda group: -group.cards)


def _kind_of(card: Card) -> str:
    """What it is counted with: the kinds of its problems, else the very words."""
    kinds = dict.fromkeys(problem.kind for problem in card.problems)
    return ", ".join(kinds) if kinds and all(kinds) else reason_of(card)


def reason_of(card: Card) -> str:
    """Why a row has no preview, in a sentence."""
    if card.problems:
        return " ".join(f"{problem.what} {problem.mend}".strip() for problem in card.problems)
    return card.message or "Not sent yet: run the rehearsal again to go on."


def visible(value: Any) -> Any:
    """Text with everything in it that hides or steers shown by its number, such as `⟨U+202E⟩`; line ends stay."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _HIDDEN.sub(lambda sign: f"⟨U+{ord(sign[0]):04X}⟩", value.replace("\r\n", "\n"))


def _html(page: Page) -> Iterator[bytes]:
    style = _part("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    parts = _template().generate(
        page=page,
        counts=counts(page.cards),
        groups=groups(page.cards),
        style=Markup(style),  # noqa: S704 - our own file
        style_source=f"'sha256-{digest}'",
        generator=GENERATOR,
        Fate=Fate,
    )
    for part in parts:
        yield part.encode("utf-8", "backslashreplace")


def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=visible, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_part("page.html.j2"))


def _part(name: str) -> str:
    return (resources.files("manifest_runner.report") / name).read_text(encoding="utf-8")
