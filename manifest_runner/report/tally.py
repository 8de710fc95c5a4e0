"""Adding up a campaign line by line, so that memory does not grow with its number of jobs. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from manifest_runner.ledger import SpeechRecord
from manifest_runner.models import JobState, Mode, Units
from manifest_runner.report.lines import JobLine

MOST_GROUPS = 1000  # a service that puts an id into each message would make one of every job
OTHER_REASONS = "other reasons: see the report"
HELD_SHOWN = 3
MADE = (JobState.RENDERED, JobState.DONE, JobState.EXPIRED)
ENDED_BADLY = (JobState.FAILED, JobState.REJECTED, JobState.CONFLICT, JobState.EXPIRED)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModeTotals:
    """The jobs of one mode. Text-to-speech calls belong to no mode and are not in here."""

    jobs: int
    done: int
    units_deducted: Units
    units_estimated: Units
    video_seconds: Decimal


@dataclass(slots=True)
class Held:
    """Units that a budget sets aside for calls and tasks that are, or may be, at the service."""

    units: Units = Decimal(0)
    jobs: int = 0
    first_ids: list[str] = field(default_factory=list)

    def add(self, line: JobLine) -> None:
        if line.units_held:
            self.units += line.units_held
            self.jobs += 1
            if self.jobs <= HELD_SHOWN:
                self.first_ids.append(line.external_task_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """A campaign in figures. States and modes that don't occur are left out of the mappings."""

    jobs: int
    by_outcome: Mapping[JobState, int]
    unlisted: Counter[JobState]  # those of them that the manifest no longer names
    jobs_changed: int  # whose video is of an earlier version of their row
    by_mode: Mapping[Mode, ModeTotals]
    units_deducted: Units  # every figure the service gave, speech included; unknown ones are not in it
    units_estimated: Units
    made_and_estimated: int  # videos of which it is known what they were estimated at and what they cost
    made_units_estimated: Units  # what these were estimated at, most likely
    jobs_units_unknown: int
    held: Held
    speech_calls: int
    speech_units: Units
    speech_calls_lost: int  # no answer came: they may have been billed
    speeches_units_unknown: int  # an answer came, without a figure
    video_seconds: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureGroup:
    """Jobs that ended badly in the same way."""

    outcome: JobState
    message: str | None
    jobs: int
    first_id: str


@dataclass(slots=True)
class _ModeSums:
    jobs: int = 0
    done: int = 0
    units_deducted: Units = Decimal(0)
    units_estimated: Units = Decimal(0)
    video_seconds: Decimal = Decimal(0)

    def add(self, line: JobLine) -> None:
        self.jobs += 1
        self.done += line.outcome is JobState.DONE
        self.units_deducted += line.units_known
        self.units_estimated += line.units_estimated or Decimal(0)
        self.video_seconds += line.video_seconds or Decimal(0)

    def frozen(self) -> ModeTotals:
        return ModeTotals(
            jobs=self.jobs,
            done=self.done,
            units_deducted=self.units_deducted,
            units_estimated=self.units_estimated,
            video_seconds=self.video_seconds,
        )


@dataclass(slots=True)
class Tally:
    """Add every line and every spoken text, then ask for `totals()`, `failures()` and `var_names()`."""

    _outcomes: Counter[JobState] = field(default_factory=Counter)
    _unlisted: Counter[JobState] = field(default_factory=Counter)
    _jobs_changed: int = 0
    _modes: dict[Mode, _ModeSums] = field(default_factory=dict)
    _made_and_estimated: int = 0
    _made_units_estimated: Units = Decimal(0)
    _jobs_units_unknown: int = 0
    _held: Held = field(default_factory=Held)
    _speech_calls: int = 0
    _speech_units: Units = Decimal(0)
    _speech_calls_lost: int = 0
    _speeches_units_unknown: int = 0
    _failures: Counter[tuple[JobState, str | None]] = field(default_factory=Counter)
    _first_ids: dict[tuple[JobState, str | None], str] = field(default_factory=dict)
    _var_names: dict[str, None] = field(default_factory=dict)  # a dict keeps the order of first sight

    def add(self, line: JobLine) -> None:
        self._outcomes[line.outcome] += 1
        if not line.listed:
            self._unlisted[line.outcome] += 1
        self._jobs_changed += bool(line.changed) and line.outcome is JobState.DONE
        self._modes.setdefault(line.mode, _ModeSums()).add(line)
        self._jobs_units_unknown += line.units_unknown
        self._held.add(line)
        if line.outcome in MADE and not line.units_unknown and line.units_estimated is not None:
            self._made_and_estimated += 1
            self._made_units_estimated += line.units_estimated
        self._var_names.update(dict.fromkeys(line.vars))
        if line.listed and line.outcome in ENDED_BADLY:
            group = (line.outcome, line.message)
            if group not in self._failures and len(self._failures) >= MOST_GROUPS:
                group = (line.outcome, OTHER_REASONS)
            self._failures[group] += 1
            self._first_ids.setdefault(group, line.external_task_id)

    def add_speech(self, speech: SpeechRecord) -> None:
        """Text-to-speech calls belong to no line: texts are shared."""
        self._speech_calls += speech.calls
        self._speech_units += speech.units_deducted or Decimal(0)
        self._speech_calls_lost += speech.calls_lost
        self._speeches_units_unknown += speech.figureless

    def totals(self) -> Totals:
        """The sums of what was added so far."""
        modes = {mode: self._modes[mode].frozen() for mode in Mode if mode in self._modes}
        return Totals(
            jobs=self._outcomes.total(),
            by_outcome={state: self._outcomes[state] for state in JobState if state in self._outcomes},
            unlisted=self._unlisted,
            jobs_changed=self._jobs_changed,
            by_mode=modes,
            units_deducted=_sum(mode.units_deducted for mode in modes.values()) + self._speech_units,
            units_estimated=_sum(mode.units_estimated for mode in modes.values()),
            made_and_estimated=self._made_and_estimated,
            made_units_estimated=self._made_units_estimated,
            jobs_units_unknown=self._jobs_units_unknown,
            held=self._held,
            speech_calls=self._speech_calls,
            speech_units=self._speech_units,
            speech_calls_lost=self._speech_calls_lost,
            speeches_units_unknown=self._speeches_units_unknown,
            video_seconds=_sum(mode.video_seconds for mode in modes.values()),
        )

    def failures(self) -> tuple[FailureGroup, ...]:
        """The most frequent first; the order of the manifest among equals."""
        return tuple(
            FailureGroup(
                outcome=outcome, message=message, jobs=jobs, first_id=self._first_ids[outcome, message]
            )
            for (outcome, message), jobs in self._failures.most_common()
        )

    def var_names(self) -> tuple[str, ...]:
        """Every name that occurs among the vars, in the order of first sight."""
        return tuple(self._var_names)


def _sum(figures: Iterable[Decimal]) -> Decimal:
    """A Decimal also for nothing at all: sum() alone would answer the int 0."""
    return sum(figures, Decimal(0))
