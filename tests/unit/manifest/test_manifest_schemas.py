"""The schema files: sound in themselves, described throughout, the same through references as inlined."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from manifest_runner.manifest.schemas import (
    SchemaName,
    bundled_schema_text,
    errors_in,
    field_names,
    load_schema,
    nested_fields,
    schema_text,
    typed,
)
from manifest_runner.manifest.wording import faults_in
from manifest_runner.manifest.yaml_tree import plain, read_yaml

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES: list[SchemaName] = ["manifest", "job", "report"]
JOB = {"image": "a.png", "sound_file": "a.mp3"}


def fields_of(rule: Any, path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(rule, dict):
        for name, child in rule.get("properties", {}).items():
            yield f"{path}.{name}", child
        for key, child in rule.items():
            yield from fields_of(child, f"{path}/{key}")
    elif isinstance(rule, list):
        for number, child in enumerate(rule):
            yield from fields_of(child, f"{path}[{number}]")


def rules_of(rule: Any) -> Iterator[dict[str, Any]]:
    if isinstance(rule, dict):
        yield rule
        for child in rule.values():
            yield from rules_of(child)
    elif isinstance(rule, list):
        for child in rule:
            yield from rules_of(child)


@pytest.mark.parametrize("name", NAMES)
def test_each_schema_is_a_valid_schema_with_a_title(name: SchemaName) -> None:
    schema = json.loads(schema_text(name))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"{name}.schema.json"
    assert schema["title"]
    assert schema["description"]


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_described_in_words(name: SchemaName) -> None:
    fields = list(fields_of(load_schema(name)))
    assert fields
    assert [path for path, rule in fields if len(rule.get("description", "").split()) < 2] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_object_accepts_unknown_keys_silently(name: SchemaName) -> None:
    open_ended = [
        rule
        for rule in rules_of(load_schema(name))
        if rule.get("type") == "object" and "additionalProperties" not in rule
    ]
    assert open_ended == []


@pytest.mark.parametrize("name", ["manifest", "job"])
def test_every_pattern_of_ours_has_its_sentence_and_no_dollar_sign(name: SchemaName) -> None:
    patterns = [rule for rule in rules_of(load_schema(name)) if isinstance(rule.get("pattern"), str)]
    assert patterns
    for rule in patterns:
        assert rule["patternErrorMessage"].endswith(".")
        assert not rule["pattern"].endswith("$")  # in Python `$` lets a line break pass


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_examples_follow_the_schema(name: SchemaName) -> None:
    for rule in rules_of(load_schema(name)):
        validator = Draft202012Validator(rule)
        for example in rule.get("examples", []) if isinstance(rule.get("examples"), list) else []:
            assert list(validator.iter_errors(example)) == []


DOCUMENTS = [
    {"version": 1, "jobs": [JOB]},
    {"version": 1, "jobs": []},
    {"version": 1, "jobs": {"from": "a.csv"}},
    {"version": 1, "jobs": {"from": "a.yaml"}},
    {
        "version": 1,
        "jobs": [{"image": "data:x", "mode": "fast", "promt": "x"}],
        "defaults": {"external_task_id": "x"},
    },
    {"version": 2, "service": {"name": "klang"}, "concurrency": 1001},
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_references_and_their_inlined_form_say_the_same(document: dict[str, Any]) -> None:
    schemas = {name: json.loads(schema_text(name), parse_float=Decimal) for name in NAMES}
    registry: Registry[Any] = Registry().with_resources(
        (f"{name}.schema.json", Resource.from_contents(schema)) for name, schema in schemas.items()
    )
    referring = Draft202012Validator(schemas["manifest"], registry=registry)
    assert sorted(error.message for error in referring.iter_errors(document)) == sorted(
        error.message for error in errors_in("manifest", document)
    )


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_bundled_schema_needs_nothing_else(document: dict[str, Any]) -> None:
    schema = json.loads(bundled_schema_text("manifest"), parse_float=Decimal)
    Draft202012Validator.check_schema(schema)
    alone = Draft202012Validator(schema, registry=Registry())
    assert sorted(error.message for error in alone.iter_errors(document)) == sorted(
        error.message for error in errors_in("manifest", document)
    )


@pytest.mark.parametrize("path", sorted((EXAMPLES / "valid").glob("*.yaml")), ids=lambda path: path.name)
def test_a_bundled_schema_takes_the_example_manifests(path: Path) -> None:
    values = typed(
        plain(read_yaml(path.read_text(encoding="utf-8"), path.name).root), load_schema("manifest")
    )
    schema = json.loads(bundled_schema_text("manifest"), parse_float=Decimal)
    assert list(Draft202012Validator(schema, registry=Registry()).iter_errors(values)) == []
    values["jobs"] = [{"mode": "fast"}]
    assert list(Draft202012Validator(schema, registry=Registry()).iter_errors(values))


@pytest.mark.parametrize("name", ["job", "report"])
def test_a_schema_that_refers_to_no_other_is_printed_as_it_is(name: SchemaName) -> None:
    assert bundled_schema_text(name) == schema_text(name)


def test_a_row_has_the_fields_of_a_job_and_defaults_all_but_the_id() -> None:
    manifest = load_schema("manifest")["properties"]
    row = manifest["jobs"]["oneOf"][0]["items"]["properties"]
    assert tuple(row) == field_names()
    assert {*row} - {*manifest["defaults"]["properties"]} == {"external_task_id"}
    assert nested_fields()["speech"] == ("text", "voice_id", "voice_language", "voice_speed")


@pytest.mark.parametrize(
    "changed",
    [
        {"external_task_id": "a" * 64},
        {"prompt": "x" * 2500},
        {"callback_url": "https://example.com/hook?x=1"},
        {"output": "a/b c.mp4"},
        {"image": "iVBORw0KGgo=="},
        {"image": "folder/data:x.png"},
        {"mode": "pro", "tags": ["a", "b"], "vars": {"k": ""}},
    ],
)
def test_what_a_job_may_hold(changed: dict[str, Any]) -> None:
    assert faults_in("job", JOB | changed) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"external_task_id": "a" * 65}, "must be 1 to 64 letters"),
        ({"external_task_id": "a\n"}, "must be 1 to 64 letters"),
        ({"external_task_id": "-a"}, "must be 1 to 64 letters"),
        ({"external_task_id": ""}, "must be 1 to 64 letters"),
        ({"prompt": "x" * 2501}, "`prompt` has 2,501 characters; at most 2,500 are allowed."),
        ({"image": " DATA:image/png;base64,x"}, "has a `data:` prefix"),
        ({"image": "file:///etc/passwd"}, "has an address of a kind that is not fetched."),
        ({"image": ""}, "`image` is empty."),
        ({"image": ["a.png"]}, "`image` must be text, and this is a list."),
        ({"callback_url": "ftp://example.com"}, "must be a whole address"),
        ({"callback_url": "https://"}, "must be a whole address"),
        ({"callback_url": "https://example.com\n"}, "must be a whole address"),
        ({"output": "a.avi"}, "ends in .mp4"),
        ({"output": "a.mp4\n"}, "ends in .mp4"),
        ({"output": "a\\b.mp4"}, "ends in .mp4"),
        ({"tags": ["a", "b", "a"]}, "`tags` lists `a` twice."),
        ({"tags": ["a", ""]}, "`tags[2]` is empty."),
        ({"vars": {"": "x"}}, "is empty"),
        ({"vars": {"k": {"deep": "x"}}}, "`vars.k` must be text, and this is a map."),
        ({"watermark_info": {"on": True}}, "`on` is no field. The fields here are enabled."),
        ({"mode": "PRO"}, "Did you mean `pro`?"),
        ({"mode": "720p"}, "Use one of these."),
        ({"audio_id": "a b"}, "must be an id as the service gave it"),
    ],
)
def test_what_a_job_may_not_hold(changed: dict[str, Any], said: str) -> None:
    text = " ".join(f"{fault.what} {fault.mend}" for fault in faults_in("job", JOB | changed))
    assert said in text


def test_a_wrong_type_is_said_alone() -> None:
    faults = faults_in("manifest", {"version": 1, "jobs": [JOB], "concurrency": "many"})
    assert [fault.what for fault in faults] == [
        "`concurrency` must be a whole number from 1 to 1000, or the word auto. This is `many`."
    ]


@pytest.mark.parametrize(("jobs", "kinds"), [("x", "a list or a map"), (5, "a list or a map")])
def test_a_value_that_fits_no_branch(jobs: object, kinds: str) -> None:
    [fault] = faults_in("manifest", {"version": 1, "jobs": jobs})
    assert fault.what.startswith(f"`jobs` must be {kinds}")


def test_all_three_sounds_at_once() -> None:
    [fault] = faults_in(
        "job", JOB | {"audio_id": "1", "speech": {"text": "x", "voice_id": "v", "voice_language": "en"}}
    )
    assert fault.what == "The job names `sound_file`, `audio_id` and `speech`."
    assert fault.mend == "Keep only one of them."


@pytest.mark.parametrize("field", ["image", "sound_file", "callback_url"])
def test_a_reference_is_never_repeated_in_a_message(field: str) -> None:
    for value in ("ftp://user:secret@example.com/?sig=secret", ["secret"], "data:secret"):
        for fault in faults_in("job", JOB | {field: value}):
            assert "secret" not in fault.what + fault.mend


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://api-beijing.klingai.com", True),
        ("https://example.com:8443/base/", True),
        ("http://localhost:8000", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:9/x", True),
        ("http://example.com", False),
        ("http://localhost.evil.com", False),
        ("http://localhost:80@evil.com", False),
        ("https://user:key@example.com", False),
        ("https://example.com/?key=1", False),
        ("https://example.com\n", False),
        ("file:///x", False),
    ],
)
def test_the_services_address(url: str, accepted: bool) -> None:
    document = {"version": 1, "jobs": [JOB], "service": {"name": "kling", "base_url": url}}
    assert (faults_in("manifest", document) == []) is accepted


@pytest.mark.parametrize(
    ("written", "schema", "read"),
    [
        ("true", {"type": "boolean"}, True),
        ("FALSE", {"type": "boolean"}, False),
        ("yes", {"type": "boolean"}, "yes"),
        ("tRUE", {"type": "boolean"}, "tRUE"),
        ("true", {"type": "string"}, "true"),
        ("10", {"type": "integer"}, 10),
        ("1e3", {"type": "integer"}, "1e3"),
        ("1.0", {"type": "integer"}, "1.0"),
        ("9" * 19, {"type": "integer"}, "9" * 19),
        ("1.2", {"type": "number"}, Decimal("1.2")),
        ("NaN", {"type": "number"}, "NaN"),
        ("Infinity", {"type": "number"}, "Infinity"),
        ("1\n", {"type": "number"}, "1\n"),
        ("٣", {"type": "number"}, "٣"),
        ("500", {"type": ["string", "number"]}, "500"),
        ({"a": "1"}, {"type": "object", "properties": {"a": {"type": "integer"}}}, {"a": 1}),
        (["1"], {"type": "array", "items": {"type": "integer"}}, [1]),
    ],
)
def test_text_is_read_as_the_type_the_schema_wants(
    written: object, schema: dict[str, Any], read: object
) -> None:
    result = typed(written, schema)
    assert result == read
    assert type(result) is type(read)


@pytest.mark.parametrize("speed", ["0.8", "1", "1.0", "1.1", "2.0"])
def test_voice_speeds_are_steps_of_a_tenth(speed: str) -> None:
    speech = {"text": "x", "voice_id": "v", "voice_language": "en", "voice_speed": Decimal(speed)}
    assert faults_in("job", {"image": "a.png", "speech": speech}) == []


@pytest.mark.parametrize("speed", ["0.7", "2.1", "1.05", "-1"])
def test_other_voice_speeds_are_refused(speed: str) -> None:
    speech = {"text": "x", "voice_id": "v", "voice_language": "en", "voice_speed": Decimal(speed)}
    assert len(faults_in("job", {"image": "a.png", "speech": speech})) == 1


REPORT: dict[str, Any] = {
    "version": 1,
    "campaign": "c",
    "service": "sandbox",
    "manifest": "m.yaml",
    "ledger": "5b1c9d1e",
    "generated_at": "2026-11-02T09:30:00.125Z",
    "rates": {"std": "0.4", "pro": "0.8", "speech": "0.05"},
    "totals": {
        "jobs": 1,
        "by_outcome": {"done": 1},
        "by_mode": {
            "std": {
                "jobs": 1,
                "done": 1,
                "units_deducted": "4.4",
                "units_estimated": "4.4",
                "video_seconds": "11",
            }
        },
        "units_deducted": "4.4",
        "units_estimated": "4.4",
        "jobs_units_unknown": 0,
        "jobs_changed": 0,
        "jobs_not_in_manifest": 0,
        "speech_calls": 0,
        "speech_units": "0",
        "video_seconds": "11",
    },
    "slots": [{"at": "2026-11-02T09:30:00.125Z", "limit": 4, "used": 4, "why": "1303"}],
    "jobs": [
        {
            "external_task_id": "a",
            "line": 2,
            "outcome": "done",
            "service_status": "succeed",
            "message": None,
            "changed": ["prompt"],
            "attempts": 1,
            "task_id": "825390164827459601",
            "mode": "std",
            "units_estimated": "4.4",
            "units_deducted": "4.4",
            "units_speech": "0",
            "fitted": {"image": "turned upright"},
            "file": "de/a.mp4",
            "watermark_file": None,
            "captions_file": "de/a.srt",
            "sha256": "0" * 64,
            "bytes": 12,
            "video_seconds": "11",
            "queued_at": "2026-11-02T09:30:00.125Z",
            "submitted_at": "2026-11-02T09:30:00.125Z",
            "ended_at": "2026-11-02T09:30:00Z",
            "fetched_at": None,
            "tags": ["x"],
            "vars": {"first_name": "Ana"},
        }
    ],
}


def test_a_report_follows_its_schema() -> None:
    assert list(errors_in("report", REPORT)) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outcome", "succeed"),
        ("units_deducted", 4),
        ("units_deducted", "-1"),
        ("units_deducted", "1e3"),
        ("file", "../a.mp4"),
        ("file", "x/../a.mp4"),
        ("file", "/a.mp4"),
        ("file", "a\\b.mp4"),
        ("task_id", 825390164827459601),
        ("sha256", "F" * 64),
        ("queued_at", "yesterday"),
        ("attempts", -1),
        ("secret", "x"),
    ],
)
def test_a_report_that_does_not(field: str, value: object) -> None:
    report = REPORT | {"jobs": [REPORT["jobs"][0] | {field: value}]}
    assert list(errors_in("report", report))


@pytest.mark.parametrize("name", [*REPORT["jobs"][0]])
def test_every_field_of_a_reports_job_is_required(name: str) -> None:
    job = {key: value for key, value in REPORT["jobs"][0].items() if key != name}
    assert re.search("required", next(errors_in("report", REPORT | {"jobs": [job]})).message)
