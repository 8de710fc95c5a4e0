"""A schema's complaint -> one sentence about what is wrong and one about how to mend it.

The sentence for a pattern stands beside the pattern, as `patternErrorMessage`: editors that know VS Code's
extension of JSON Schema show the very same words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any

from manifest_runner.manifest.enough import ENOUGH
from manifest_runner.manifest.guesses import guessed_field
from manifest_runner.manifest.schemas import RuleName, errors_in, surely_follows
from manifest_runner.manifest.source import ValuePath
from manifest_runner.manifest.text import shown

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

# References can hold signed addresses or megabytes of Base64: their values are never repeated in a message.
_UNSHOWN = frozenset({"image", "sound_file", "callback_url", "base_url"})
_CREDENTIALS = ("api_key", "apikey", "access_key", "secret", "token", "password", "credential")
_MOST_COMPLAINTS = 4 * ENOUGH  # some are said together with others: so many surely make ENOUGH faults
_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map of names and values",
}
_MISSING = {
    "version": "Begin the manifest with `version: 1`.",
    "jobs": "List the jobs under `jobs`, or name a CSV file: `jobs: {from: rows.csv}`.",
    "from": "Name the CSV file: `from: rows.csv`.",
    "name": "Name the service: kling or sandbox.",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A broken rule. `path` leads to the value (to the map that lacks one); `key` when its name is what's wrong.

    `about` names fields of that map which the rule speaks of: the one that is missing, those to choose from.
    """

    path: ValuePath
    what: str
    mend: str = ""
    key: bool = False
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Complaint:
    """What the validator says: which rule (`maxLength`), what it demands, and the value that breaks it."""

    path: ValuePath
    rule: str
    demand: Any
    value: Any
    schema: Any


def faults_in(name: RuleName, value: object, *, at: ValuePath = ()) -> list[Fault]:
    """Everything a schema has against a value, each said once. Of several at one place, a wrong type comes alone.

    `at` leads to the value. Where there are more than ENOUGH the rest is not looked for.
    """
    if surely_follows(name, value):
        return []
    complaints = list(islice(_leaves(errors_in(name, value), at), _MOST_COMPLAINTS))
    mistyped = {complaint.path for complaint in complaints if complaint.rule == "type"}
    faults: dict[Fault, None] = {}
    for complaint in complaints:
        if complaint.rule == "type" or complaint.path not in mistyped:
            faults |= dict.fromkeys(islice(_faults(complaint), ENOUGH))
    return list(faults)


def _leaves(errors: Iterable[ValidationError], at: ValuePath) -> Iterator[_Complaint]:
    """The complaints themselves: of a choice, those of the one branch that has the value's shape."""
    for error in errors:
        path = (*at, *error.absolute_path)
        branches: dict[Any, list[ValidationError]] = {}
        for part in error.context or ():
            branches.setdefault(part.schema_path[0], []).append(part)
        shaped = [parts for parts in branches.values() if not any(_is_shape(part, error) for part in parts)]
        if len(shaped) == 1:
            yield from _leaves(shaped[0], at)
        else:
            yield _Complaint(path, str(error.validator), error.validator_value, error.instance, error.schema)


def _is_shape(part: ValidationError, choice: ValidationError) -> bool:
    """Whether a branch of a choice was never meant: the value isn't even of its type."""
    return part.validator == "type" and part.absolute_path == choice.absolute_path


def _faults(complaint: _Complaint) -> Iterator[Fault]:
    path = complaint.path
    if complaint.rule == "additionalProperties":
        yield from _unknown_fields(complaint)
    elif complaint.rule == "required":
        for missing in complaint.demand:
            if missing not in complaint.value:
                what = f"{_of(path)}`{missing}` is missing."
                yield Fault(path, what, _mend_missing(path, missing), about=(missing,))
    elif complaint.rule == "oneOf":
        yield _choice(complaint)
    else:
        what, mend = _single(complaint)
        yield Fault(path, what, mend)


def _unknown_fields(complaint: _Complaint) -> Iterator[Fault]:
    path, known = complaint.path, list(complaint.schema["properties"])
    for name in complaint.value:
        if name in known:
            continue
        mend = f"The fields here are {', '.join(known)}."
        what = f"`{shown(name)}` is no field."
        if path == ("defaults",) and name == "external_task_id":
            what, mend = "`external_task_id` can't be a default.", "Every job needs an id of its own."
        elif any(word in name.casefold() for word in _CREDENTIALS):
            mend = "Credentials never stand in a manifest: set them in the environment or in a .env file."
        elif (guess := guessed_field(name)) and guess.partition(".")[0] in known:
            what, mend = f"`{shown(name)}` is no field: did you mean `{guess}`?", _mend_guess(guess)
        elif close := get_close_matches(name.casefold().replace("-", "_"), known, n=1, cutoff=0.6):
            what, mend = f"`{shown(name)}` is no field: did you mean `{close[0]}`?", "Correct the name."
        elif path[:1] == ("jobs",) and len(path) == 2:
            mend = f"If it is a value of your own, put it under `vars`. {mend}"
        yield Fault((*path, name), what, mend, key=True)


def _mend_guess(field: str) -> str:
    parent, _, child = field.partition(".")
    return f"Write `{parent}: {{{child}: ...}}`." if child else "Correct the name."


