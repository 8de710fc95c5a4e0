"""The manifest's files: which reader takes which, and the sheet that a YAML manifest may name for its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from manifest_runner.errors import ManifestError
from manifest_runner.manifest.csv_rows import read_csv
from manifest_runner.manifest.encodings import encoding_of
from manifest_runner.manifest.layout import Layout
from manifest_runner.manifest.remote import fetch_sheet, file_name, is_url
from manifest_runner.manifest.schemas import load_schema, typed
from manifest_runner.manifest.source import Source, TableSource, YamlSource
from manifest_runner.manifest.text import read_bytes, read_text, text_of
from manifest_runner.manifest.workbook_rows import read_workbook
from manifest_runner.manifest.yaml_tree import plain, read_yaml
from manifest_runner.models import Location, Problem, printable
from manifest_runner.sheets import ENDINGS, is_workbook

_YAML = (".yaml", ".yml")
_CSV = (".csv", ".tsv")
_SHEETS = (*_CSV, *ENDINGS)


def read_head(
    path: Path, found: list[Problem], *, output: str | None = None, layout: Layout | None = None
) -> Source:
    """Reads the manifest itself. Adds what did not stop the reading to `found`; raises ManifestError for what did.

    `output` is the command line's template for output paths, which may name columns; `layout` how it says that a sheet
    is laid out.
    """
    suffix = path.suffix.lower()
    if suffix in _SHEETS:
        return _sheet(
            read_bytes(path),
            str(path),
            found,
            [output or ""],
            layout or Layout(),
            workbook=_is_workbook(path),
        )
    if suffix in _YAML:
        return _yaml(read_text(path), path, found)
    read_text(path)  # what it is, or that it is not there, is told first
    raise _stop(
        Location(file=str(path)),
        f"{path.name} is no manifest: its name ends in `{suffix}`."
        if suffix
        else f"{path.name} has no ending.",
        "Name a file that ends in .yaml, .yml, .csv, .tsv, .xlsx, .xlsm or .ods.",
    )


def read_rows(
    head: Source,
    path: Path,
    found: list[Problem],
    *,
    output: str | None = None,
    layout: Layout | None = None,
) -> Source:
    """The source of the rows: the manifest itself, or the sheet that it names under `jobs: {from: ...}`."""
    jobs = head.data.get("jobs")
    named = jobs.get("from") if isinstance(jobs, dict) else None
    if not isinstance(named, str) or not (is_url(named) or named.lower().endswith(_SHEETS)):
        return head
    at = head.where(("jobs", "from"))
    templates = [output or "", *_templates(head.data)]
    beside = (layout or Layout()).over(jobs)
    sheet_at = head.where(("jobs", "sheet"))
    if is_url(named):
        data = fetch_sheet(named, at)
        source = _sheet(
            data, file_name(named), found, templates, beside, workbook=is_workbook(data), sheet_at=sheet_at
        )
        return replace(source, table=None)  # no file on this disk could be written back to
    file = path.parent / named
    if not file.resolve().is_relative_to(path.parent.resolve()):
        raise _stop(
            at,
            f"The rows' file {printable(named)} lies outside the manifest's folder.",
            "Put it below that folder: what it holds is sent to the service.",
        )
    data = read_bytes(file, named_at=at)
    return _sheet(data, str(file), found, templates, beside, workbook=_is_workbook(file), sheet_at=sheet_at)


def _is_workbook(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS


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


def _sheet(
    data: bytes,
    file: str,
    found: list[Problem],
    templates: Sequence[str],
    layout: Layout,
    *,
    workbook: bool,
    sheet_at: Location | None = None,
) -> TableSource:
    """The rows of a sheet. `sheet_at`: where the sheet of a workbook is named."""
    if workbook:
        source, problems = read_workbook(data, file, templates=templates, layout=layout, sheet_at=sheet_at)
    else:
        encoding, told = encoding_of(data, layout.encoding)
        text = text_of(data, file, encoding)
        source, problems = read_csv(text, file, templates=templates, layout=layout)
        source = replace(source, notes=(*filter(None, (told,)), *source.notes))
    if problems and not source.data["jobs"]:
        raise ManifestError(problems)  # no row is left, and saying that there are none would mislead
    found += problems
    source.data["version"] = 1
    return source


def _stop(location: Location, what: str, mend: str) -> ManifestError:
    return ManifestError([Problem(location=location, what=what, mend=mend)])
