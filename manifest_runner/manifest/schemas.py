"""The JSON Schemas: their text, their validators, and reading text as the types they name.

Rules that a schema can express stand in the schema files and nowhere else. This module knows how to ask them; what
their complaints are called in words is in `wording`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import jsonschema_rs

if TYPE_CHECKING:  # slow to import, and needed only where something is wrong
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

SchemaName = Literal["manifest", "job", "report"]
RuleName = Literal["manifest", "row", "job", "report"]
"""What a value can be held against: a schema, or that part of the manifest's which describes one row."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}\Z")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?\Z")
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@cache
def schema_text(name: SchemaName) -> str:
    """The text of a schema as it is shipped: in the wheel inside the package, in a source tree beside it."""
    shipped = resources.files("manifest_runner") / "_schemas" / f"{name}.schema.json"
    if shipped.is_file():
        return shipped.read_text(encoding="utf-8")
    source_tree = Path(__file__).resolve().parents[2] / "schemas"
    return (source_tree / f"{name}.schema.json").read_text(encoding="utf-8")


def bundled_schema_text(name: SchemaName) -> str:
    """The text of a schema that can stand alone: the schemas it refers to are embedded under `$defs`.

    This is a compound document of draft 2020-12. Each embedded schema keeps its `$id`, so the references lead to it
    as they are. The files themselves stay apart, because editors and the schemas of other programs name them so.
    """
    document: dict[str, Any] = json.loads(schema_text(name))
    others = sorted(
        {reference.partition("#")[0] for reference in _references(document)} - {"", document["$id"]}
    )
    if not others:
        return schema_text(name)
    embedded = {other: json.loads(schema_text(_name_of(other))) for other in others}
    document["$defs"] = {**document.get("$defs", {}), **embedded}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


@cache
def load_schema(name: SchemaName) -> dict[str, Any]:
    """A schema in which every `$ref` is replaced by what it refers to.

    Nothing is ever fetched: a reference leads into the same file or into a schema beside it. Replaced once, the
    references cost nothing for each of ten thousand rows. Numbers are Decimal, so 0.8 is 0.8.
    """
    document = _document(name)
    inlined: dict[str, Any] = _inline(document, name)
    return inlined


def errors_in(name: RuleName, value: object) -> Iterator[ValidationError]:
    """One complaint after the other. A choice between schemas looks through all of its value before the first."""
    return _validator(name).iter_errors(value)


def surely_follows(name: RuleName, value: object) -> bool:
    """Whether a value breaks no rule, found out quickly. False says nothing: `errors_in` has the last word.

    It is a hundred times as quick, without which a sheet of a hundred thousand rows would take minutes.
    """
    return _is_valid(_gate(name), value)


def surely_follow(path: tuple[str, ...], values: list[Any]) -> bool:
    """Whether none of the values breaks the rule for this field of a job, found out quickly. False says nothing."""
    return _is_valid(_column_gate(path), values)


def _is_valid(gate: jsonschema_rs.Draft202012Validator, value: object) -> bool:
    try:
        return gate.is_valid(value)
    except ValueError:  # a value that JSON has not
        return False


def rule_of(path: tuple[str, ...]) -> dict[str, Any]:
    """The rule for a field of a job: `("prompt",)`, `("speech", "text")`."""
    rule: dict[str, Any] = load_schema("job")
    for step in path:
        rule = _as_object(rule).get("properties", {}).get(step, {})
    return rule


def field_names() -> tuple[str, ...]:
    """The fields of a job, in the schema's order."""
    return tuple(load_schema("job")["properties"])


def nested_fields() -> dict[str, tuple[str, ...]]:
    """The fields of a job that have named fields of their own: `{"speech": ("text", ...), ...}`."""
    properties = load_schema("job")["properties"]
    rules = {name: _as_object(rule) for name, rule in properties.items()}
    return {name: tuple(rule["properties"]) for name, rule in rules.items() if "properties" in rule}


def short_fields() -> dict[str, str]:
    """The fields of a job that a plain word can stand for, each with the named field that the word is."""
    properties = load_schema("job")["properties"]
    choices = {name: rule for name, rule in properties.items() if "oneOf" in rule}
    return {name: next(iter(_as_object(rule)["properties"])) for name, rule in choices.items()}


