"""What a person is told of jobs that look renamed (`runner.renamed`), before they are paid for once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from manifest_runner.cli.costing import units_range
from manifest_runner.models import units_text

if TYPE_CHECKING:
    from manifest_runner.runner.renamed import Renamed, Twin

SHOWN = 5


def renaming_lines(found: Renamed, campaign: str) -> list[str]:
    """Nothing where nothing looks renamed."""
    return [*_gone(found), *_twins(found, campaign)]


def renaming_value(found: Renamed) -> dict[str, Any]:
    """The same for `--json`, with every row."""
    return {
        "no_longer_named": {"count": found.gone, "first": list(found.first_gone)},
        "paid_before": {
            "count": len(found.twins),
            "units_estimated": {"low": units_text(found.low), "high": units_text(found.high)},
            "jobs": [
                {
                    "external_task_id": twin.external_task_id,
                    "paid_as": twin.paid_as,
                    "campaign": twin.campaign,
                    "file": twin.file,
                }
                for twin in found.twins
            ],
        },
    }


def _gone(found: Renamed) -> list[str]:
    if not found.gone:
        return []
    jobs = "1 job with a paid video is" if found.gone == 1 else f"{found.gone:,} jobs with paid videos are"
    return [
        f"{jobs} no longer in the manifest: {', '.join(found.first_gone)}{_more(found.gone - len(found.first_gone))}. "
        "Their videos stay where they are."
    ]


def _twins(found: Renamed, campaign: str) -> list[str]:
    if not (count := len(found.twins)):
        return []
    rows = "1 row that would be sent asks" if count == 1 else f"{count:,} rows that would be sent ask"
    cost = units_range(found.low, found.high)
    return [
        f"Paid before: {rows} for exactly what was paid for under another id; it would cost {cost} units once more:",
        *(f"  {_twin(twin, campaign)}" for twin in found.twins[:SHOWN]),
        *([f" {_more(count - SHOWN)}"] if count > SHOWN else []),
        _mend(found, campaign),
    ]


def _mend(found: Renamed, campaign: str) -> str:
    others = sorted({twin.campaign for twin in found.twins} - {campaign})
    renamed = f" (or the campaign: go on with `--campaign {others[0]}`)" if others else ""
    return (
        f"If the ids were changed, give the rows their old ones back{renamed}: nothing is sent for them then. "
        "Go on if you do want these videos twice."
    )


def _twin(twin: Twin, campaign: str) -> str:
    of = f" of the campaign {twin.campaign}" if twin.campaign != campaign else ""
    return f"{twin.external_task_id}: paid as {twin.paid_as}{of} ({twin.file or 'its video is not here'})"


def _more(count: int) -> str:
    return f" and {count:,} more" if count > 0 else ""
