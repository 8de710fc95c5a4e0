"""All SQL of the sandbox: its tasks, its media, its speeches and where their results lie, in one SQLite file.

One connection, used by one thread (the event loop's). Every method is one short transaction. Times are wall clock
milliseconds, given by the caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from manifest_runner.errors import NeedsPerson
from manifest_runner.models import Box, Mode, ServiceStatus, Units
from manifest_runner.sandbox.folders import secure_database
from manifest_runner.sandbox.rules import MAX_COORDINATE
from manifest_runner.sandbox.schema import prepare
from manifest_runner.sandbox.task import MediaFacts, NewTask, ResultRole, Task

MAX_SECONDS = 86_400
_STATUSES = {status.value: status for status in ServiceStatus}
_MODES = {mode.value: mode for mode in Mode}
LIVE = "status IN ('submitted', 'processing')"
# In the order in which `_task` takes them.
_COLUMNS = (
    "task_id, external_task_id, status, status_message, mode, prompt, watermark, callback_url,"
    " image_key, audio_key, audio_format, seconds, wait_ms, units, created_ms, updated_ms, mouth"
)
_SELECT_TASKS = f"SELECT {_COLUMNS} FROM tasks"  # noqa: S608 our own names, as in all that follow
_INSERT_TASK = f"INSERT INTO tasks ({_COLUMNS}) VALUES ({', '.join('?' * 17)}) RETURNING {_COLUMNS}"  # noqa: S608
_START_TASK = (
    "UPDATE tasks SET status = 'processing', updated_ms = max(updated_ms, ?)"  # noqa: S608
    f" WHERE task_id = ? AND status = 'submitted' RETURNING {_COLUMNS}"
)
_END_TASK = (
    "UPDATE tasks SET status = ?, status_message = ?, units = ?, updated_ms = max(updated_ms, ?)"  # noqa: S608
    f" WHERE task_id = ? RETURNING {_COLUMNS}"
)


class DuplicateId(Exception):
    """The external_task_id exists in the account."""


class SlotsTaken(Exception):
    """As many tasks as the account has slots are under way."""


class Store:
    """Opened by `open_store`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def add_task(self, new: NewTask, *, slots: int, now_ms: int) -> Task:
        """Check the id, then the slots, then insert: in one transaction, so of two at once only one can win."""
        order = new.order
        with self._transaction():
            same = "SELECT 1 FROM tasks WHERE external_task_id = ?"
            if (
                order.external_task_id is not None
                and self._db.execute(same, [order.external_task_id]).fetchone()
            ):
                raise DuplicateId
            if self._count_live() >= slots:
                raise SlotsTaken
            values = (
                self._new_id(now_ms),
                order.external_task_id,
                ServiceStatus.SUBMITTED,
                "",
                order.mode,
                order.prompt,
                order.watermark,
                order.callback_url,
                new.image.key,
                new.audio.key,
                new.audio.format,
                str(new.audio.seconds),
                new.wait_ms,
                None,
                now_ms,
                now_ms,
                _box_text(order.mouth),
            )
            return _task(self._db.execute(_INSERT_TASK, values).fetchone())

    def find_task(self, any_id: str) -> Task | None:
        """By the service's id, or by the customer's."""
        row = None
        if any_id.isascii() and any_id.isdigit() and len(any_id) == 18:
            row = self._db.execute(f"{_SELECT_TASKS} WHERE task_id = ?", [int(any_id)]).fetchone()
        if row is None:
            row = self._db.execute(f"{_SELECT_TASKS} WHERE external_task_id = ?", [any_id]).fetchone()
        return None if row is None else _task(row)

    def list_tasks(self, *, page: int, size: int) -> list[Task]:
        """Newest first; pages count from 1."""
        query = f"{_SELECT_TASKS} ORDER BY task_id DESC LIMIT ? OFFSET ?"
        return [_task(row) for row in self._db.execute(query, [size, (page - 1) * size])]

    def unfinished_tasks(self) -> list[Task]:
        return [_task(row) for row in self._db.execute(f"{_SELECT_TASKS} WHERE {LIVE} ORDER BY task_id")]

    def start_task(self, task_id: int, *, now_ms: int) -> Task | None:
        """None for a task that was begun before."""
        row = self._db.execute(_START_TASK, [now_ms, task_id]).fetchone()
        return None if row is None else _task(row)

    def fail_task(self, task_id: int, message: str, *, now_ms: int) -> Task:
        """A failed task deducts nothing."""
        return self._end(task_id, ServiceStatus.FAILED, message, None, now_ms)

    def finish_task(
        self, task_id: int, units: Units, results: Mapping[ResultRole, tuple[str, str]], *, now_ms: int
    ) -> Task:
        """`results`: for each role a token and the file's path inside the state folder."""
        with self._transaction():
            self._add_results(task_id, results, now_ms)
            return self._end(task_id, ServiceStatus.SUCCEED, "", str(units), now_ms)

    def _end(self, task_id: int, status: ServiceStatus, message: str, units: str | None, now_ms: int) -> Task:
        return _task(self._db.execute(_END_TASK, [status, message, units, now_ms, task_id]).fetchone())

    def _count_live(self) -> int:
        return int(self._db.execute(f"SELECT count(*) FROM tasks WHERE {LIVE}").fetchone()[0])  # noqa: S608 a constant

    def result_tokens(self, owners: Sequence[int], *, since_ms: int) -> dict[int, dict[ResultRole, str]]:
        """The tokens of results made after `since_ms`, for each of these tasks that has any."""
        found: dict[int, dict[ResultRole, str]] = {}
        marks = ", ".join("?" * len(owners))
        query = f"SELECT owner_id, role, token FROM results WHERE owner_id IN ({marks}) AND created_ms >= ?"  # noqa: S608 only marks
        for owner, role, token in self._db.execute(query, [*owners, since_ms]):
            found.setdefault(owner, {})[ResultRole(role)] = token
        return found

    def find_result(self, token: str, *, since_ms: int) -> str | None:
        """The file behind a token, as a path inside the state folder."""
        query = "SELECT file FROM results WHERE token = ? AND created_ms >= ?"
        row = self._db.execute(query, [token, since_ms]).fetchone()
        return None if row is None else str(row["file"])

    def drop_results(self, *, before_ms: int) -> None:
        with self._transaction():
            self._db.execute("DELETE FROM results WHERE created_ms < ?", [before_ms])

    def result_files(self) -> set[str]:
        """Every file that a result lies in, as paths inside the state folder."""
        return {row["file"] for row in self._db.execute("SELECT DISTINCT file FROM results")}

    def _add_results(self, owner: int, results: Mapping[ResultRole, tuple[str, str]], now_ms: int) -> None:
        rows = [(token, owner, role, file, now_ms) for role, (token, file) in results.items()]
        self._db.executemany("INSERT INTO results VALUES (?, ?, ?, ?, ?)", rows)

    def remember_media(self, kind: str, facts: MediaFacts, *, now_ms: int) -> None:
        with self._transaction():
            self._db.execute(
                "INSERT INTO media VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET used_ms = excluded.used_ms",
                [facts.key, kind, facts.format, str(facts.seconds), now_ms],
            )

    def find_media(self, kind: str, key: str) -> MediaFacts | None:
        row = self._db.execute("SELECT * FROM media WHERE key = ? AND kind = ?", [key, kind]).fetchone()
        return None if row is None else _media(row)

    def drop_media(self, *, before_ms: int, speeches_before_ms: int) -> list[str]:
        """Forget media that no unfinished task and no speech of this age needs; their keys, for deletion."""
        with self._transaction():
            rows = self._db.execute(
                f"DELETE FROM media WHERE used_ms < ?"  # noqa: S608 a constant
                f" AND key NOT IN (SELECT image_key FROM tasks WHERE {LIVE})"
                f" AND key NOT IN (SELECT audio_key FROM tasks WHERE {LIVE})"
                " AND key NOT IN (SELECT media_key FROM speeches WHERE created_ms >= ?) RETURNING key",
                [before_ms, speeches_before_ms],
            ).fetchall()
        return [row["key"] for row in rows]

    def add_speech(self, media_key: str, units: Units, token: str, file: str, *, now_ms: int) -> int:
        """A new audio id: each call is a speech of its own, and paid for."""
        with self._transaction():
            audio_id = self._new_id(now_ms)
            self._db.execute(
                "INSERT INTO speeches VALUES (?, ?, ?, ?)", [audio_id, media_key, str(units), now_ms]
            )
            self._add_results(audio_id, {ResultRole.AUDIO: (token, file)}, now_ms)
        return audio_id

    def find_speech(self, audio_id: str, *, since_ms: int) -> MediaFacts | None:
        """The recording behind an audio id, unless it was made before `since_ms`."""
        if not (audio_id.isascii() and audio_id.isdigit() and len(audio_id) == 18):
            return None
        row = self._db.execute(
            "SELECT media.* FROM speeches JOIN media ON media.key = media_key WHERE audio_id = ? AND created_ms >= ?",
            [int(audio_id), since_ms],
        ).fetchone()
        return None if row is None else _media(row)

    def opened_ms(self) -> int:
        """When this account was first served."""
        return int(self._db.execute("SELECT opened_ms FROM account").fetchone()[0])

    def deducted(self) -> Units:
        """All units ever deducted. Summed outside SQL, whose sums are floats."""
        query = (
            "SELECT units, count(*) AS n FROM"
            " (SELECT units FROM tasks WHERE units IS NOT NULL UNION ALL SELECT units FROM speeches) GROUP BY units"
        )
        return sum((Decimal(row["units"]) * row["n"] for row in self._db.execute(query)), Decimal(0))

    def _new_id(self, now_ms: int) -> int:
        """18 digits that only ever rise, even when the clock is set back: newest first is highest first."""
        rise = "UPDATE ids SET last = max(last + 1, ?) RETURNING last"
        return int(self._db.execute(rise, [now_ms * 100_000]).fetchone()["last"])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


