"""A plan's rows, side by side: a few bytes for each, and the order in which a run takes them."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping

from manifest_runner.media import Estimate
from manifest_runner.models import Units
from manifest_runner.runner.decide import Action
from manifest_runner.runner.step import Step

NEW, MISSING, ALTERED, LATE = 1, 2, 4, 8  # what was seen of a row when it was planned
NOTHING = 0  # in place of what is asked for
ACTIONS = tuple(Action)
NUMBERS = {action: number for number, action in enumerate(ACTIONS)}
TURN = {
    Action.FETCH: 0,  # paid, and the service deletes it one day
    Action.RESTORE: 0,
    Action.WATCH: 1,
    Action.RESOLVE: 2,
    Action.SEND: 3,
    Action.HOLD: 4,
    Action.SKIP: 5,
}

_json = json.JSONEncoder(sort_keys=True).encode  # as the ledger writes it


class Rows:
    """A plan's rows that are not done, side by side, in the order they were taken."""

    def __init__(self) -> None:
        self.places = array("q")  # in the manifest; below zero, among the orphans
        self.actions = bytearray()
        self.seen = bytearray()
        self.asked = array("q")  # NOTHING where nothing is sent
        self.expected: list[Units | None] = []
        self._changed = bytearray()
        self._kinds: list[tuple[str, ...]] = [()]  # of changes: few, whatever the number of rows
        self._costs: dict[Units | None, Units | None] = {}  # nor are there many of these: each is kept once
        self._keys = array("d")
        self._priorities = array("i")
        self._order: array[int] | None = None

    def add(self, step: Step, place: int, seen: int) -> None:
        self._order = None
        self.places.append(place)
        self.actions.append(NUMBERS[step.action])
        self.seen.append(seen)
        sent = step.media if step.action is Action.SEND else None
        self.asked.append(asked_for(sent.fingerprint_parts) if sent else NOTHING)
        expected = step.estimate.expected if step.estimate else None
        self.expected.append(self._costs.setdefault(expected, expected))
        self._changed.append(self._kind(step.changed))
        self._keys.append(_key(step))
        self._priorities.append(step.job.priority if step.job else 0)

    def changed_at(self, row: int) -> tuple[str, ...]:
        return self._kinds[self._changed[row]]

    def _kind(self, changed: tuple[str, ...]) -> int:
        if changed not in self._kinds:
            self._kinds.append(changed)
        return self._kinds.index(changed)

    def in_turn(self) -> Iterator[int]:
        """The rows' numbers, in the order of a run. Each sort keeps what the one before has done among equals."""
        if self._order is None:
            order = sorted(range(len(self.places)), key=self._keys.__getitem__)
            order.sort(key=self._priorities.__getitem__, reverse=True)
            # What an earlier call may have paid for already is asked about before the rest is sent.
            order.sort(key=lambda row: not self.seen[row] & LATE)
            order.sort(key=[TURN[ACTIONS[number]] for number in self.actions].__getitem__)
            self._order = array("q", order)
        return iter(self._order)


def asked_for(parts: Mapping[str, str]) -> int:
    """Stands for the parts of a fingerprint in this process, as the hash of the text that the ledger has of them: of a
    hundred thousand rows these fit into memory, and the ledger's need not be parsed."""
    return hash(_json(dict(parts)))


def _key(step: Step) -> float:
    """What comes first among steps of one turn: the lowest."""
    if step.action in (Action.FETCH, Action.RESTORE):
        ended = step.attempt.ended_at if step.attempt else None
        return ended.timestamp() if ended else 0.0
    return -float(likely(step.estimate)) if step.estimate else 0.0


def likely(estimate: Estimate) -> Units:
    """At the most, where the length is not known."""
    return estimate.high if estimate.expected is None else estimate.expected
