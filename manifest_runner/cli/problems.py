"""Problems with a manifest on their way to people and programs: problems.csv, and what `--json` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from manifest_runner.errors import ManifestError, NeedsPerson
from manifest_runner.models import Job, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from manifest_runner.cli.campaign import Campaign


@contextmanager
def problems_kept(campaign: Campaign) -> Iterator[None]:
    """Problems that end what is done within are written to problems.csv too, for whoever mends them."""
    from manifest_runner.report.problems import forget_problems

    try:
        yield
    except ManifestError as error:
        keep_problems(error, campaign.manifest.jobs, campaign.out)
        raise
    forget_problems(campaign.out)


def keep_problems(error: ManifestError, jobs: Sequence[Job], folder: Path) -> None:
    """Write the rows concerned to problems.csv in this folder, and have the error name it. `jobs` are those of them
    that make any."""
    from manifest_runner.report.problems import write_problems

    if all(problem.location.row is None for problem in error.problems):
        return
    try:
        file = write_problems(error.problems, jobs, folder)
        error.mend = f"The rows concerned are in {file}."
    except NeedsPerson as trouble:  # told beside the problems, not in their place
        error.mend = str(trouble)


def problems_value(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Problems for `--json`."""
    return [
        {
            "file": problem.location.file,
            "line": problem.location.line,
            "column": problem.location.column,
            "cell": problem.location.cell,
            "json_path": problem.location.json_path,
            "job": problem.job,
            "kind": problem.kind or None,
            "what": problem.what,
            "mend": problem.mend,
        }
        for problem in problems
    ]
