"""The ledger: one local SQLite file, the only truth about what was sent, answered, fetched and deducted.

All SQL of the runner is in this package.
"""

from manifest_runner.ledger import (
    adoption,
    enrolment,
    flight,
    limits,
    ownership,
    queries,
    results,
    speeches,
    writes,
)
from manifest_runner.ledger.connection import RESTORE, open_for_reading
from manifest_runner.ledger.ledger import Ledger, open_ledger
from manifest_runner.ledger.records import AttemptRecord, EventRecord, JobRecord, Owner
from manifest_runner.ledger.speeches import SpeechRecord

__all__ = [
    "RESTORE",
    "AttemptRecord",
    "EventRecord",
    "JobRecord",
    "Ledger",
    "Owner",
    "SpeechRecord",
    "adoption",
    "enrolment",
    "flight",
    "limits",
    "open_for_reading",
    "open_ledger",
    "ownership",
    "queries",
    "results",
    "speeches",
    "writes",
]
