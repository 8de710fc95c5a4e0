"""The budget: never passed, even with many attempts in flight.

Before a create call its high estimate is reserved; when its task has ended, the reservation gives way to what the
service deducted. A deduction that the service does not report keeps its reservation: the worst case counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from decimal import Decimal

from manifest_runner.errors import BudgetReached
from manifest_runner.models import Units, units_text


class Budget:
    """`limit` None is no budget; `committed` is what the campaign has spent or reserved before this run
    (`spent_before` of it is spent, and `carried` reserved for tasks that this run only has to wait for).

    Reservations of attempts that earlier runs left in flight are part of `committed`, and named in `in_flight`
    so that they are settled like this run's own. So are those of calls that may still turn out to have arrived; of
    these, nothing becomes of the `dormant` ones before their jobs have their turn.
    """

    def __init__(
        self,
        limit: Units | None,
        committed: Units,
        in_flight: dict[str, Units] | None = None,
        dormant: Collection[str] = (),
        carried: Units = Decimal(0),
    ) -> None:
        self.limit = limit
        self.carried = carried
        self._reserved: dict[str, Units] = dict(in_flight or {})
        self._spent = self.spent_before = committed - sum(self._reserved.values(), Decimal(0))
        self._dormant = set(dormant)
        self._closed = False
        self._changed = asyncio.Event()
        self.when_settled: Callable[[], object] = lambda: None  # called when units may have come free

    @property
    def committed(self) -> Units:
        return self._spent + sum(self._reserved.values(), Decimal(0))

    @property
    def spent(self) -> Units:
        """What has ended and left no reservation: as the service told it, or its worst case where it did not."""
        return self._spent

    async def reserve(self, external_task_id: str, units: Units, *, told_of: str | None = None) -> None:
        """Set `units` aside for this job, waiting for room as `room_for` does.

        `told_of`: the job that is told of where there is no room, if what is reserved is not its own video.
        """
        await self.room_for(external_task_id, units, told_of=told_of)
        self.hold(external_task_id, units)

    async def room_for(self, external_task_id: str, units: Units, *, told_of: str | None = None) -> None:
        """Wait while reservations of others may still turn out lower, until `units` fit; they are not set aside.

        Raises BudgetReached when nothing is in flight any more and they still don't. Jobs ask in turn: of the dormant
        ones nothing is to be hoped for meanwhile.
        """
        while not self.fits(external_task_id, units):
            if self._closed or not self._reserved.keys() - self._dormant - {external_task_id}:
                raise self._reached(external_task_id, units, told_of or external_task_id)
            self._changed.clear()
            await self._changed.wait()

    def fits(self, external_task_id: str, units: Units) -> bool:
        """Whether so many are left for this job, beside what is committed to others."""
        return self.limit is None or self._beside(external_task_id) + units <= self.limit

    def _reached(self, external_task_id: str, units: Units, told_of: str) -> BudgetReached:
        held = self._beside(external_task_id) - self._spent
        return BudgetReached(
            f"The budget of {units_text(self.limit or Decimal(0))} units has no room for job {told_of}, which "
            f"may need {units_text(units)}: {units_text(self._spent)} are spent"
            f"{f', and {units_text(held)} held back for others' if held else ''}.",
            mend="Raise budget_units, or give what matters most a higher priority; then run the same command again.",
        )

    def close(self) -> None:
        """Nothing more is sent: nobody need wait any longer."""
        self._closed = True
        self._changed.set()

    def _beside(self, external_task_id: str) -> Units:
        """What is committed to everything but this job."""
        return self.committed - self._reserved.get(external_task_id, Decimal(0))

    def hold(self, external_task_id: str, units: Units) -> None:
        """Set aside what is owed already, budget or not: the service has the task."""
        self._reserved[external_task_id] = units
        self._dormant.discard(external_task_id)

    def settle(self, external_task_id: str, deducted: Units | None) -> None:
        """The attempt ended: count what was deducted, or the whole reservation where no figure came."""
        self._dormant.discard(external_task_id)
        reserved = self._reserved.pop(external_task_id, Decimal(0))
        self._spent += reserved if deducted is None else deducted
        self._changed.set()
        self.when_settled()

    def give_up(self, external_task_id: str, *, may_be_owed: bool) -> None:
        """Nothing becomes of it in this run. `may_be_owed`: an earlier call may yet turn out to have arrived."""
        self.settle(external_task_id, None if may_be_owed else Decimal(0))

    def release(self, external_task_id: str) -> None:
        """Nothing was created: give the reservation back."""
        self.settle(external_task_id, Decimal(0))
