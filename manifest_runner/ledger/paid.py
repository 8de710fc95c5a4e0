"""What the ledger's videos were made from, for whoever is about to pay for one of them once more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator


def made_from(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Each call that was paid for, or may yet be: whose job it was, and the parts of its fingerprint as JSON.

    Of every campaign; row by row, since there may be very many. The column `fingerprint` is not asked: of a task that
    was found after its row had been edited, it is that of the edited row.
    """
    cursor = connection.cursor()
    cursor.row_factory = None
    yield from cursor.execute(
        "SELECT external_task_id, fingerprint_parts FROM attempts WHERE fingerprint_parts != '{}'"
        " AND CASE WHEN task_id IS NULL THEN code IS NULL ELSE service_status IS NOT 'failed' END"
    )
