"""The header of a CSV: which column is which field, which is a var, and which is surely a slip of the pen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from manifest_runner.manifest.csv_places import Cell
from manifest_runner.manifest.enough import ENOUGH
from manifest_runner.manifest.guesses import guessed_field, is_id
from manifest_runner.manifest.schemas import field_names, nested_fields, short_fields
from manifest_runner.manifest.templates import mentioned
from manifest_runner.manifest.text import shown
from manifest_runner.models import Location, Problem

# Above it lie `promt`, `images`, `audioid`; below it `code`, `age`, `note`, which are honest columns of one's own.
_CLOSE = 0.76


@dataclass(frozen=True, slots=True)
class Heading:
    """A column. `path` leads from the job to its value: `("prompt",)`, `("speech", "text")`, `("vars", "city")`."""

    text: str
    path: tuple[str, ...]


def read_headings(
    cells: list[str], *, file: str, places: Iterable[Cell], texts: Sequence[str] = ()
) -> tuple[list[Heading], list[Problem]]:
    """Every column, and everything wrong with the header. Blanks around a heading don't count.

    `places` are where they stand. A column that one of `texts` names in braces is a var, even where its name could
    mean a field.
    """
    names = [cell.strip() for cell in cells]
    fields = _columns()
    absent = {name: path for name, path in fields.items() if name not in names}
    used = mentioned({name for name in names if guessed_field(name) in absent}, texts)
    headings: list[Heading] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for number, (name, place) in enumerate(zip(names, places, strict=True), start=1):
        fault = (
            _fault(name, number, fields)
            or (_misnamed(name, absent, used) if name not in fields else None)
            or _repeated(name, number, seen, fields)
        )
        if fault:
            location = Location(file=file, line=place.line, column=shown(name) or place.column)
            problems.append(Problem(location=location, what=fault[0], mend=fault[1]))
            if len(problems) >= ENOUGH:
                break
        else:
            headings.append(Heading(name, fields.get(name, ("vars", name))))
    return headings, problems


def _columns() -> dict[str, tuple[str, ...]]:
    """Every heading that names a field, with the way to its value."""
    nested, short = nested_fields(), short_fields()
    columns: dict[str, tuple[str, ...]] = {}
    for name in field_names():
        if name in nested:
            columns |= {
                name if short.get(name) == child else f"{name}.{child}": (name, child)
                for child in nested[name]
            }
        elif name != "vars":
            columns[name] = (name,)
    return columns


def _fault(name: str, number: int, fields: dict[str, tuple[str, ...]]) -> tuple[str, str] | None:
    """What is wrong with a heading by itself, and the way out."""
    nested = nested_fields()
    parent = name.partition(".")[0]
    if not name:
        return f"Column {number} has no heading.", "Name it, or remove the column."
    if name == "vars":
        return "`vars` can't be a column.", "Give each value a column of its own, named as you like."
    if name not in fields and parent in nested:
        known = ", ".join(f"`{column}`" for column, path in fields.items() if path[0] == parent)
        return f"`{shown(name)}` is no field.", f"The columns are {known}."
    return None


def _misnamed(name: str, absent: dict[str, tuple[str, ...]], used: set[str]) -> tuple[str, str] | None:
    """A heading that was surely meant to be a field which has no column of its own.

    Taken for a var, it would change what is paid for without a word: a sheet whose ids stand under `id` has none,
    and a row that is edited later looks like a new job.
    """
    guess = guessed_field(name)
    meant = guess or _nearly(name, absent)
    if meant not in absent:
        return None
    if meant == guess and name in used and not is_id(name):
        return None
    return (
        f"`{shown(name)}` is no field: did you mean `{meant}`?",
        "Rename the column; if it is a value of your own, give it a name that is less like a field's.",
    )


def _nearly(name: str, absent: dict[str, tuple[str, ...]]) -> str | None:
    """The field whose name a heading misspells, if that field has no column of its own."""
    normal = name.casefold().replace(" ", "_").replace("-", "_")
    close = get_close_matches(normal, absent, n=1, cutoff=_CLOSE)
    return close[0] if close else None


def _repeated(
    name: str, number: int, seen: dict[str, int], fields: dict[str, tuple[str, ...]]
) -> tuple[str, str] | None:
    """Two columns of one name. Our own fields count as one whatever their case."""
    folded = name.casefold()
    key = folded if folded in fields else name
    first = seen.setdefault(key, number)
    if first == number:
        return None
    return (
        f"`{shown(name)}` is the heading of column {first} and of column {number}.",
        "Keep one of them, or rename it.",
    )
