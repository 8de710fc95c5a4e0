"""Every job's media, probed and checked before anything is sent. Each distinct file is looked at once.

Reading and probing happen in threads (both let go of the interpreter's lock); what they find is kept for the next
command. What can be made to fit is no problem: what will be done to it is part of the answer. Kept is what was found of
each file, and nothing of a job: what is known of its media is put together when it is asked for.
"""

from __future__ import annotations

import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from manifest_runner.media.desk import Answer, Checked, Desk, Facts, Recipe
from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.fingerprint import (
    fingerprint,
    fingerprint_parts,
    image_part,
    plain_parts_text,
    sound_part,
    usual_parts_text,
)
from manifest_runner.media.fit.recipes import AudioRecipe, ImageRecipe, audio_fitting, image_fitting
from manifest_runner.media.limits import Objection
from manifest_runner.media.probe.cache import ProbeCache
from manifest_runner.media.probe.look import Look
from manifest_runner.media.probe.url import UrlReader
from manifest_runner.models import Fit, Job, Mode, Problem

_MOST_WORKERS = 8
_AHEAD = 1_000  # jobs whose media are asked for before the first of them is known
_USUAL_FIT = Fit()


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
    fingerprint_parts: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """The one hash over all parts; made when it is asked for, which is when the job is sent."""
        return fingerprint(self.fingerprint_parts)

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


ImageDesk = Desk[ImageFacts, ImageRecipe]
SoundDesk = Desk[AudioFacts, AudioRecipe]


class Preflight:
    """What was found of the media of all jobs that were looked at so far; problems in the jobs' order.

    `warnings` are of what is taken, and may still not be meant. `fitted` counts the jobs whose `image`, or
    `sound_file`, will be made to fit. `previews`: a mouth that is pointed at counts into the fingerprint.
    """

    def __init__(self, images: ImageDesk, sounds: SoundDesk, *, previews: bool = False) -> None:
        self.fitted: Counter[str] = Counter()
        self._images = images
        self._sounds = sounds
        self._previews = previews
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._problems)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(self._warnings)

    def over(self, jobs: Iterable[Job], progress: Callable[[int], None] | None = None) -> Iterator[Job]:
        """Look at the media of all jobs while they pass by; each comes out when its own are known.

        A few are ahead, so that the threads have work while the first file is still read.
        """
        waiting: deque[tuple[Job, Answer[ImageFacts], Answer[AudioFacts]]] = deque()
        for job in jobs:
            if not waiting:  # the quick way for the files that thousands of jobs share
                image = self._images.known(job.image, job.fit)
                sound = self._sounds.known(job.sound_file, job.fit)
                if image is not None and sound is not None:
                    self._settle(job, image, sound, progress)
                    yield job
                    continue
            waiting.append((job, self._images.ask(job.image), self._sounds.ask(job.sound_file)))
            while waiting and (
                len(waiting) > _AHEAD or (waiting[0][1].is_there() and waiting[0][2].is_there())
            ):
                yield self._settled(waiting.popleft()[0], progress)
        while waiting:
            yield self._settled(waiting.popleft()[0], progress)

    def _settled(self, job: Job, progress: Callable[[int], None] | None) -> Job:
        self._settle(job, *self._checked(job), progress)
        return job

    def _settle(
        self,
        job: Job,
        image: Checked[ImageFacts, ImageRecipe],
        sound: Checked[AudioFacts, AudioRecipe],
        progress: Callable[[int], None] | None,
    ) -> None:
        if not (image.plain and sound.plain):
            for name, checked in (("image", image), ("sound_file", sound)):
                self._problems += _told(job, name, checked.objections)
                self._warnings += _told(job, name, checked.warnings)
                if checked.recipe and not image.objections and not sound.objections:
                    self.fitted[name] += 1
        if progress:
            progress(1)

    def usable(self, job: Job) -> bool:
        """Whether nothing is wrong with a job's media."""
        image, sound = self._checked(job)
        return not image.objections and not sound.objections

    def of(self, job: Job) -> JobMedia | None:
        """What is known of a job's media; None where something is wrong with them."""
        image, sound = self._checked(job)
        if image.objections or sound.objections:
            return None
        return JobMedia(
            image=image.facts,
            audio=sound.facts,
            image_recipe=image.recipe,
            audio_recipe=sound.recipe,
            sound_passed_on=sound.passed_on,
            fingerprint_parts=self._parts(job, image, sound),
        )

    def parts_text_of(self, job: Job) -> str | None:
        """The parts of the same job's fingerprint as JSON with sorted keys."""
        fit = job.fit
        image = self._images.known(job.image, fit) or self._images.checked(job.image, fit)
        sound = self._sounds.known(job.sound_file, fit) or self._sounds.checked(job.sound_file, fit)
        if image.objections or sound.objections:
            return None
        if image.recipe or sound.recipe or job.mouth:
            return json.dumps(self._parts(job, image, sound), sort_keys=True)
        return usual_parts_text(job, image_sha256=image.content, audio_sha256=sound.content)

    def plain_parts_texts(
        self, images: Sequence[str], sounds: Sequence[str], prompts: Sequence[str], modes: Sequence[Mode]
    ) -> list[str | None]:
        """The same of many jobs that have nothing else: no watermark, no `fit`. None for those whose media are made to
        fit, or can't be used. The media are looked at, each file once."""
        self._images.ask_all(images)  # both before any answer is waited for
        self._sounds.ask_all(sounds)
        return [
            plain_parts_text(image, sound, prompt, mode) if image and sound else None
            for image, sound, prompt, mode in zip(
                _plain_parts(self._images, images, image_part),
                _plain_parts(self._sounds, sounds, sound_part),
                prompts,
                modes,
                strict=True,
            )
        ]

    def _checked(self, job: Job) -> tuple[Checked[ImageFacts, ImageRecipe], Checked[AudioFacts, AudioRecipe]]:
        return self._images.checked(job.image, job.fit), self._sounds.checked(job.sound_file, job.fit)

    def _parts(
        self,
        job: Job,
        image: Checked[ImageFacts, ImageRecipe],
        sound: Checked[AudioFacts, AudioRecipe],
    ) -> dict[str, str]:
        return fingerprint_parts(
            job,
            image_sha256=image.content,
            audio_sha256=sound.content,
            fitted=_chosen(image.recipe, sound.recipe),
            mouth=job.mouth if self._previews else None,
        )


