"""What the commands about one campaign share: its options, its manifest, where its files lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from manifest_runner.cli.problems import keep_problems
from manifest_runner.cli.terminal import say
from manifest_runner.errors import ManifestError, UsageError
from manifest_runner.models import Manifest, ServiceName, quantity_from

if TYPE_CHECKING:
    import sqlite3


F = TypeVar("F", bound=Callable[..., Any])


class SlotsNumber(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.5
    """How many tasks at once: a number, or `auto`."""

    name = "slots"
    _number = click.IntRange(1, 1000)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Literal["auto"]:
        if value == "auto":
            return "auto"
        try:
            number: int = self._number.convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is not a whole number from 1 to 1000, or `auto`.", param, ctx)
        return number


class DecimalText(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.5
    """A decimal number, read as text so that no float comes near money."""

    name = "units"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        if isinstance(value, Decimal):
            return value
        units = quantity_from(value)
        if units is None:
            self.fail(f"{value!r} is no number of units: write one from 0 up, such as 5.50.", param, ctx)
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
            click.option(
                "--concurrency",
                type=SlotsNumber(),
                metavar="N|auto",
                help="Tasks at once at the service; auto: as many as the account turns out to take.",
            ),
            click.option(
                "--budget-units", type=DecimalText(), metavar="UNITS", help="Stop before this is passed."
            ),
            click.option(
                "--output", metavar="TEMPLATE", help='Name of each video, such as "{external_task_id}.mp4".'
            ),
            click.option("--sheet", metavar="NAME", help="The workbook's sheet that has the rows."),
            click.option(
                "--header-row",
                type=click.IntRange(1, 1_048_576),
                metavar="N",
                help="The sheet's row with the headings, when a title stands above it.",
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
    concurrency: int | Literal["auto"] | None,
    budget_units: Decimal | None,
    output: str | None,
    sheet: str | None,
    header_row: int | None,
    ledger: Path | None,
    out: Path | None,
    keep: bool = True,
) -> Campaign:
    """Read the manifest under the command line's settings. Raises ManifestError; what it says is also kept in
    problems.csv, unless `keep` is false."""
    from manifest_runner.manifest import Layout, Settings, load_manifest

    settings = Settings(
        campaign=campaign,
        service=ServiceName(service) if service else None,
        base_url=base_url,
        concurrency=concurrency,
        budget_units=budget_units,
        output=output,
        layout=Layout(sheet=sheet, header_row=header_row),
    )
    try:
        loaded = load_manifest(manifest, settings=settings)
    except ManifestError as error:
        if keep:
            keep_what_was_read(error, manifest, out)
        raise
    return _placed(loaded, ledger, out)


def _placed(manifest: Manifest, ledger: Path | None, out: Path | None) -> Campaign:
    return Campaign(
        manifest=manifest,
        ledger=ledger or _own(manifest.folder, ".manifest-runner/ledger.sqlite3", "--ledger"),
        out=out or _output_folder(manifest.folder, manifest.campaign),
    )


def known_campaign(path: Path, **options: Any) -> Campaign:
    """The campaign for whoever asks the ledger alone: a manifest that is being edited stands in nobody's way.

    Where it can't be used as it is, that is said, and the campaign has no jobs. Raises ManifestError where not even
    its name can be had.
    """
    try:
        return load_campaign(path, **options, keep=False)
    except ManifestError as error:
        if error.campaign is None or not path.is_file():
            raise
        say(
            f"Note: {path} can't be used as it is (`validate` says why). This is what the ledger knows.",
            err=True,
        )
        manifest = Manifest(path=path, campaign=error.campaign, jobs=())
        return _placed(manifest, options["ledger"], options["out"])


def keep_what_was_read(error: ManifestError, manifest: Path, out: Path | None) -> None:
    """The problems of a manifest that could not be loaded are written to problems.csv too."""
    if error.campaign is None:
        return
    try:
        folder = out or _output_folder(manifest.parent, error.campaign)
    except UsageError as trouble:  # told beside the problems, not in their place
        error.mend = str(trouble)
        return
    keep_problems(error, error.sound, folder)


def _output_folder(folder: Path, campaign: str) -> Path:
    return _own(folder, f"out/{campaign}", "--out")


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
