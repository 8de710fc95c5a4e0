"""Where references to media are handed in: the work on each distinct file starts once, and its findings stay here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from manifest_runner.errors import MediaError
from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.fit.recipes import AudioRecipe, ImageRecipe
from manifest_runner.media.limits import Objection
from manifest_runner.media.probe.look import Findings, file_key
from manifest_runner.media.source import Source, parse_reference
from manifest_runner.models import Fit, FitMode

Facts = TypeVar("Facts", ImageFacts, AudioFacts)
Recipe = TypeVar("Recipe", ImageRecipe, AudioRecipe)
Fitting = Callable[[Facts, Fit], tuple[Recipe | None, list[Objection]]]

_NO_FIT = Fit(FitMode.OFF)  # what a URL leads to is passed on as it is


class Answer(Generic[Facts]):
    """What a thread is still finding out, or has found. A Future is many times as large, and let go of."""

    __slots__ = ("_findings", "_future")

    def __init__(self, future: Future[Findings[Facts]] | None, findings: Findings[Facts] | None) -> None:
        self._future: Future[Findings[Facts]] | None = future
        self._findings: Findings[Facts] | None = findings

    def is_there(self) -> bool:
        return self._future is None or self._future.done()

    def findings(self) -> Findings[Facts]:
        """Waits for them."""
        if self._future is not None:
            self._findings, self._future = self._future.result(), None
        found: Findings[Facts] | None = self._findings
        if found is None:
            raise ValueError("nobody was asked")
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked(Generic[Facts, Recipe]):
    """What was found of one reference, held against what may be done to it."""

    facts: Facts | None
    recipe: Recipe | None
    passed_on: bool
    content: (
        str | None
    )  # the hash that stands for it; None for a URL, which stands for itself whatever it leads to
    objections: tuple[Objection, ...]
    warnings: tuple[Objection, ...]

    @property
    def plain(self) -> bool:
        """Whether there is nothing to be said of it."""
        return self.recipe is None and not self.objections and not self.warnings


class Desk(Generic[Facts, Recipe]):
    """Takes references of one kind, and hands out what is found of them."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        folder: Path,
        look: Callable[[Source], Findings[Facts]],
        fitting: Fitting[Facts, Recipe],
    ) -> None:
        self._pool = pool
        self._folder = folder
        self._look: Callable[[Source], Findings[Facts]] = look
        self._fitting: Fitting[Facts, Recipe] = fitting
        self._asked: dict[str, Answer[Facts]] = {}
        self._files: dict[Hashable, Answer[Facts]] = {}
        self._checked: dict[Fit, dict[str | None, Checked[Facts, Recipe]]] = {}
        self._fit = _NO_FIT  # the one that was asked for last: most jobs of a campaign have the same
        self._last: dict[str | None, Checked[Facts, Recipe]] = self._checked.setdefault(_NO_FIT, {})

    def ask(self, reference: str | None) -> Answer[Facts]:
        """The findings on `reference`, at some time. None is answered at once: there is nothing to look at."""
        if reference is None:
            return Answer(None, Findings())
        answer = self._asked.get(reference)  # the quick way for a file that thousands of jobs share
        if answer is None:
            answer = self._asked[reference] = self._ask_once(reference)
        return answer

    def ask_all(self, references: Iterable[str]) -> None:
        """Have them looked at, as far as nobody has asked yet."""
        for reference in dict.fromkeys(references):
            if reference not in self._asked:
                self.ask(reference)

    def known(self, reference: str | None, fit: Fit) -> Checked[Facts, Recipe] | None:
        """What is known of it, and will be done to it; None before it was looked at for such a job."""
        if fit is not self._fit:
            self._fit, self._last = fit, self._checked.setdefault(fit, {})
        return self._last.get(reference)

    def checked(self, reference: str | None, fit: Fit) -> Checked[Facts, Recipe]:
        """The same; waits until it was looked at."""
        found = self.known(reference, fit)
        if found is None:
            found = self._last[reference] = self._check(self.ask(reference).findings(), fit)
        return found

    def _ask_once(self, reference: str) -> Answer[Facts]:
        try:
            source = parse_reference(reference)
        except MediaError as error:
            objection = Objection(error.what, error.mend, "reference to nothing")
            return Answer(None, Findings(objections=(objection,)))
        key: Hashable = file_key(source, self._folder) or source
        if key not in self._files:
            self._files[key] = Answer(self._pool.submit(self._look, source), None)
        return self._files[key]

    def _check(self, found: Findings[Facts], fit: Fit) -> Checked[Facts, Recipe]:
        recipe: Recipe | None
        objections: list[Objection]
        recipe, objections = self._fitted(found, fit)
        return Checked(
            facts=found.facts,
            recipe=recipe,
            passed_on=found.passed_on,
            content=found.facts.sha256 if found.facts and not found.passed_on else None,
            objections=(
                *found.objections,
                *(one._replace(what=f"{found.label} {one.what}") for one in objections),
            ),
            warnings=found.warnings,
        )

    def _fitted(self, found: Findings[Facts], fit: Fit) -> tuple[Recipe | None, list[Objection]]:
        """What will be done to it, and what is against it. A URL is passed on as it is."""
        if found.facts is None:
            return None, []
        recipe: Recipe | None
        objections: list[Objection]
        recipe, objections = self._fitting(found.facts, _NO_FIT if found.passed_on else fit)
        if found.passed_on:
            return recipe, objections
        mended = objections and fit.mode is FitMode.OFF
        if mended and self._fitting(found.facts, replace(fit, mode=FitMode.AUTO))[0]:
            hint = "Or let it be made to fit: its row, or the defaults, say `fit: off`."
            objections = [one._replace(mend=f"{one.mend} {hint}") for one in objections]
        return recipe, objections
