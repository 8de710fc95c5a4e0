"""`{names}` in a text, and what they are filled in with.

`{name}` stands for a value, `{{` and `}}` for braces. There is nothing else: no format, no attribute, no index,
and what is filled in is not read again. A name is any text without braces, so that every column can be used.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

_BRACED = re.compile(r"\{([^{}]{1,200})\}")

MOST_FILLED = 100_000
"""Characters of a text with its names filled in. Far above what any field takes, which its schema says in full; far
below what a long value, named a thousand times, would take of the memory before the schema is asked."""


@dataclass(frozen=True, slots=True)
class Name:
    """A place to fill in."""

    text: str


Part = str | Name


class TemplateError(ValueError):
    """A template that can't be read. The message is a sentence for the person who wrote it; `mend` the way out."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.mend = mend


class UnknownNames(TemplateError):
    """Names that no value goes by, in the order of the template."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(f"There is no value for {', '.join(names)}.", "Give it one.")
        self.names = names


@lru_cache(maxsize=1024)
def parse(template: str) -> tuple[Part, ...]:
    """The literal parts and the names, in order. Raises TemplateError."""
    parts: list[Part] = []
    literal = ""
    position = 0
    while position < len(template):
        sign = template[position]
        if sign in "{}" and template[position + 1 : position + 2] == sign:
            literal += sign
            position += 2
        elif sign == "{":
            if literal:
                parts.append(literal)
            literal = ""
            name, position = _name(template, position)
            parts.append(name)
        elif sign == "}":
            raise TemplateError(
                "There is a `}` without a `{` before it.", "Write `}}` for a brace in the text."
            )
        else:
            end = _next_brace(template, position)
            literal += template[position:end]
            position = end
    return (*parts, literal) if literal else tuple(parts)


def names_in(template: str) -> tuple[str, ...]:
    """The names a template uses, in its order and each once. Raises TemplateError."""
    return tuple(dict.fromkeys(part.text for part in parse(template) if isinstance(part, Name)))


def mentioned(names: Collection[str], texts: Iterable[str]) -> set[str]:
    """Those of the names that stand in braces in one of the texts, be they templates, tables of them, or faulty."""
    if not names:
        return set()
    return {name for text in texts for match in _BRACED.finditer(text) if (name := match[1].strip()) in names}


def expand(template: str, values: Mapping[str, str]) -> str:
    """The template with its names filled in.

    Raises TemplateError, also for a result beyond MOST_FILLED; UnknownNames for names without a value.
    """
    if "{" not in template and "}" not in template:
        return template
    if unknown := tuple(name for name in names_in(template) if name not in values):
        raise UnknownNames(unknown)
    filled = [part if isinstance(part, str) else values[part.text] for part in parse(template)]
    if sum(map(len, filled)) > MOST_FILLED:
        raise TemplateError(
            f"Filled in, the text has more than {MOST_FILLED:,} characters.",
            "Shorten it, or the values in it.",
        )
    return "".join(filled)


def _name(template: str, start: int) -> tuple[Name, int]:
    """The name that begins at a `{`, and where the text goes on."""
    end = _next_brace(template, start + 1)
    if end == len(template) or template[end] == "{":
        raise TemplateError("There is a `{` that is not closed.", "Write `{{` for a brace in the text.")
    name = template[start + 1 : end].strip()
    if not name:
        raise TemplateError(
            "There is a `{}` without a name in it.", "Name a value, or write `{{}}` for braces."
        )
    return Name(name), end + 1


def _next_brace(text: str, start: int) -> int:
    ends = [found for found in (text.find("{", start), text.find("}", start)) if found >= 0]
    return min(ends, default=len(text))
