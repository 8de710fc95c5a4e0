"""What the commands about one campaign share: its options, its manifest, where its files lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from manifest_runner.errors import ManifestError, NeedsPerson, UsageError
from manifest_runner.models import Manifest, Problem, ServiceName, quantity_from

if TYPE_CHECKING:
    import sqlite3

    from manifest_runner.media import Preflight
    from manifest_runner.runner.plan import Step

MOST_WARNINGS = 5  # told one by one

F = TypeVar("F", bound=Callable[..., Any])


class DecimalText(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.5
    """A decimal number, read as text so that no float comes near money."""

    name = "units"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        if isinstance(value, Decimal):
            return value
        units = quantity_from(value)
        if units is None:
            self.fail(f"{value!r} is no number of units.", param, ctx)
        return units


def campaign_options(command: F) -> F:
    """MANIFEST and the options that say what it leaves open, or otherwise."""
    for decorate in reversed(
        (
            click.argument("manifest", type=click.Path(path_type=Path)),
            click.option("--campaign", help="Name of the campaign (wins over the manifest's)."),
            click.option(
                "--service",
                type=click.Choice([name.value for name in ServiceName]),
                help="Which service renders: kling costs money, sandbox is local and free.",
            ),
            click.option("--base-url", metavar="URL", help="Another address of the service."),
            click.option("--concurrency", type=click.IntRange(1, 1000), help="Tasks at once at the service."),
            click.option(
                "--budget-units", type=DecimalText(), metavar="UNITS", help="Stop before this is passed."
            ),
            click.option(
                "--output", metavar="TEMPLATE", help='Name of each video, such as "{external_task_id}.mp4".'
            ),
            click.option(
                "--ledger",
                type=click.Path(path_type=Path),
                help="The ledger's file  [default: .manifest-runner/ledger.sqlite3 beside the manifest]",
            ),
            click.option(
                "--out",
                type=click.Path(path_type=Path),
                help="Folder for videos and reports  [default: out/CAMPAIGN beside the manifest]",
            ),
        )
    ):
        command = decorate(command)
    return command


@dataclass(frozen=True, kw_only=True, slots=True)
class Campaign:
    """A loaded manifest and the places of its files."""

    manifest: Manifest
    ledger: Path
    out: Path

    @property
    def state(self) -> Path:
        """Our own folder beside the manifest."""
        return self.ledger.parent


def load_campaign(
    manifest: Path,
    *,
    campaign: str | None,
    service: str | None,
    base_url: str | None,
    concurrency: int | None,
    budget_units: Decimal | None,
    output: str | None,
    ledger: Path | None,
    out: Path | None,
) -> Campaign:
    """Read the manifest under the command line's settings. Raises ManifestError."""
    from manifest_runner.manifest import Settings, load_manifest

    settings = Settings(
        campaign=campaign,
        service=ServiceName(service) if service else None,
        base_url=base_url,
        concurrency=concurrency,
        budget_units=budget_units,
        output=output,
    )
    loaded = load_manifest(manifest, settings=settings)
    return Campaign(
        manifest=loaded,
        ledger=ledger or _own(loaded.folder, ".manifest-runner/ledger.sqlite3", "--ledger"),
        out=out or _own(loaded.folder, f"out/{loaded.campaign}", "--out"),
    )


def _own(folder: Path, below: str, option: str) -> Path:
    """A place of ours in the manifest's folder. The folder may be anybody's: a link in it leads us nowhere else."""
    place = folder / below
    leads, base = where_it_leads(place), folder.resolve()
    if leads != base / below:
        where = "in another place of" if leads.is_relative_to(base) else "outside"
        raise UsageError(
            f"{place} is a link to {leads}, {where} the manifest's folder.",
            mend=f"If that is meant, say so: {option} {leads}",
        )
    return place


def where_it_leads(place: Path) -> Path:
    """The place that all links on the way lead to. Raises UsageError where they lead round in a circle."""
    try:
        return place.resolve()
    except (OSError, RuntimeError):
        raise UsageError(f"{place} is a link that leads nowhere.", mend="Take the link away.") from None


def media_options(command: F) -> F:
    """What the commands that look at media can be told about how."""
    return click.option(
        "--skip-urls",
        is_flag=True,
        help="Don't look at what media URLs lead to: the service fetches them by itself.",
    )(command)


def look_at_media(
    manifest: Manifest, *, quiet: bool, remote_service: bool, skip_urls: bool = False, previews: bool = False
) -> Preflight:
    """Probe every job's media, with a bar on a terminal; what is found is kept for the next command.

    `previews`: what only a preview shows (where the mouth is) counts as well.
    """
    from tqdm import tqdm

    from manifest_runner.media import open_cache, preflight

    with (
        tqdm(
            total=len(manifest.jobs), desc="Checking media", unit="job", disable=quiet or None, leave=False
        ) as bar,
        open_cache() as cache,
    ):
        return preflight(
            manifest.jobs,
            manifest.folder,
            progress=lambda count: advance(bar, count),
            remote_service=remote_service,
            look_at_urls=not skip_urls,
            previews=previews,
            cache=cache,
        )