@contextmanager
def open_store(path: Path, *, now_ms: int, hasty: bool = False) -> Iterator[Store]:
    """Open, or make, the sandbox's file; `hasty` as for `prepare`. Raises NeedsPerson when it can't be used."""
    try:
        secure_database(path)
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            prepare(connection, path, now_ms, hasty=hasty)
            yield Store(connection)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise NeedsPerson(
            f"The sandbox can't use {path}: {error}.", mend="Move the file away to begin anew."
        ) from None


def _task(row: sqlite3.Row) -> Task:
    try:
        (
            task_id,
            external_task_id,
            status,
            status_message,
            mode,
            prompt,
            watermark,
            callback_url,
            image_key,
            audio_key,
            audio_format,
            seconds,
            wait_ms,
            units,
            created_ms,
            updated_ms,
            mouth,
        ) = row  # a name would be looked for among all the others, for each field of each row of a list
        return Task(
            task_id=task_id,
            external_task_id=external_task_id,
            status=_STATUSES[status],
            status_message=status_message,
            mode=_MODES[mode],
            prompt=prompt,
            watermark=bool(watermark),
            callback_url=callback_url,
            image_key=image_key,
            audio_key=audio_key,
            audio_format=audio_format,
            seconds=_seconds(seconds),
            wait_ms=wait_ms,
            units=None if units is None else Decimal(units),
            created_ms=created_ms,
            updated_ms=updated_ms,
            mouth=_box(mouth),
        )
    except (KeyError, TypeError, ValueError, ArithmeticError):
        raise sqlite3.DatabaseError("a task in it can't be read") from None


def _box_text(box: Box | None) -> str | None:
    return None if box is None else f"{box.left} {box.top} {box.width} {box.height}"


def _box(text: str | None) -> Box | None:
    if text is None:
        return None
    left, top, width, height = (int(number) for number in text.split(" "))
    if min(left, top) < 0 or min(width, height) < 1 or max(left, top, width, height) > MAX_COORDINATE:
        raise ValueError("no part of a picture")
    return Box(left=left, top=top, width=width, height=height)


def _media(row: sqlite3.Row) -> MediaFacts:
    return MediaFacts(key=row["key"], format=row["format"], seconds=_seconds(row["seconds"]))


def _seconds(text: str) -> Decimal:
    """The file may have come from elsewhere: a length that no recording has would break whatever counts with it."""
    seconds = Decimal(text)
    if not 0 <= seconds < MAX_SECONDS:
        raise ValueError("no length of a recording")
    return seconds
