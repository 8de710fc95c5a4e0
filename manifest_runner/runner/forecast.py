"""What a real run would cost, from its plan and from what a rehearsal has shown. Pure; an estimate, not a bill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from manifest_runner.media import DEFAULT_RATES, estimate
from manifest_runner.models import Rates, Units
from manifest_runner.runner.plan import Plan
from manifest_runner.runner.speak import speech_key
from manifest_runner.runner.step import Step

NOTHING = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsed:
    """What became of one job in the rehearsal: `units` 0 and no video for one that was refused or failed."""

    video: bool
    seconds: Decimal | None
    units: Units


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """Of a real run with an empty ledger.

    `low` and `high` are the plan's, for `videos` jobs. `rehearsed` is what the sandbox deducted for the `previews`
    that there are, each once, with the texts that are spoken for them. `affordable`: how many videos the budget lets
    through, and `left`: what would be left of it; None without a budget.
    """

    videos: int
    low: Units
    high: Units
    previews: int
    rehearsed: Units
    affordable: int | None = None
    left: Units | None = None

    @property
    def stops(self) -> bool:
        """Whether the budget ends the run before everything was sent."""
        return self.affordable is not None and self.affordable < self.videos


def forecast(
    plan: Plan,
    rehearsed: Mapping[str, Rehearsed],
    budget: Units | None,
    *,
    rates: Rates = DEFAULT_RATES,
) -> Forecast:
    """`plan` is that of a run that has sent nothing yet."""
    previews, units, texts = 0, NOTHING, set[str]()
    for step in plan.steps():
        if (one := rehearsed.get(step.external_task_id)) and one.video:
            previews, units = previews + 1, units + one.units
            if (text := _text(step)) is not None:
                texts.add(text)
    sent, left = (
        (None, None) if budget is None else spent_in_turn(plan.steps(), budget, rehearsed, rates=rates)
    )
    return Forecast(
        videos=len(plan),
        low=plan.low,
        high=plan.high,
        previews=previews,
        rehearsed=units + len(texts) * rates.speech,
        affordable=sent,
        left=left,
    )


def spent_in_turn(
    steps: Iterable[Step],
    budget: Units,
    rehearsed: Mapping[str, Rehearsed] = MappingProxyType({}),
    *,
    rates: Rates = DEFAULT_RATES,
) -> tuple[int, Units]:
    """How many of these the budget lets through, and what is left of it then.

    As a run does it: the worst case is set aside before a call, and gives way to what the call deducted.
    """
    left, sent, texts = budget, 0, set[str]()
    for step in steps:
        one = rehearsed.get(step.external_task_id)
        text = _text(step)
        speech = rates.speech if text is not None and text not in texts else NOTHING
        worst, likely = _call(step, one, rates)
        if speech + worst > left:
            return sent, left
        left -= speech + likely
        sent += 1
        if text is not None:
            texts.add(text)
    return sent, left


def _call(step: Step, one: Rehearsed | None, rates: Rates) -> tuple[Units, Units]:
    """The worst case and the likely cost of the create call alone."""
    if step.job is None or step.estimate is None:
        return NOTHING, NOTHING
    seconds = (one.seconds if one else None) or (step.media.seconds if step.media else None)
    by_url = (
        step.media is not None and step.media.sound_passed_on
    )  # a run holds the worst back, whatever was seen
    if seconds is not None and not by_url:
        worst = estimate(step.job.mode, seconds, speech=False, rates=rates).high
    else:
        worst = step.estimate.high - (rates.speech if step.job.speech else NOTHING)
    if one is not None:
        return worst, one.units
    expected = step.estimate.expected
    speech = rates.speech if step.job.speech else NOTHING
    return worst, worst if expected is None else expected - speech


def _text(step: Step) -> str | None:
    return speech_key(step.job.speech) if step.job is not None and step.job.speech is not None else None
