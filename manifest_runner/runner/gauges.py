"""What a run shows of itself while it goes on: written by its parts, read by whoever displays it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from manifest_runner.runner.budget import Budget
    from manifest_runner.runner.slots import Slots
    from manifest_runner.service import AvatarClient


@dataclass(slots=True)
class Arrivals:
    """The callbacks that came in: how many were taken, and how many refused, by the reason."""

    taken: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def took(self) -> None:
        self.taken += 1


@dataclass(slots=True)
class Gauges:
    """None until the run has them."""

    slots: Slots | None = None
    budget: Budget | None = None
    client: AvatarClient | None = None
    bytes_received: int = 0  # of videos
    arrivals: Arrivals | None = None  # where callbacks are received

    @property
    def service_calls(self) -> int:
        """To the API, of any kind."""
        return self.client.calls if self.client else 0

    def received(self, count: int) -> None:
        """So many bytes of video came in."""
        self.bytes_received += count
