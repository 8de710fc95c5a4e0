"""The header of a sheet: which column is which field, which is a var, and which is surely a slip of the pen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache

from manifest_runner.manifest.enough import ENOUGH
from manifest_runner.manifest.guesses import guessed_field, is_id, plain
from manifest_runner.manifest.schemas import field_names, nested_fields, short_fields
from manifest_runner.manifest.templates import mentioned
from manifest_runner.manifest.text import shown
from manifest_runner.models import Location, Problem

# Above it lie `promt`, `images`, `audioid`; below it `code`, `age`, `note`, which are honest columns of one's own.
_CLOSE = 0.76
LOOKED_AT = 10  # rows among which a header is looked for
_SURELY_A_HEADER = 2  # fields
_MOST_TOLD = 12  # columns that are taken for fields; a job has few more

Path = tuple[str, ...]
_SOUND_COLUMNS: tuple[Path, ...] = (("sound_file",), ("audio_id",))


@dataclass(frozen=True, slots=True)
class Heading:
    """A column. `path` leads from the job to its value: `("prompt",)`, `("speech", "text")`, `("vars", "city")`."""

    text: str
    path: Path


def read_headings(
    cells: Sequence[str],
    *,
    places: Iterable[Location],
    texts: Sequence[str] = (),
    meanings: Mapping[str, str] | None = None,
) -> tuple[list[Heading], list[Problem]]:
    """Every column, and everything wrong with the header. Blanks around a heading don't count.

    `places` are where they stand; `meanings` what the person says of their headings: a field, or a name of their own.
    What else people call our fields is taken for them (`Portrait`), as long as nothing speaks against it. A column that
    one of `texts` names in braces is a var, even where its name could mean a field.
    """
    names, places = [cell.strip() for cell in cells], list(places)
    header = _Header(names, texts, meanings or {})
    headings: list[Heading] = []
    problems = [
        Problem(
            location=replace(places[0], column=None),
            what=f"The sheet has no column `{shown(name)}`, of which `columns` says what it is.",
            mend="Correct its name there: it is compared sign by sign.",
        )
        for name in list(meanings or ())[:ENOUGH]
        if name not in names
    ]
    for number, (name, place) in enumerate(zip(names, places, strict=True), start=1):
        if fault := header.fault_of(name, number):
            location = replace(place, column=shown(name) or place.column)
            problems.append(Problem(location=location, what=fault[0], mend=fault[1]))
            if len(problems) >= ENOUGH:
                break
        else:
            headings.append(Heading(name, header.path_of(name)))
    return headings, problems


def recognised(headings: Sequence[Heading], meanings: Mapping[str, str]) -> str | None:
    """Which columns were taken for fields though they have other names, as a sentence; those that the person named so
    are left out."""
    taken = [
        f"`{shown(heading.text, 30)}` as {name}"
        for heading in headings
        if (name := ".".join(heading.path)) in columns_by_name()
        and heading.path[0] != "vars"
        and columns_by_name().get(heading.text) != heading.path
        and heading.text not in meanings
    ]
    if not taken:
        return None
    more = f" and {len(taken) - _MOST_TOLD} more" if len(taken) > _MOST_TOLD else ""
    return (
        f"Columns read as fields: {', '.join(taken[:_MOST_TOLD])}{more}. Where that is not meant, say what a column is "
        "under `columns:`, or rename it."
    )


def meant_by(name: str) -> str | None:
    """The field that a heading can hardly mean otherwise: `Sound File`, `Portrait`."""
    return _by_plain_name().get(plain(name)) or guessed_field(name)


@cache
def _by_plain_name() -> dict[str, str]:
    return {plain(name): name for name in columns_by_name()}


def header_below(rows: Sequence[Sequence[str]]) -> int | None:
    """The first of a sheet's first rows that names fields, where the very first names none: it is then a title."""
    fields = columns_by_name()

    def named(cells: Sequence[str]) -> int:
        return sum(cell.strip() in fields or meant_by(cell.strip()) is not None for cell in cells)

    if not rows or named(rows[0]):
        return None
    return next((number for number, cells in enumerate(rows) if named(cells) >= _SURELY_A_HEADER), None)


SAY_WHERE = "Say so: `header_row: {row}` beside `from:` in the manifest, or --header-row {row}."
"""What to do about a title above the header."""


