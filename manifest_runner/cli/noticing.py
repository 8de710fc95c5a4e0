"""What is allowed in a manifest or a file, and may still not be meant: said before anything is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from manifest_runner.models import Job, Location, Manifest

if TYPE_CHECKING:
    from manifest_runner.manifest import Sketch
    from manifest_runner.media import Preflight
    from manifest_runner.runner.plan import Plan

MOST_WARNINGS = 5  # told one by one
MOST_HOSTS = 5  # named


def warning_lines(found: Preflight, plan: Plan | None = None) -> list[str]:
    """What is strange about media, and taken: each where there are few, counted by kind where there are many.

    With a plan, of the jobs that it sends: what is done is done.
    """
    warnings = found.warnings
    if plan is not None and warnings:
        named = plan.named({warning.job for warning in warnings if warning.job is not None})
        warnings = tuple(one for one in warnings if one.job in named and named[one.job].action.costs)
    if len(warnings) <= MOST_WARNINGS:
        return [f"Note: {warning}" for warning in warnings]
    counted = Counter(warning.kind for warning in warnings)
    first = {warning.kind: warning for warning in reversed(warnings)}
    return [
        f"Note: {count:,} rows: {kind} (the first: {first[kind]})" for kind, count in counted.most_common()
    ]


class Noticed:
    """Takes note of the jobs while they pass by."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._references: dict[str, None] = {}
        self._called: Counter[str] = Counter()  # rows by their callback URLs
        self._strange: dict[
            str, tuple[int, Location]
        ] = {}  # by language: texts that a voice can hardly speak

    def over(self, jobs: Iterable[Job]) -> Iterator[Job]:
        references = self._references
        for job in jobs:
            references[job.image] = None
            if job.sound_file is not None:
                references[job.sound_file] = None
            if job.speech is not None:
                self._hear(job)
            if job.callback_url is not None:
                self._called[job.callback_url] += 1
            yield job

    def note(self, sketch: Sketch) -> None:
        """Rows that pass by without being made into jobs."""
        self._references.update(dict.fromkeys(sketch.images))
        self._references.update(dict.fromkeys(sketch.sounds))

    def lines(self) -> list[str]:
        """How the rows were read, and what is allowed and may still not be meant."""
        return [*self._manifest.notes, *self._ids(), *self._voices(), *self._places(), *self._calls()]

    def _hear(self, job: Job) -> None:
        if job.speech is None:
            return
        language, chinese = job.speech.voice_language, is_chinese(job.speech.text)
        if (language, chinese) in (("zh", False), ("en", True)):
            count, first = self._strange.get(language, (0, job.where("speech")))
            self._strange[language] = (count + 1, first)

    def _ids(self) -> Iterator[str]:
        if made := self._manifest.made_ids:
            rows = f"{made:,} job{' has' if made == 1 else 's have'}"
            yield (
                f"{rows} no external_task_id: the id is made from what the job asks for, so a row that is edited is a "
                "new job, and paid as one. Give each row an external_task_id:"
                " an edited row is recognised by it, and you are asked before it is paid again."
            )

    def _voices(self) -> Iterator[str]:
        for language, voice, text in (
            ("zh", "a Chinese", "a text without a Chinese sign"),
            ("en", "an English", "a Chinese text"),
        ):
            if language in self._strange:
                count, first = self._strange[language]
                rows = f"{count:,} row{' has' if count == 1 else 's have'}"
                yield f"{rows} {text} for {voice} voice (the first: {first}): look whether voice_language is meant."

    def _places(self) -> Iterator[str]:
        if self._references and (outside := self._files_outside()):
            more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
            yield (
                f"{outside[0]}{more}: outside the manifest's folder. What the manifest names is sent to the service; "
                "look whether all of it is meant to be, when the manifest is not your own."
            )

    def _calls(self) -> Iterator[str]:
        hosts: Counter[str] = Counter()
        for url, count in self._called.items():
            hosts[_host_of(url)] += count
        if hosts:
            named = ", ".join(f"{host} ({count:,})" for host, count in hosts.most_common(MOST_HOSTS))
            more = f" and {len(hosts) - MOST_HOSTS:,} more" if len(hosts) > MOST_HOSTS else ""
            rows = f"{hosts.total():,} row{' has' if hosts.total() == 1 else 's have'}"
            yield (
                f"{rows} a callback_url: the service posts what becomes of them, with the addresses of the videos, to "
                f"{named}{more}. Look whether that is meant, when the manifest is not your own."
            )

    def _files_outside(self) -> list[str]:
        """The media files that the manifest names in other places than its own folder, each once."""
        from manifest_runner.errors import MediaError
        from manifest_runner.media import FileSource, parse_reference

        found = {}
        for reference in self._references:
            with suppress(MediaError):  # told with the media's own problems
                source = parse_reference(reference)
                if isinstance(source, FileSource) and source.outside(self._manifest.folder):
                    found[source.label] = True
        return list(found)


def _host_of(url: str) -> str:
    """Nothing of the path, which may hold a secret."""
    try:
        return urlsplit(url).hostname or "an address without a host"
    except ValueError:
        return "an address that is malformed"


def is_chinese(text: str) -> bool:
    """Whether there is a Chinese sign in it."""
    return any("\u3400" <= sign <= "\u9fff" or "\U00020000" <= sign <= "\U0003347f" for sign in text)
