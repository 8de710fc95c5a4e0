"""`{names}` in a text, and what they are filled in with.

`{name}` stands for a value, `{name|otherwise}` for the same or, where it is empty, for the text behind the bar; `{{`
and `}}` for braces. There is nothing else: no format, no attribute, no index, and what is filled in is not read again.
A name is any text without braces and bars, so that every column can be used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

_BRACED = re.compile(r"\{([^{}]{1,200})\}")
_NAMED = re.compile(r"\{([^{}]+)\}")

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


def parse(template: str) -> tuple[Part, ...]:
    """The literal parts and the names, in order. Raises TemplateError."""
    pieces = _pieces(template)
    if pieces is None:
        return _parse_sign_by_sign(template)
    parts = [Name(piece) if number % 2 else piece for number, piece in enumerate(pieces)]
    return tuple(part for part in parts if part)


def _pieces(template: str) -> list[str] | None:
    """A text, a name, a text ... a text, some of them empty; None for a template with other braces in it."""
    pieces = _NAMED.split(template)
    names = [name.strip() for name in pieces[1::2]]
    if not all(names) or any("{" in text or "}" in text for text in pieces[::2]):
        return None
    pieces[1::2] = names
    return pieces


def _parse_sign_by_sign(template: str) -> tuple[Part, ...]:
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


@lru_cache(maxsize=1024)
def names_in(template: str) -> tuple[str, ...]:
    """The names a template uses, in its order and each once. Raises TemplateError."""
    return tuple(dict.fromkeys(bare(part.text) for part in parse(template) if isinstance(part, Name)))


def bare(name: str) -> str:
    """The name alone, of one that may say what stands there otherwise. Raises TemplateError."""
    if "|" not in name:
        return name
    alone = name.partition("|")[0].strip()
    if not alone:
        raise TemplateError(f"There is no name before the `|` in `{{{name[:60]}}}`.", "Name a value there.")
    return alone


@lru_cache(maxsize=1024)
def _settled(template: str, given: frozenset[str], known: frozenset[str]) -> str:
    """The template without bars: what stands behind one is put in where its name has no value. A name that nobody has
    a value for stays, to be complained of: it is a slip, and `otherwise` would hide it."""
    text = ""
    for part in parse(template):
        if isinstance(part, str):
            text += part.replace("{", "{{").replace("}", "}}")
            continue
        name = bare(part.text)
        otherwise = name != part.text and name not in given and name in known
        text += part.text.partition("|")[2] if otherwise else f"{{{name}}}"
    return text


def _without_bars(template: str, given: Collection[str], known: frozenset[str]) -> str:
    if "|" not in template or "{" not in template:
        return template
    return _settled(template, frozenset(name for name in names_in(template) if name in given), known)


def mentioned(names: Collection[str], texts: Iterable[str]) -> set[str]:
    """Those of the names that stand in braces in one of the texts, be they templates, tables of them, or faulty."""
    if not names:
        return set()
    return {
        name
        for text in texts
        for match in _BRACED.finditer(text)
        if (name := match[1].partition("|")[0].strip()) in names
    }


def expand(template: str, values: Mapping[str, str], known: frozenset[str] = frozenset()) -> str:
    """The template with its names filled in. `known` are the names that some row has a value for.

    Raises TemplateError, also for a result beyond MOST_FILLED; UnknownNames for names without a value.
    """
    if "{" not in template and "}" not in template:
        return template
    template = _without_bars(template, values, known)
    form = _form(template)
    try:
        filled = form.pick(values)
    except KeyError:
        raise UnknownNames(tuple(name for name in names_in(template) if name not in values)) from None
    if sum(map(len, filled)) > form.room:
        raise TemplateError(
            f"Filled in, the text has more than {MOST_FILLED:,} characters.",
            "Shorten it, or the values in it.",
        )
    return form.text % filled


def expand_all(
    templates: Sequence[str], values: Mapping[str, Sequence[str]], known: frozenset[str] = frozenset()
) -> list[str]:
    """One template after the other filled in; each name has a value for each of them. Raises TemplateError.

    Where they are all the same template, this takes a quarter of the time.
    """
    if not any("{" in template or "}" in template for template in set(templates)):
        return list(templates)
    if any("|" in template for template in set(templates)):
        templates = [_without_bars(template, values, known) for template in templates]
    if len(set(templates)) > 1:
        return [_expand_one(template, values, number) for number, template in enumerate(templates)]
    form = _form(templates[0])
    if unknown := tuple(name for name in form.names if name not in values):
        raise UnknownNames(unknown)
    if sum(max(map(len, values[name])) for name in form.names) > form.room:
        raise TemplateError("Filled in, a text may be too long.", "Fill them in one by one.")
    if not form.names:
        return [form.text % ()] * len(templates)
    return list(map(form.text.__mod__, zip(*(values[name] for name in form.names), strict=True)))


def _expand_one(template: str, values: Mapping[str, Sequence[str]], number: int) -> str:
    """A template that is hardly met twice, filled in with the values of this number."""
    pieces = _pieces(template)
    if pieces is not None and all(name in values for name in pieces[1::2]):
        pieces[1::2] = [values[name][number] for name in pieces[1::2]]
        if sum(map(len, pieces)) <= MOST_FILLED:
            return "".join(pieces)
    return expand(template, {name: column[number] for name, column in values.items()})


class _Form(NamedTuple):
    """A template as `%` fills it in."""

    text: str
    names: tuple[str, ...]
    pick: Callable[[Mapping[str, str]], tuple[str, ...]]  # the values of its names, in their order; KeyError
    room: int  # how long these may be together


@lru_cache(maxsize=1024)
def _form(template: str) -> _Form:
    parts = parse(template)
    names = [part.text for part in parts if isinstance(part, Name)]
    return _Form(
        text="".join(part.replace("%", "%%") if isinstance(part, str) else "%s" for part in parts),
        names=tuple(names),
        pick=_picker(names),
        room=MOST_FILLED - sum(len(part) for part in parts if isinstance(part, str)),
    )


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, str]], tuple[str, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple([values[name] for name in names])


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
