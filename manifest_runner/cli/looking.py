"""The media of a campaign's jobs, looked at by the commands: with a bar on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from manifest_runner.models import Job, Manifest

if TYPE_CHECKING:
    from manifest_runner.cli.noticing import Noticed
    from manifest_runner.manifest import Sketch
    from manifest_runner.media import Preflight

F = TypeVar("F", bound=Callable[..., Any])


def media_options(command: F) -> F:
    """What the commands that look at media can be told about how."""
    return click.option(
        "--skip-urls",
        is_flag=True,
        help="Don't look at what media URLs lead to: the service fetches them by itself.",
    )(command)


@contextmanager
def media_on_the_way(
    manifest: Manifest,
    *,
    quiet: bool,
    remote_service: bool,
    skip_urls: bool = False,
    previews: bool = False,
    noticed: Noticed | None = None,
) -> Iterator[tuple[Preflight, OnTheWay]]:
    """What is known of the jobs' media, and the way on which they are looked at while they pass by: a large sheet is
    gone through once, whatever else is done with its rows. With a bar on a terminal; what is found is kept for the next
    command.

    `previews`: what only a preview shows (where the mouth is) counts as well.
    """
    from tqdm import tqdm

    from manifest_runner.media import looking, open_cache

    with (
        tqdm(
            total=len(manifest.jobs), desc="Checking media", unit="job", disable=quiet or None, leave=False
        ) as bar,
        open_cache() as cache,
        looking(
            manifest.folder,
            remote_service=remote_service,
            look_at_urls=not skip_urls,
            previews=previews,
            cache=cache,
        ) as found,
    ):
        yield found, OnTheWay(found, noticed, lambda count: advance(bar, count))


class OnTheWay:
    """What happens to rows while they pass by (`runner.survey.Way`)."""

    def __init__(self, found: Preflight, noticed: Noticed | None, progress: Callable[[int], None]) -> None:
        self._found = found
        self._noticed = noticed
        self._progress = progress

    def over(self, jobs: Iterable[Job]) -> Iterator[Job]:
        return self._found.over(self._noticed.over(jobs) if self._noticed else jobs, self._progress)

    def note(self, sketch: Sketch, done: int) -> None:
        self._progress(done)
        if self._noticed:
            self._noticed.note(sketch)


def look_at_media(
    manifest: Manifest,
    *,
    quiet: bool,
    remote_service: bool,
    skip_urls: bool = False,
    previews: bool = False,
    noticed: Noticed | None = None,
) -> Preflight:
    """The same in a pass of its own."""
    with media_on_the_way(
        manifest,
        quiet=quiet,
        remote_service=remote_service,
        skip_urls=skip_urls,
        previews=previews,
        noticed=noticed,
    ) as (found, way):
        for _ in way.over(manifest.jobs):
            pass
    return found


def advance(bar: Any, count: int) -> None:
    bar.update(count)
