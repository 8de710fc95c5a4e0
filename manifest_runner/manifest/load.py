"""A manifest file -> a validated Manifest, or one error with every problem in it.

The way: read the files, hold what is written against the manifest's schema, take out what is wrong, make a job of
each row, compare the jobs with one another. Each step adds its problems and the next goes on with what is sound.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from manifest_runner.errors import ManifestError
from manifest_runner.manifest.compare import compare
from manifest_runner.manifest.enough import ENOUGH, told
from manifest_runner.manifest.files import read_head, read_rows
from manifest_runner.manifest.jobs import Completed, complete
from manifest_runner.manifest.outputs import name_fault
from manifest_runner.manifest.rows import Common, Row
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
    files: what the command line set, the manifest, its rows. Of very many it carries the first, and their number.
    """
    found = list(_settings_problems(settings))
    try:
        manifest = _load(path, settings, found)
    except ManifestError as exc:  # what stopped the reading, beside what had been found before
        error = ManifestError(told(_in_order([*found, *exc.problems], path)))
        error.sound = exc.sound
        raise error from None
    return manifest


def _load(path: Path, settings: Settings, found: list[Problem]) -> Manifest:
    """The manifest. Raises ManifestError when the reading stops, or when something was found, which is in `found`."""
    head = read_head(path, found, output=settings.output)
    faults = _check_form(head, found)
    rows = read_rows(head, path, found, output=settings.output)
    row_faults = faults if rows is head else _check_form(rows, found)
    data, bad_defaults = _without(head.data, faults)
    common = Common(
        campaign=campaign_name(path, data, settings),
        output=settings.output or data.get("output", DEFAULT_OUTPUT),
        output_at=Location(file=_COMMAND_LINE) if settings.output else head.where(("output",)),
        defaults=data.get("defaults", {}),
        head=head,
        known=_var_names(rows, data),
        bad=bad_defaults,
    )
    found += _campaign_problems(common, settings)
    completed: list[Completed] = []
    for row in _sound_rows(rows, row_faults):
        completed.append(complete(row, common))
        found += completed[-1].problems
        _stop_at_enough(found)
    found += islice(compare(completed), ENOUGH)
    if found:
        error = ManifestError([])
        error.sound = tuple(result.job for result in completed if result.job is not None)
        raise error
    return _manifest(path, settings, data, common, completed)


def _manifest(
    path: Path, settings: Settings, data: dict[str, Any], common: Common, completed: list[Completed]
) -> Manifest:
    return Manifest(
        path=path,
        campaign=common.campaign,
        jobs=tuple(result.job for result in completed if result.job is not None),
        service=service_settings(data, settings),
        concurrency=concurrency(data, settings),
        budget_units=budget_units(data, settings),
        made_ids=sum(result.made for result in completed),
    )


def _check_form(source: Source, found: list[Problem]) -> list[Fault]:
    """Holds a file's values against the manifest's schema, and adds what it says to `found`.

    Raises ManifestError for a manifest of another version (of that we can't say what else is right in it), and where
    so much is wrong that the rest need not be looked at.
    """
    faults: list[Fault] = []
    for some in _faults_by_part(source.data):
        if other := [fault for fault in some if fault.path == ("version",)]:
            raise ManifestError(list(_problems(other, source)))
        faults += some
        found += _problems(some, source)
        _stop_at_enough(found)
    return faults


def _faults_by_part(data: dict[str, Any]) -> Iterator[list[Fault]]:
    """What the schema says of the manifest without its rows, then of each row: a choice such as `jobs` is looked
    through to its end at once, and there can be a million rows."""
    jobs = data.get("jobs")
    rows = jobs if isinstance(jobs, list) else []
    yield faults_in("manifest", {**data, "jobs": [{}]} if rows else data)
    for number, row in enumerate(rows):
        yield faults_in("row", row, at=("jobs", number))


def _stop_at_enough(found: list[Problem]) -> None:
    """Raises ManifestError once nothing can be saved any more. What was found is already in `found`."""
    if len(found) >= ENOUGH:
        raise ManifestError([])


def _problems(faults: list[Fault], source: Source) -> Iterator[Problem]:
    for fault in faults:
        job: str | None = None
        match fault.path:
            case ("jobs", int(row), *_) if isinstance(source.data["jobs"][row], dict):
                written = source.data["jobs"][row].get("external_task_id")
                job = written if isinstance(written, str) and len(written) <= 64 else None
        location = source.where(fault.path, key=fault.key)
        yield Problem(location=location, what=fault.what, mend=fault.mend, job=job)


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


def _sound_rows(source: Source, faults: list[Fault]) -> Iterator[Row]:
    """The rows that are maps, without the fields that have been reported."""
    jobs = source.data.get("jobs")
    bad: defaultdict[int, set[str]] = defaultdict(set)
    for fault in faults:
        match fault.path:
            case ("jobs", int(row), str(name), *_):
                bad[row].add(name)
    for number, written in enumerate(jobs if isinstance(jobs, list) else ()):
        if isinstance(written, dict):
            data = {name: value for name, value in written.items() if name not in bad[number]}
            yield Row(number, data, source, frozenset(bad[number]))


def _var_names(rows: Source, head: dict[str, Any]) -> frozenset[str]:
    """The names that any job, the defaults or a column of the rows' file has a value for."""
    names = set(head.get("defaults", {}).get("vars", {}))
    jobs = rows.data.get("jobs")
    for number, row in enumerate(jobs if isinstance(jobs, list) else ()):
        written = row.get("vars") if isinstance(row, dict) else None
        names.update(written if isinstance(written, dict) else (), rows.left_empty(number))
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


def _in_order(problems: list[Problem], path: Path) -> list[Problem]:
    """By file (the command line, the manifest, its rows), line and column; each once."""
    files = {_COMMAND_LINE: 0, printable(str(path)): 1}

    def place(problem: Problem) -> tuple[int, int, int]:
        location = problem.location
        column = location.column if isinstance(location.column, int) else 0
        return files.get(location.file, 2), location.line or 0, column

    return sorted(dict.fromkeys(problems), key=place)