def _choice(complaint: _Complaint) -> Fault:
    """A value that fits none of the branches, or more than one."""
    path, branches = complaint.path, complaint.demand
    if not all(list(branch) == ["required"] for branch in branches):
        kinds = " or ".join(_KINDS[branch["type"]] for branch in branches)
        return Fault(path, f"{_label(path)} must be {kinds}{_found(path, complaint.value)}.", "Correct it.")
    names = [branch["required"][0] for branch in branches]
    present = [name for name in names if name in complaint.value]
    if not present:
        return Fault(
            path, "The job has no sound.", f"Give it one of {_listed(names, 'or')}.", about=tuple(names)
        )
    both = "both " if len(present) == 2 else ""
    what = f"The job names {both}{_listed(present, 'and')}."
    mend = f"Keep {'one' if both else 'only one'} of them."
    return Fault((*path, present[-1]), what, mend, about=tuple(names))


def _single(complaint: _Complaint) -> tuple[str, str]:
    """What a rule about one value says of it: the sentence and its mend."""
    demand, value, label = complaint.demand, complaint.value, _label(complaint.path)
    found = _found(complaint.path, value)
    what, mend = f"{label} breaks the rule {complaint.rule}{found}.", "Correct it."
    match complaint.rule:
        case "type":
            what, mend = f"{label} must be {_kind(demand)}{found}.", _mend_type(demand, value)
        case "enum":
            what, mend = f"{label} must be {_options(demand)}{found}.", _mend_enum(demand, value)
        case "const":
            what, mend = f"{label} {value} is not known here.", f"This program reads {label} {demand}."
        case "pattern":
            what, mend = f"{label} {complaint.schema['patternErrorMessage']}{_own(found)}", ""
        case "maxLength":
            what, mend = (
                f"{label} has {len(value):,} characters; at most {demand:,} are allowed.",
                "Shorten it.",
            )
        case "minLength":
            what, mend = f"{label} is empty.", "Fill it in, or leave it out."
        case "minimum":
            what, mend = f"{label} must be at least {demand}{found}.", "Raise it."
        case "maximum":
            what, mend = f"{label} must be at most {demand}{found}.", "Lower it."
        case "minItems" | "maxItems" if demand > 1:
            what, mend = f"{label} must list {demand} values, and lists {len(value)}.", "Correct it."
        case "minItems" if complaint.path == ("jobs",):
            what, mend = "There are no jobs.", "Add at least one."
        case "minItems":
            what, mend = f"{label} is an empty list.", "Fill it in, or leave it out."
        case "uniqueItems":
            what, mend = f"{label} lists `{shown(_twice(value))}` twice.", "Remove one."
    return what, mend


def _of(path: ValuePath) -> str:
    """Names the map that lacks something, where the field's own name isn't enough."""
    return f"{_label(path)}: " if path and not (path[0] == "jobs" and len(path) == 2) else ""


def _mend_missing(path: ValuePath, name: str) -> str:
    return _MISSING.get(
        name, "Give it here, or for all jobs under `defaults`." if path != ("jobs",) else "Add it."
    )


def _mend_type(rule: object, value: object) -> str:
    if rule == "boolean":
        return "Write true or false."
    if rule == "string" and isinstance(value, list | dict):
        return "Put the text into quotes."
    return "Correct it."


def _mend_enum(options: list[Any], value: object) -> str:
    names = [option for option in options if isinstance(option, str)]
    close = get_close_matches(value.casefold(), names, n=1, cutoff=0.6) if isinstance(value, str) else []
    return f"Did you mean `{close[0]}`?" if close else "Use one of these."


def _options(options: list[Any]) -> str:
    """Few options are named; a row of numbers is named by its ends."""
    if len(options) > 4:
        return f"one of {options[0]}, {options[1]} ... {options[-1]}"
    return _listed(options, "or")


def _kind(rule: str | list[str]) -> str:
    return " or ".join(_KINDS.get(kind, kind) for kind in ([rule] if isinstance(rule, str) else rule))


def _label(path: ValuePath) -> str:
    """What a message calls a value: `speech.text`, `tags[2]`, the job, the manifest."""
    steps = path[2:] if path[:1] == ("jobs",) and len(path) > 1 and isinstance(path[1], int) else path
    if not steps:
        return "The job" if path else "The manifest"
    text = str(steps[0])
    for step in steps[1:]:
        text += f"[{step + 1}]" if isinstance(step, int) else f".{step}"
    return f"`{shown(text)}`"


def _found(path: ValuePath, value: object) -> str:
    """What stands there now, where it is short and no reference."""
    if value is None:
        return ", and there is nothing"
    if isinstance(value, dict | list):
        return f", and this is {'a map' if isinstance(value, dict) else 'a list'}"
    return "" if _UNSHOWN.intersection(path) else f", and this is `{shown(str(value))}`"


def _own(found: str) -> str:
    """`_found` as a sentence of its own."""
    return f" This is{found.removeprefix(', and this is')}." if found else ""


def _listed(names: Iterable[object], word: str) -> str:
    *rest, last = (f"`{name}`" for name in names)
    return f"{', '.join(rest)} {word} {last}" if rest else last


def _twice(items: list[str]) -> str:
    return next(str(item) for item, count in Counter(items).items() if count > 1)
