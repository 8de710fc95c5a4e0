"""A plan that is nothing but a list of steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from manifest_runner.runner.decide import Action
from manifest_runner.runner.plan import Step


class ListedPlan:
    """What a run asks of a plan. `made` counts the steps that were asked for so far."""

    def __init__(self, *steps: Step) -> None:
        self._steps = steps
        self.counts = Counter(step.action for step in steps)
        self.made: Counter[Action] = Counter()

    def steps(self, *actions: Action) -> Iterator[Step]:
        for step in self._steps:
            if not actions or step.action in actions:
                self.made[step.action] += 1
                yield step