def _as_object(rule: dict[str, Any]) -> dict[str, Any]:
    """The rule, or of a choice the branch with named fields."""
    return next((branch for branch in rule.get("oneOf", ()) if "properties" in branch), rule)


def typed(value: Any, schema: dict[str, Any]) -> Any:
    """A value in which text stands as the type the schema wants: `true`, `10`, `1.2`.

    Where the schema accepts text, text stays text. Text that is no such value (`NaN`, `yes`, `1e9`) stays as it is,
    for the schema to complain about.
    """
    if branches := schema.get("oneOf"):
        schema = next((branch for branch in branches if _has_shape(value, branch)), schema)
    if isinstance(value, dict):
        fields, others = schema.get("properties", {}), schema.get("additionalProperties")
        rest = others if isinstance(others, dict) else {}
        return {key: typed(child, fields.get(key, rest)) for key, child in value.items()}
    if isinstance(value, list):
        items = schema.get("items", {})
        return [typed(child, items) for child in value]
    return _scalar(value, schema.get("type")) if isinstance(value, str) else value


def _scalar(text: str, wanted: object) -> object:
    if wanted == "boolean":
        return _TRUTH.get(text, text)
    if wanted == "integer" and _WHOLE.match(text):
        return int(text)
    if wanted == "number" and _NUMBER.match(text):
        return Decimal(text)
    return text


def _has_shape(value: object, branch: dict[str, Any]) -> bool:
    """Whether a branch of a choice is meant: a text that reads as a whole number is one where a branch wants one."""
    shapes: dict[str, type] = {"object": dict, "array": list, "string": str, "integer": int}
    wanted = shapes.get(branch.get("type", ""))
    if isinstance(value, str):
        value = _scalar(value, branch.get("type"))
    return wanted is not None and isinstance(value, wanted)


@cache
def _document(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(schema_text(name), parse_float=Decimal)
    return document


@cache
def _validator(name: RuleName) -> Draft202012Validator:
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 - slow to import, and seldom needed

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: _is_whole(value))
    kind: type[Draft202012Validator] = validators.extend(Draft202012Validator, type_checker=types)  # type: ignore[no-untyped-call]
    return kind(_rules(name))


def _is_whole(value: object) -> bool:
    """As JSON Schema has it, 1.0 is one too."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole or (isinstance(value, Decimal) and value == value.to_integral_value())


@cache
def _gate(name: RuleName) -> jsonschema_rs.Draft202012Validator:
    return _compiled(_rules(name))


@cache
def _column_gate(path: tuple[str, ...]) -> jsonschema_rs.Draft202012Validator:
    return _compiled({"type": "array", "items": rule_of(path)})


def _compiled(rule: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads(json.dumps(rule, default=float)))


def _rules(name: RuleName) -> dict[str, Any]:
    if name == "row":
        rows, _ = load_schema("manifest")["properties"]["jobs"]["oneOf"]
        items: dict[str, Any] = rows["items"]
        return items
    return load_schema(name)


def _name_of(file: str) -> SchemaName:
    return cast(SchemaName, file.removesuffix(".schema.json"))


def _references(rule: Any) -> Iterator[str]:
    """Every `$ref` in a schema."""
    if isinstance(rule, dict):
        if isinstance(rule.get("$ref"), str):
            yield rule["$ref"]
        rule = list(rule.values())
    if isinstance(rule, list):
        for part in rule:
            yield from _references(part)


def _inline(rule: Any, name: str) -> Any:
    if isinstance(rule, list):
        return [_inline(item, name) for item in rule]
    if not isinstance(rule, dict):
        return rule
    own = {key: _inline(item, name) for key, item in rule.items() if key not in ("$ref", "$defs", "$id")}
    if "$ref" not in rule:
        return own
    file, _, pointer = rule["$ref"].partition("#")
    home = _name_of(file) if file else name
    target: Any = _document(home)
    for step in pointer.strip("/").split("/"):
        target = target[step]
    # Beside a `$ref` our schemas put annotations only, which say more than those of the target.
    return {**_inline(target, home), **own}
