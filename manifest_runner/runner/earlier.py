"""What earlier runs left that this one has to reckon with: units that are set aside, and the key they sent with."""

from __future__ import annotations

from decimal import Decimal

from manifest_runner.errors import NeedsPerson
from manifest_runner.ledger import Ledger, flight, queries
from manifest_runner.models import JobState, Manifest, Units
from manifest_runner.runner.budget import Budget
from manifest_runner.runner.decide import UNDER_WAY, Action
from manifest_runner.runner.plan import Plan
from manifest_runner.runner.step import Step


def budget_of(manifest: Manifest, plan: Plan, ledger: Ledger) -> Budget:
    """The campaign's budget, with what is spent and reserved already.

    A call that was given up and may still have arrived counts with the units set aside for it. Where this run asks
    what became of it, it is settled like one of its own.
    """
    campaign = manifest.campaign
    spent = ledger.read(queries.spend, campaign)
    in_flight = ledger.read(flight.units_in_flight, campaign)
    late = ledger.read(flight.units_that_may_be_owed, campaign)
    held: dict[str, Units] = {}
    dormant: set[str] = set()
    if late:  # else nobody has to go through what is sent
        for step in plan.steps(Action.SEND, Action.RESOLVE):
            if step.external_task_id in late:
                held[step.external_task_id] = late[step.external_task_id]
                if step.action is Action.SEND:
                    dormant.add(step.external_task_id)
    committed = spent.committed + sum(late.values(), Decimal(0))
    # What may become of those that are asked about is counted in the plan.
    asked = {step.external_task_id for step in plan.steps(Action.RESOLVE)}
    carried = sum((units for key, units in in_flight.items() if key not in asked), Decimal(0))
    return Budget(manifest.budget_units, committed, in_flight | held, dormant, carried)


def refuse_other_key(plan: Plan, ledger: Ledger, campaign: str, key_id: str) -> None:
    """Another account does not know what was sent: it would say "not there", and the job be paid again or given up."""
    if not ledger.read(flight.sent_with_another_key, campaign, key_id):
        return
    count, first = 0, ""
    for step in plan.steps(Action.SEND, *UNDER_WAY):
        if _asks_for_what_was_sent(step) and step.attempt and step.attempt.key_id not in (None, key_id):
            count, first = count + 1, first or step.external_task_id
    if count:
        many = "s were" if count > 1 else " was"
        raise NeedsPerson(
            f"{count} job{many} sent with another key (the first is {first}). Only that key's account can tell what "
            "became of it.",
            mend="Run again with that key; or, if this one is of the same account, with --same-account.",
        )


def _asks_for_what_was_sent(step: Step) -> bool:
    if step.action is Action.SEND and step.record is not None and step.attempt is not None:
        expired = step.record.state is JobState.EXPIRED  # it is asked for its result once more
        return expired or step.may_have_arrived
    return step.action in UNDER_WAY and not step.here
