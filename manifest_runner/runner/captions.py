"""Captions beside the videos that want them: made from the text and the video's own sound, after the videos are here.

It costs nothing and asks nobody, so what is missing is simply made at the next run, whatever went between.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path, PurePosixPath

from manifest_runner.errors import MediaError
from manifest_runner.ledger import JobRecord, Ledger, queries, results
from manifest_runner.media import caption_cues, find_pauses, speech_part, srt_text
from manifest_runner.models import Job, JobState, Speech, captions_output
from manifest_runner.runner.landing import leads_outside, settle

AT_ONCE = 200  # videos: memory does not grow with the campaign
SPOKEN = "audio"  # the part of a fingerprint that a text belongs to


def caption_all(
    jobs: Iterable[Job], ledger: Ledger, folder: Path, *, progress: Callable[[int], None] | None = None
) -> list[str]:
    """Write the captions that are wanted and missing; the sentences about those that could not be."""
    wanted = ((job, record) for job in jobs if (record := _due(job, ledger, folder)) is not None)
    problems = []
    with ExitStack() as leaving:
        pool = ThreadPoolExecutor(os.cpu_count() or 1, "caption")
        leaving.callback(pool.shutdown, cancel_futures=True)  # after Ctrl-C the rest is left for the next run
        while some := list(islice(wanted, AT_ONCE)):
            outcomes = pool.map(lambda pair: _caption(folder, *pair), some)
            for (job, record), problem in zip(some, outcomes, strict=True):
                if problem is None:
                    ledger.write_now(
                        results.captioned, job.external_task_id, captions_output(record.file or "")
                    )
                else:
                    problems.append(f"{job.external_task_id}: its captions could not be written: {problem}")
                if progress:
                    progress(1)
    return problems


def _due(job: Job, ledger: Ledger, folder: Path) -> JobRecord | None:
    """The record of a job whose captions are to be made: its video is here and says the row's text."""
    if not job.captions or job.speech is None:
        return None
    record = ledger.read(queries.job, job.external_task_id)
    if record is None or record.state is not JobState.DONE or not _says(record, job.speech):
        return None
    there = record.captions_file is not None and (folder / record.captions_file).is_file()
    return record if not there and _is_its_video(record, folder) else None


def _says(record: JobRecord, speech: Speech) -> bool:
    """Whether the video that is here was made from this text."""
    parts = record.attempt.fingerprint_parts if record.attempt else {}
    return parts.get(SPOKEN) == speech_part(speech)


def _is_its_video(record: JobRecord, folder: Path) -> bool:
    """Whether the file that was fetched lies there, as far as its size tells: not a person's own in its place."""
    try:
        status = (folder / (record.file or "")).stat()
    except (OSError, ValueError):  # a name that no file can have
        return False
    return stat.S_ISREG(status.st_mode) and record.bytes in (None, status.st_size)


def _caption(folder: Path, job: Job, record: JobRecord) -> str | None:
    """Write one file of captions; why it could not be, if so. Another file in its place is kept aside."""
    output = captions_output(record.file or "")
    if job.speech is None or leads_outside(folder, PurePosixPath(output).parent):
        return f"{output} leads outside the output folder."
    final = folder / output
    part = final.with_name(f".{final.name}.part")
    try:
        sound = find_pauses(folder / (record.file or ""))
        text = srt_text(caption_cues(job.speech.text, job.speech.voice_language, sound))
        part.unlink(missing_ok=True)  # an earlier run's rest, or a link
        with part.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
        settle(part, final)
    except MediaError as error:
        return error.what
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None
