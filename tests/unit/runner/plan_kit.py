"""A plan that is nothing but a list of steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from manifest_runner.media import DEFAULT_RATES
from manifest_runner.models import utc_now
from manifest_runner.runner.decide import Action
from manifest_runner.runner.step import Step, Terms


class ListedPlan:
    """What a run asks of a plan. `made` counts the steps that were asked for so far."""

    def __init__(self, *steps: Step) -> None:
        self._steps = steps
        self.terms = Terms(rates=DEFAULT_RATES, now=utc_now())
        self.counts = Counter(step.action for step in steps)
        self.made: Counter[Action] = Counter()

    def steps(self, *actions: Action) -> Iterator[Step]:
        for step in self._steps:
            if not actions or step.action in actions:
                self.made[step.action] += 1
                yield step