@contextmanager
def looking(
    folder: Path,
    *,
    workers: int | None = None,
    remote_service: bool = False,
    look_at_urls: bool = False,
    previews: bool = False,
    cache: ProbeCache | None = None,
) -> Iterator[Preflight]:
    """A Preflight for jobs to pass by; references are relative to `folder`. What it has found stays known afterwards.

    `remote_service`: URLs are fetched from elsewhere, so that one of this machine or its network is no use.
    `look_at_urls`: see what public URLs lead to. `previews`: a mouth that is pointed at counts into the fingerprint,
    which it must not where it makes no difference.
    """
    pool = ThreadPoolExecutor(workers or min(_MOST_WORKERS, (os.cpu_count() or 1) + 1), "probe")
    with ExitStack() as leaving:
        leaving.callback(
            pool.shutdown, cancel_futures=True
        )  # after Ctrl-C the files still waiting are not read
        urls = leaving.enter_context(UrlReader()) if look_at_urls else None
        look = Look(folder, cache or ProbeCache(), urls, remote_service=remote_service)
        images = ImageDesk(pool, folder, look.image, image_fitting)
        sounds = SoundDesk(pool, folder, look.sound, audio_fitting)
        yield Preflight(images, sounds, previews=previews)


def preflight(
    jobs: Iterable[Job],
    folder: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
    remote_service: bool = False,
    look_at_urls: bool = False,
    previews: bool = False,
    cache: ProbeCache | None = None,
) -> Preflight:
    """Probe and check the media of `jobs`, as `looking` does, in a pass of its own.

    `progress` is called from this thread with the number of jobs newly looked at, as tqdm's `update` wants it. A job's
    trouble never hides another's: everything found comes back as Problems at the field's own location.
    """
    with looking(
        folder,
        workers=workers,
        remote_service=remote_service,
        look_at_urls=look_at_urls,
        previews=previews,
        cache=cache,
    ) as found:
        for _ in found.over(jobs, progress):
            pass
    return found


def _plain_parts(
    desk: Desk[Facts, Recipe], references: Sequence[str], part: Callable[[str, str | None], str]
) -> Iterator[str | None]:
    """Of each reference its part of a fingerprint; None where it is made to fit, or can't be used."""
    found = {}
    for reference in set(references):
        one = desk.checked(reference, _USUAL_FIT)
        usable = one.recipe is None and not one.objections
        found[reference] = part(reference, one.content) if usable else None
    return map(found.__getitem__, references)


def _chosen(image: ImageRecipe | None, audio: AudioRecipe | None) -> list[str]:
    """What `fit` asks for, where it makes a difference to this job."""
    padded = [f"pad {image.pad}"] if image and image.pad else []
    return [*padded, "trim"] if audio and audio.cut else padded


def _told(job: Job, field_name: str, objections: Sequence[Objection]) -> list[Problem]:
    where = job.where(field_name)
    return [
        Problem(location=where, what=one.what, mend=one.mend, job=job.external_task_id, kind=one.kind)
        for one in objections
    ]