class _Header:
    """What is known of all columns together."""

    def __init__(self, names: Sequence[str], texts: Sequence[str], meanings: Mapping[str, str]) -> None:
        self._fields = columns_by_name()
        self._meanings = meanings
        self._said = {name: meanings[name] for name in names if name in meanings}
        taken = {*names, *self._said.values()}
        self._absent = {name: path for name, path in self._fields.items() if name not in taken}
        self._seen: dict[str, int] = {}
        guesses = {
            name: field
            for name in dict.fromkeys(names)
            if name not in self._fields
            and name not in self._said
            and (field := meant_by(name)) in self._absent
        }
        used = mentioned(set(guesses), texts)
        self._guesses = {name: field for name, field in guesses.items() if name not in used or is_id(name)}
        self._rivals = Counter(self._guesses.values())
        own = {self._path(name) for name in names} | {self._fields[field] for field in self._guesses.values()}
        self._has_sounds = not own.isdisjoint(_SOUND_COLUMNS)

    def path_of(self, name: str) -> Path:
        return self._path(self._guesses.get(name, name))

    def _path(self, name: str) -> Path:
        meant = self._said.get(name, name)
        return self._fields.get(meant, ("vars", meant))

    def fault_of(self, name: str, number: int) -> tuple[str, str] | None:
        """What is wrong with a column, and the way out."""
        return self._by_itself(name, number) or self._misnamed(name) or self._repeated(name, number)

    def _by_itself(self, name: str, number: int) -> tuple[str, str] | None:
        nested = nested_fields()
        meant = self._said.get(name, name)
        parent = meant.partition(".")[0]
        if not name:
            return f"Column {number} has no heading.", "Name it, or remove the column."
        if meant == "vars":
            return "`vars` can't be a column.", "Give each value a column of its own, named as you like."
        if meant not in self._fields and parent in nested:
            known = ", ".join(f"`{column}`" for column, path in self._fields.items() if path[0] == parent)
            return f"`{shown(meant)}` is no field.", f"The columns are {known}."
        return None

    def _misnamed(self, name: str) -> tuple[str, str] | None:
        """A heading that was surely meant to be a field which has no column of its own.

        Taken for a var, it would change what is paid for without a word. What can hardly mean another thing is taken
        for the field; what may (two portraits, a text beside recordings) is asked about.
        """
        if name in self._fields or name in self._said:
            return None
        if (field := self._guesses.get(name)) is None:
            close = self._nearly(name) if meant_by(name) is None else None
            return self._did_you_mean(name, close) if close else None
        if self._rivals[field] > 1:
            others = ", ".join(f"`{shown(one)}`" for one, meant in self._guesses.items() if meant == field)
            return (
                f"{others} may each be meant to be `{field}`.",
                f"Say which one is: `columns: {{{shown(name)}: {field}}}` beside `from:`, or rename the column.",
            )
        if field.startswith("speech.") and self._has_sounds:
            return self._did_you_mean(name, field)
        return None

    def _did_you_mean(self, name: str, field: str) -> tuple[str, str]:
        return (
            f"`{shown(name)}` is no field: did you mean `{field}`?",
            "Rename the column; if it is a value of your own, give it a name that is less like a field's.",
        )

    def _nearly(self, name: str) -> str | None:
        """The field whose name a heading misspells, if that field has no column of its own."""
        normal = name.casefold().replace(" ", "_").replace("-", "_")
        open_fields = [field for field in self._absent if field not in self._rivals]
        close = get_close_matches(normal, open_fields, n=1, cutoff=_CLOSE)
        return close[0] if close else None

    def _repeated(self, name: str, number: int) -> tuple[str, str] | None:
        """Two columns of one name, or of one meaning. Our own fields count as one whatever their case."""
        folded = name.casefold()
        meant = self._said.get(name, folded if folded in self._fields else name)
        first = self._seen.setdefault(meant, number)
        if first == number:
            return None
        if meant == name or folded in self._fields:
            return (
                f"`{shown(name)}` is the heading of column {first} and of column {number}.",
                "Keep one of them, or rename it.",
            )
        return f"Column {first} and column {number} both are `{shown(meant)}`.", "Say so of one of them."


@cache
def columns_by_name() -> dict[str, Path]:
    """Every heading that names a field, with the way to its value."""
    nested, short = nested_fields(), short_fields()
    columns: dict[str, Path] = {}
    for name in field_names():
        if name in nested:
            columns |= {
                name if short.get(name) == child else f"{name}.{child}": (name, child)
                for child in nested[name]
            }
        elif name != "vars":
            columns[name] = (name,)
    return columns
