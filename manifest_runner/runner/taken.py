"""What a row can't have because something else has it: its id, or its place in the output folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from manifest_runner.manifest import same_file_key
from manifest_runner.models import Job, Problem
from manifest_runner.runner.folder import OutputFolder


class Places:
    """The places in the output folder, and whose they are. `done_files`: each done job with the files that it has."""

    def __init__(
        self, folder: OutputFolder, done_files: Callable[[], Iterable[tuple[str, str | None, str | None]]]
    ) -> None:
        self._folder = folder
        self._done_files = done_files

    def problems(self, job: Job, output: str) -> Iterator[Problem]:
        """Where the job's video would not land in a place of its own inside the folder: told before it is paid for."""
        owner = self._owners.get(same_file_key(output)) if self._owners else None
        if owner not in (None, job.external_task_id):
            yield Problem(
                location=job.where("output"),
                what=f"{output} is where the video of {owner} lies, by the ledger.",
                mend="Give the job another output, or the campaign another --out.",
                job=job.external_task_id,
            )
        if self._folder.leads_outside(output):
            yield Problem(
                location=job.where("output"),
                what=f"{output} leads outside the output folder {self._folder.path} (through a link).",
                mend="Take the link away, or give the job another output.",
                job=job.external_task_id,
            )

    @cached_property
    def _owners(self) -> dict[str, str]:
        """By its place, whose video is there. Read when the first row is not at rest: often there is none."""
        return {
            same_file_key(file): key
            for key, *files in self._done_files()
            for file in files
            if file is not None
        }


def claimed(job: Job, campaign: str) -> Problem:
    return Problem(
        location=job.where("external_task_id"),
        what=f"the id {job.external_task_id!r} belongs to the campaign {campaign!r} in this ledger.",
        mend="Give the job another id, go on under that campaign's name, or keep another --ledger.",
        job=job.external_task_id,
    )


def is_an_attempt(job: Job, of: str) -> Problem:
    return Problem(
        location=job.where("external_task_id"),
        what=f"the id {job.external_task_id!r} is that of a later attempt of the job {of!r}, which was sent with it.",
        mend="Give the job another id.",
        job=job.external_task_id,
    )
