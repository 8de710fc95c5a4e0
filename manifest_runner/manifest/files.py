"""The manifest's files: which reader takes which, and the CSV that a YAML manifest may name for its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from manifest_runner.errors import ManifestError
from manifest_runner.manifest.csv_rows import read_csv
from manifest_runner.manifest.schemas import load_schema, typed
from manifest_runner.manifest.source import CsvSource, Source, YamlSource
from manifest_runner.manifest.text import read_text
from manifest_runner.manifest.yaml_tree import plain, read_yaml
from manifest_runner.models import Location, Problem, printable

_YAML = (".yaml", ".yml")
_CSV = (".csv", ".tsv")


def read_head(path: Path, found: list[Problem], *, output: str | None = None) -> Source:
    """Reads the manifest itself. Adds what did not stop the reading to `found`; raises ManifestError for what did.

    `output` is the command line's template for output paths, which may name columns.
    """
    text = read_text(path)
    suffix = path.suffix.lower()
    if suffix in _CSV:
        return _csv(text, path, found, [output or ""])
    if suffix in _YAML:
        return _yaml(text, path, found)
    raise _stop(
        Location(file=str(path)),
        f"{path.name} is no manifest: its name ends in `{suffix}`."
        if suffix
        else f"{path.name} has no ending.",
        "Name a file that ends in .yaml, .yml, .csv or .tsv; save a spreadsheet as `CSV UTF-8`.",
    )


def read_rows(head: Source, path: Path, found: list[Problem], *, output: str | None = None) -> Source:
    """The source of the rows: the manifest itself, or the CSV file that it names under `jobs: {from: ...}`."""
    jobs = head.data.get("jobs")
    named = jobs.get("from") if isinstance(jobs, dict) else None
    if not isinstance(named, str) or not named.lower().endswith(_CSV):
        return head
    file = path.parent / named
    if not file.resolve().is_relative_to(path.parent.resolve()):
        raise _stop(
            head.where(("jobs", "from")),
            f"The rows' file {printable(named)} lies outside the manifest's folder.",
            "Put it below that folder: what it holds is sent to the service.",
        )
    text = read_text(file, named_at=head.where(("jobs", "from")))
    return _csv(text, file, found, [output or "", *_templates(head.data)])


def _templates(data: dict[str, Any]) -> Iterator[str]:
    """The texts of a manifest that are filled in for each row, as far as they are texts."""
    defaults = data.get("defaults")
    defaults = defaults if isinstance(defaults, dict) else {}
    speech = defaults.get("speech")
    spoken = speech.get("text") if isinstance(speech, dict) else None
    for written in (data.get("output"), defaults.get("output"), defaults.get("prompt"), spoken):
        if isinstance(written, str):
            yield written


def _yaml(text: str, path: Path, found: list[Problem]) -> YamlSource:
    tree = read_yaml(text, str(path))
    found += tree.problems
    if tree.root is None or tree.root.value is None:
        raise _stop(
            Location(file=str(path), line=1, column=1),
            "The manifest is empty.",
            "Begin it with `version: 1`.",
        )
    values = plain(tree.root)
    if not isinstance(values, dict):
        kind = "a list" if isinstance(values, list) else "a text"
        raise _stop(
            Location(file=str(path), line=tree.root.line, column=tree.root.column, json_path="$"),
            f"The manifest must be a map of names and values, and this is {kind}.",
            "Begin it with `version: 1` and put the jobs under `jobs:`.",
        )
    data: dict[str, Any] = typed(values, load_schema("manifest"))
    return YamlSource(file=str(path), root=tree.root, data=data)


def _csv(text: str, path: Path, found: list[Problem], templates: Sequence[str]) -> CsvSource:
    source, problems = read_csv(text, str(path), templates=templates)
    if problems and not source.data["jobs"]:
        raise ManifestError(problems)  # no row is left, and saying that there are none would mislead
    found += problems
    source.data["version"] = 1
    return source


def _stop(location: Location, what: str, mend: str) -> ManifestError:
    return ManifestError([Problem(location=location, what=what, mend=mend)])
