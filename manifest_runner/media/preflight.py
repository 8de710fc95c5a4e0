"""Every job's media, probed and checked before anything is sent. Each distinct file is looked at once.

Reading and probing happen in threads (both let go of the interpreter's lock); what they find is kept for the next
command. What can be made to fit is no problem: what will be done to it is part of the answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Generic, TypeVar

from manifest_runner.errors import MediaError
from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.fingerprint import fingerprint, fingerprint_parts
from manifest_runner.media.fit.recipes import AudioRecipe, ImageRecipe, audio_fitting, image_fitting
from manifest_runner.media.limits import Objection
from manifest_runner.media.probe.cache import ProbeCache
from manifest_runner.media.probe.look import Findings, Look, file_key
from manifest_runner.media.probe.url import UrlReader
from manifest_runner.media.source import Source, parse_reference
from manifest_runner.models import Fit, FitMode, Job, Problem

_MOST_WORKERS = 8
_NO_FIT = Fit(FitMode.OFF)  # what a URL leads to is passed on as it is

Facts = TypeVar("Facts", ImageFacts, AudioFacts)
Recipe = TypeVar("Recipe", ImageRecipe, AudioRecipe)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobMedia:
    """What is known of a job's media, and what will be done to them before they are sent.

    Facts are None for an `audio_id`, speech that is still to be made, and a URL that could not be looked at.
    """

    image: ImageFacts | None
    audio: AudioFacts | None
    image_recipe: ImageRecipe | None = None
    audio_recipe: AudioRecipe | None = None
    sound_passed_on: bool = False  # by URL: what it leads to can be another thing when the service fetches it
    fingerprint: str
    fingerprint_parts: Mapping[str, str]

    @property
    def seconds(self) -> Decimal | None:
        """The sound's duration as it is sent; None where it can't be known beforehand."""
        if self.audio_recipe is not None:
            return self.audio_recipe.seconds
        return self.audio.seconds if self.audio else None

    @property
    def sure_seconds(self) -> Decimal | None:
        """The duration that a budget can rely on; None where it may turn out to be another."""
        return None if self.sound_passed_on else self.seconds

    @property
    def fitting(self) -> dict[str, str]:
        """What will be done, by the field's name."""
        recipes = {"image": self.image_recipe, "sound_file": self.audio_recipe}
        return {name: recipe.what for name, recipe in recipes.items() if recipe is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Preflight:
    """`media` by external_task_id, for the jobs that nothing was found against; `problems` in the jobs' order.

    `warnings` are of what is taken, and may still not be meant.
    """

    media: Mapping[str, JobMedia]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


def preflight(
    jobs: Sequence[Job],
    folder: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
    remote_service: bool = False,
    look_at_urls: bool = False,
    previews: bool = False,
    cache: ProbeCache | None = None,
) -> Preflight:
    """Probe and check the media of `jobs`; references are relative to `folder`.

    `remote_service`: URLs are fetched from elsewhere, so that one of this machine or its network is no use.
    `look_at_urls`: see what public URLs lead to. `previews`: a mouth that is pointed at counts into the fingerprint,
    which it must not where it makes no difference. `progress` is called from this thread with the number of jobs newly
    looked at, as tqdm's `update` wants it. A job's trouble never hides another's: everything found comes back as
    Problems at the field's own location.
    """
    media: dict[str, JobMedia] = {}
    problems: list[Problem] = []
    warnings: list[Problem] = []
    pool = ThreadPoolExecutor(workers or min(_MOST_WORKERS, (os.cpu_count() or 1) + 1), "probe")
    with ExitStack() as leaving:
        leaving.callback(
            pool.shutdown, cancel_futures=True
        )  # after Ctrl-C the files still waiting are not read
        urls = leaving.enter_context(UrlReader()) if look_at_urls else None
        look = Look(folder, cache or ProbeCache(), urls, remote_service=remote_service)
        images: Desk[ImageFacts] = Desk(pool, folder, look.image)
        sounds: Desk[AudioFacts] = Desk(pool, folder, look.sound)
        tickets = [(job, images.ask(job.image), sounds.ask(job.sound_file)) for job in jobs]
        for job, asked_image, asked_sound in tickets:
            image, sound = asked_image.result(), asked_sound.result()
            found, checked = _check(job, image, sound, previews=previews)
            problems += found
            warnings += [*_told(job, "image", image.warnings), *_told(job, "sound_file", sound.warnings)]
            if not found:
                media[job.external_task_id] = checked
            if progress:
                progress(1)
    return Preflight(media=media, problems=tuple(problems), warnings=tuple(warnings))


def _check(
    job: Job, image: Findings[ImageFacts], sound: Findings[AudioFacts], *, previews: bool
) -> tuple[list[Problem], JobMedia]:
    """The job's problems, and what its media are and become."""
    image_recipe, image_objections = _fitted(image, job.fit, image_fitting)
    audio_recipe, sound_objections = _fitted(sound, job.fit, audio_fitting)
    problems = [
        *_told(job, "image", [*image.objections, *_of(image.label, image_objections)]),
        *_told(job, "sound_file", [*sound.objections, *_of(sound.label, sound_objections)]),
    ]
    parts = fingerprint_parts(
        job,
        image_sha256=_content(image),
        audio_sha256=_content(sound),
        fitted=_chosen(image_recipe, audio_recipe),
        mouth=job.mouth if previews else None,
    )
    return problems, JobMedia(
        image=image.facts,
        audio=sound.facts,
        image_recipe=image_recipe,
        audio_recipe=audio_recipe,
        sound_passed_on=sound.passed_on,
        fingerprint=fingerprint(parts),
        fingerprint_parts=parts,
    )


def _chosen(image: ImageRecipe | None, audio: AudioRecipe | None) -> list[str]:
    """What `fit` asks for, where it makes a difference to this job."""
    padded = [f"pad {image.pad}"] if image and image.pad else []
    return [*padded, "trim"] if audio and audio.cut else padded


def _content(findings: Findings[Facts]) -> str | None:
    """The hash that stands for the media: None for a URL, which stands for itself whatever it leads to today."""
    return findings.facts.sha256 if findings.facts and not findings.passed_on else None


def _fitted(
    found: Findings[Facts], fit: Fit, fitting: Callable[[Facts, Fit], tuple[Recipe | None, list[Objection]]]
) -> tuple[Recipe | None, list[Objection]]:
    """What will be done to it, and what is against it. A URL is passed on as it is."""
    if found.facts is None:
        return None, []
    if found.passed_on:
        return fitting(found.facts, _NO_FIT)
    recipe, objections = fitting(found.facts, fit)
    if objections and fit.mode is FitMode.OFF and fitting(found.facts, replace(fit, mode=FitMode.AUTO))[0]:
        hint = "Or let it be made to fit: its row, or the defaults, say `fit: off`."
        objections = [one._replace(mend=f"{one.mend} {hint}") for one in objections]
    return recipe, objections


def _of(label: str, objections: Sequence[Objection]) -> Iterator[Objection]:
    return (one._replace(what=f"{label} {one.what}") for one in objections)


def _told(job: Job, field_name: str, objections: Sequence[Objection]) -> list[Problem]:
    where = job.where(field_name)
    return [
        Problem(location=where, what=one.what, mend=one.mend, job=job.external_task_id, kind=one.kind)
        for one in objections
    ]


class Desk(Generic[Facts]):
    """Takes references of one kind, starts the work on each distinct file once, and hands out the results."""

    def __init__(
        self, pool: ThreadPoolExecutor, folder: Path, look: Callable[[Source], Findings[Facts]]
    ) -> None:
        self._pool = pool
        self._folder = folder
        self._look: Callable[[Source], Findings[Facts]] = look
        self._asked: dict[Hashable, Future[Findings[Facts]]] = {}

    def ask(self, reference: str | None) -> Future[Findings[Facts]]:
        """The findings on `reference`, at some time. None is answered at once: there is nothing to look at."""
        if reference is None:
            return _answered(Findings())
        if reference not in self._asked:  # the quick way for a default that thousands of jobs share
            self._asked[reference] = self._ask_once(reference)
        return self._asked[reference]

    def _ask_once(self, reference: str) -> Future[Findings[Facts]]:
        try:
            source = parse_reference(reference)
        except MediaError as error:
            return _answered(
                Findings(objections=(Objection(error.what, error.mend, "reference to nothing"),))
            )
        key: Hashable = file_key(source, self._folder) or source
        if key not in self._asked:
            self._asked[key] = self._pool.submit(self._look, source)
        return self._asked[key]


def _answered(findings: Findings[Facts]) -> Future[Findings[Facts]]:
    future: Future[Findings[Facts]] = Future()
    future.set_result(findings)
    return future
