"""What a run is told of callbacks: where they go, where they come in, and how many came."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from manifest_runner.runner.doorway import Address
    from manifest_runner.runner.gauges import Arrivals
    from manifest_runner.runner.options import Listen


@dataclass(frozen=True, kw_only=True, slots=True)
class Callbacks:
    """`url` and `listen` are for RunOptions; `notes` for the person; the rest is for a sandbox that the run starts."""

    url: str | None = None
    listen: Listen | None = None
    notes: tuple[str, ...] = ()
    receiver: tuple[str, int] | None = None  # host and port
    secrets: tuple[str, ...] = field(default=(), repr=False)
    address: Address | None = None  # to listen on
    arrivals: Arrivals | None = None  # counted while there is listening

    def prove_free(self) -> None:
        """Raises UsageError when nothing can be received there: before anything is said or sent."""
        from manifest_runner.runner.doorway import prove_free

        if self.address is not None:
            prove_free(self.address)


NO_CALLBACKS = Callbacks()