@contextmanager
def problems_kept(campaign: Campaign) -> Iterator[None]:
    """Problems with media that end what is done within are written to problems.csv too, for whoever mends them."""
    from manifest_runner.report.problems import forget_problems, write_problems

    try:
        yield
    except ManifestError as error:
        of_media = [problem for problem in error.problems if problem.kind]
        if of_media:
            try:
                file = write_problems(of_media, campaign.manifest.jobs, campaign.out)
                error.mend = f"The rows concerned are in {file}."
            except NeedsPerson as trouble:  # told beside the problems, not in their place
                error.mend = str(trouble)
        raise
    forget_problems(campaign.out)


def warning_lines(found: Preflight, steps: Sequence[Step] | None = None) -> list[str]:
    """What is strange about media, and taken: each where there are few, counted by kind where there are many.

    With `steps`, of the jobs that they send: what is done is done.
    """
    warnings = found.warnings
    if steps is not None:
        sent = {step.external_task_id for step in steps if step.action.costs}
        warnings = tuple(warning for warning in warnings if warning.job in sent)
    if len(warnings) <= MOST_WARNINGS:
        return [f"Note: {warning}" for warning in warnings]
    counted = Counter(warning.kind for warning in warnings)
    first = {warning.kind: warning for warning in reversed(warnings)}
    return [
        f"Note: {count:,} rows: {kind} (the first: {first[kind]})" for kind, count in counted.most_common()
    ]


def advance(bar: Any, count: int) -> None:
    bar.update(count)


def notices(manifest: Manifest) -> list[str]:
    """What is allowed in a manifest, and may still not be meant."""
    lines = []
    if manifest.made_ids:
        rows = f"{manifest.made_ids} job{' has' if manifest.made_ids == 1 else 's have'}"
        lines.append(
            f"{rows} no external_task_id: the id is made from what the job asks for, so a row that is edited is a "
            "new job, and paid as one. Give the rows ids to be asked first."
        )
    lines += _voice_notices(manifest)
    outside = _files_outside(manifest)
    if outside:
        more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
        lines.append(
            f"{outside[0]}{more}: outside the manifest's folder. What the manifest names is sent to the service; look "
            "whether all of it is meant to be, when the manifest is not your own."
        )
    return lines


def _voice_notices(manifest: Manifest) -> list[str]:
    """Texts that their voice can hardly speak."""
    lines = []
    for language, voice, chinese in (("zh", "a Chinese", False), ("en", "an English", True)):
        strange = [
            job
            for job in manifest.jobs
            if job.speech is not None
            and job.speech.voice_language == language
            and is_chinese(job.speech.text) is chinese
        ]
        if strange:
            rows = f"{len(strange)} row{' has' if len(strange) == 1 else 's have'}"
            text = "a Chinese text" if chinese else "a text without a Chinese sign"
            lines.append(
                f"{rows} {text} for {voice} voice (the first: {strange[0].where('speech')}): look whether "
                "voice_language is meant."
            )
    return lines


def is_chinese(text: str) -> bool:
    """Whether there is a Chinese sign in it."""
    return any("\u3400" <= sign <= "\u9fff" or "\U00020000" <= sign <= "\U0003347f" for sign in text)


def _files_outside(manifest: Manifest) -> list[str]:
    """The media files that the manifest names in other places than its own folder, each once."""
    from manifest_runner.errors import MediaError
    from manifest_runner.media import FileSource, parse_reference

    found = {}
    named = dict.fromkeys(
        reference
        for job in manifest.jobs
        for reference in (job.image, job.sound_file)
        if reference is not None
    )
    for reference in named:
        with suppress(MediaError):  # told with the media's own problems
            source = parse_reference(reference)
            if isinstance(source, FileSource) and source.outside(manifest.folder):
                found[source.label] = True
    return list(found)


@contextmanager
def ledger_if_any(path: Path, account: str) -> Iterator[sqlite3.Connection | None]:
    """A reading connection, or None when the campaign was never run.

    Raises LedgerMismatch for a ledger whose jobs were sent to another service than `account`.
    """
    from manifest_runner.ledger import open_for_reading, ownership

    if not path.exists():
        yield None
        return
    with open_for_reading(path) as connection:
        ownership.refuse_other_account(connection, account)
        yield connection


def problems_value(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Problems for `--json`."""
    return [
        {
            "file": problem.location.file,
            "line": problem.location.line,
            "column": problem.location.column,
            "json_path": problem.location.json_path,
            "job": problem.job,
            "kind": problem.kind or None,
            "what": problem.what,
            "mend": problem.mend,
        }
        for problem in problems
    ]
