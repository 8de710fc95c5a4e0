"""What becomes of a video once its task has succeeded: kept, captioned, lost, or gone back to.

Each function is one short transaction when run by the Writer.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from decimal import Decimal

from manifest_runner.ledger.columns import now_text, paid_columns
from manifest_runner.ledger.stands import attempt_of, stand_of
from manifest_runner.ledger.transitions import move
from manifest_runner.models import Job, JobState


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeping:
    """The video is on disk. File names are relative to the campaign's output folder."""

    attempt_id: str
    file: str
    watermark_file: str | None
    sha256: str
    bytes: int
    video_seconds: Decimal


def restored(connection: sqlite3.Connection, identity: str, job: Job, *, here: bool) -> None:
    """The row went back to what an earlier attempt was paid for: it is done if its video is here, else rendered."""
    why = f"its row is again what {identity} was made from, which is paid"
    move(
        connection,
        job.external_task_id,
        JobState.DONE if here else JobState.RENDERED,
        why,
        attempt_id=identity,
    )
    connection.execute(
        "UPDATE jobs SET current = ?, changed = '[]', mode = ?, watermark = ? WHERE external_task_id = ?",
        (identity, *paid_columns(job), job.external_task_id),
    )
    if not here:  # captions that lie there are of another version
        captioned(connection, job.external_task_id, None)


def kept(connection: sqlite3.Connection, keeping: Keeping) -> None:
    """rendered -> done: the video is on disk, verified. From done or expired: fetched after all, or once more."""
    now = now_text()
    stand = stand_of(connection, keeping.attempt_id)
    move(
        connection,
        stand.external_task_id,
        JobState.DONE,
        f"the video is at {keeping.file}",
        attempt_id=keeping.attempt_id,
        stands=stand.state,
        columns={
            "file": keeping.file,
            "watermark_file": keeping.watermark_file,
            "sha256": keeping.sha256,
            "bytes": keeping.bytes,
            "fetched_at": now,
        },
        at=now,
    )
    connection.execute(
        "UPDATE attempts SET video_seconds = ? WHERE attempt_id = ?",
        (str(keeping.video_seconds), keeping.attempt_id),
    )


def expired(connection: sqlite3.Connection, identity: str, why: str) -> None:
    """rendered or done -> expired: it was paid for, and neither the service nor this disk has it any more."""
    attempt = attempt_of(connection, identity)
    move(connection, attempt.external_task_id, JobState.EXPIRED, why, attempt_id=identity)
    connection.execute(
        "UPDATE jobs SET file = NULL, watermark_file = NULL, captions_file = NULL, sha256 = NULL, bytes = NULL,"
        " fetched_at = NULL"
        " WHERE external_task_id = ?",
        (attempt.external_task_id,),
    )


def captioned(connection: sqlite3.Connection, external_task_id: str, file: str | None) -> None:
    """The captions of a job's video are on disk; None: they are not wanted, or not there, any more."""
    connection.execute(
        "UPDATE jobs SET captions_file = ? WHERE external_task_id = ?", (file, external_task_id)
    )
