"""A manifest file -> a validated Manifest, or one error with every problem in it.

The way: read the files, hold what is written against the manifest's schema, take out what is wrong, look at row
after row and at all of them together. Each step adds its problems and the next goes on with what is sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from manifest_runner.errors import ManifestError
from manifest_runner.manifest.check import Checked, check_rows, problems_of, rows_of, stop_at_enough
from manifest_runner.manifest.enough import ENOUGH
from manifest_runner.manifest.files import read_head, read_rows
from manifest_runner.manifest.matrix import multiplied, var_names
from manifest_runner.manifest.outputs import name_fault
from manifest_runner.manifest.rows import BUILT_IN, Common
from manifest_runner.manifest.settings import (
    DEFAULT_OUTPUT,
    Settings,
    budget_units,
    campaign_name,
    concurrency,
    service_settings,
)
from manifest_runner.manifest.source import Source
from manifest_runner.manifest.wording import Fault, faults_in
from manifest_runner.models import Location, Manifest, Problem, printable

_NO_SETTINGS = Settings()
_COMMAND_LINE = "command line"


def load_manifest(path: Path, *, settings: Settings = _NO_SETTINGS) -> Manifest:
    """Reads a manifest: a YAML or CSV file, with the CSV that a YAML file may name for its rows.

    Media are not looked at. Raises ManifestError, which carries the problems that were found, in the order of the
    files: what the command line set, the manifest, its rows; of very many, those found until there were enough.
    """
    found = list(_settings_problems(settings))
    try:
        manifest = _load(path, settings, found)
    except ManifestError as exc:  # what stopped the reading, beside what had been found before
        problems = _in_order([*found, *exc.problems], path)
        name = _usable(exc.campaign or campaign_name(path, {}, settings))
        error = ManifestError(problems, campaign=name, more=len(problems) >= ENOUGH)
        error.sound = exc.sound
        raise error from None
    return manifest


def _load(path: Path, settings: Settings, found: list[Problem]) -> Manifest:
    """The manifest. Raises ManifestError when the reading stops, or when something was found, which is in `found`."""
    head = read_head(path, found, output=settings.output, layout=settings.layout)
    faults = _check_head(head, found)
    data, bad_defaults = _without(head.data, faults)
    campaign = campaign_name(path, data, settings)
    try:
        rows = read_rows(head, path, found, output=settings.output, layout=settings.layout)
        if rows is not head:
            _check_head(rows, found)
        known = _var_names(rows, data).union(var_names(data))
        rows = multiplied(rows, head, data)
        common = Common(
            campaign=campaign,
            output=settings.output or data.get("output", DEFAULT_OUTPUT),
            output_at=Location(file=_COMMAND_LINE) if settings.output else head.where(("output",)),
            defaults=data.get("defaults", {}),
            head=head,
            known=known,
            hidden=rows.var_columns.intersection(BUILT_IN),
            bad=bad_defaults,
        )
        checked = _checked(rows, common, settings, found)
    except ManifestError as error:
        error.campaign = campaign
        raise
    return Manifest(
        path=path,
        campaign=campaign,
        jobs=checked.jobs,
        service=service_settings(data, settings),
        concurrency=concurrency(data, settings),
        budget_units=budget_units(data, settings),
        made_ids=checked.made_ids,
        notes=rows.notes,
        table=rows.table,
    )


def _checked(rows: Source, common: Common, settings: Settings, found: list[Problem]) -> Checked:
    """The jobs, when nothing was found against any of them, nor before."""
    found += _campaign_problems(common, settings)
    checked = check_rows(rows, common, found)
    if found:
        error = ManifestError([])
        error.sound = checked.jobs
        raise error
    return checked


def _check_head(source: Source, found: list[Problem]) -> list[Fault]:
    """Holds a file's values but its rows against the manifest's schema, and adds what it says to `found`.

    Raises ManifestError for a manifest of another version (of that we can't say what else is right in it), and where
    so much is wrong that the rest need not be looked at.
    """
    values = source.data
    if (rows := rows_of(source)) is not None:
        values = {**values, "jobs": [{}] if rows else []}
    faults = faults_in("manifest", values)
    if other := [fault for fault in faults if fault.path == ("version",)]:
        raise ManifestError(list(problems_of(other, source)))
    found += problems_of(faults, source)
    stop_at_enough(found)
    return faults


def _without(data: dict[str, Any], faults: list[Fault]) -> tuple[dict[str, Any], frozenset[str]]:
    """The top level without its bad fields, and the names of the defaults that were bad."""
    bad_fields = {fault.path[0] for fault in faults if fault.path and fault.path[0] != "defaults"}
    sound = {name: value for name, value in data.items() if name not in bad_fields}
    bad_defaults = {
        str(fault.path[1]) for fault in faults if fault.path[:1] == ("defaults",) and len(fault.path) > 1
    }
    if ("defaults",) in {fault.path for fault in faults}:
        sound["defaults"] = {}
    elif bad_defaults:
        sound["defaults"] = {
            name: value for name, value in data["defaults"].items() if name not in bad_defaults
        }
    return sound, frozenset(bad_defaults)


def _var_names(rows: Source, head: dict[str, Any]) -> frozenset[str]:
    """The names that any job, the defaults or a column of the rows' file has a value for."""
    names = {*head.get("defaults", {}).get("vars", {}), *rows.var_columns}
    jobs = rows.data.get("jobs")
    for row in jobs if isinstance(jobs, list) else ():  # the names in a sheet's rows are its columns
        written = row.get("vars") if isinstance(row, dict) else None
        names.update(written if isinstance(written, dict) else ())
    return frozenset(names)


def _settings_problems(settings: Settings) -> Iterator[Problem]:
    """What the schema says of the settings from the command line."""
    for fault in faults_in("manifest", {"version": 1, "jobs": [{}], **settings.as_manifest()}):
        yield Problem(location=Location(file=_COMMAND_LINE), what=fault.what, mend=fault.mend)


def _campaign_problems(common: Common, settings: Settings) -> Iterator[Problem]:
    """A campaign's name is a folder's name too."""
    if fault := name_fault(common.campaign):
        location = Location(file=_COMMAND_LINE) if settings.campaign else common.head.where(("campaign",))
        yield Problem(location=location, what=f"The campaign can't be named so: {fault[0]}.", mend=fault[1])


def _usable(campaign: str) -> str | None:
    """A name that may be a folder's; None for one that was complained of."""
    faults = faults_in("manifest", {"version": 1, "jobs": [{}], "campaign": campaign})
    return None if faults or name_fault(campaign) else campaign


def _in_order(problems: list[Problem], path: Path) -> list[Problem]:
    """By file (the command line, the manifest, its rows), line and column; each once."""
    files = {_COMMAND_LINE: 0, printable(str(path)): 1}

    def place(problem: Problem) -> tuple[int, int, int]:
        location = problem.location
        column = location.column if isinstance(location.column, int) else 0
        return files.get(location.file, 2), location.line or 0, column

    return sorted(dict.fromkeys(problems), key=place)
