"""What the commands about one campaign share: its options, its manifest, where its files lie."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from manifest_runner.errors import ManifestError, UsageError
from manifest_runner.models import Manifest, ServiceName, quantity_from

if TYPE_CHECKING:
    import sqlite3

    from manifest_runner.media import Preflight

F = TypeVar("F", bound=Callable[..., Any])

SERVICE_HOSTS = ".klingai.com"
KEYS = ("KLING_API_KEY", "KLING_ACCESS_KEY", "KLING_SECRET_KEY")


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
        ledger=ledger or loaded.folder / ".manifest-runner" / "ledger.sqlite3",
        out=out or loaded.folder / "out" / loaded.campaign,
    )


def look_at_media(manifest: Manifest, *, quiet: bool) -> Preflight:
    """Probe every job's media, with a bar on a terminal."""
    from tqdm import tqdm

    from manifest_runner.media import preflight

    with tqdm(
        total=len(manifest.jobs), desc="Checking media", unit="job", disable=quiet or None, leave=False
    ) as bar:
        return preflight(manifest.jobs, manifest.folder, progress=lambda count: _advance(bar, count))


def _advance(bar: Any, count: int) -> None:
    bar.update(count)


@contextmanager
def ledger_if_any(path: Path) -> Iterator[sqlite3.Connection | None]:
    """A reading connection, or None when the campaign was never run."""
    from manifest_runner.ledger import open_for_reading

    if not path.exists():
        yield None
        return
    with open_for_reading(path) as connection:
        yield connection


def environment() -> dict[str, str]:
    """The KLING_ variables: the environment's, and for those it lacks a `.env` file's in the current folder."""
    from dotenv import dotenv_values

    file_values = dotenv_values(".env") if Path(".env").is_file() else {}
    from_file = {name: value for name, value in file_values.items() if name.startswith("KLING_") and value}
    own = {name: value for name, value in os.environ.items() if name.startswith("KLING_") and value}
    address = from_file.get("KLING_BASE_URL")
    if address and "KLING_BASE_URL" not in own and any(name in own for name in KEYS):
        # A folder from somebody else can hold a .env: it must not lead a key from the environment to a stranger.
        _refuse_stranger(address, "The .env file in this folder")
    return {**from_file, **own}


def service_address(manifest: Manifest, asked: str | None, variables: dict[str, str]) -> str:
    """The service's checked base URL: --base-url, else KLING_BASE_URL, else the manifest's, else the default.

    A manifest may come from anybody, and the address decides who is shown the key: one that is neither the
    service's own nor this machine's has to be confirmed by the person who holds the key.
    """
    from manifest_runner.service import DEFAULT_BASE_URL, check_base_url

    trusted = asked or variables.get("KLING_BASE_URL")
    if trusted:
        return check_base_url(trusted)
    if manifest.service.base_url is None:
        return DEFAULT_BASE_URL
    return _refuse_stranger(manifest.service.base_url, str(manifest.path))


def _refuse_stranger(address: str, who: str) -> str:
    """The checked address, when it is the service's own or this machine's. Raises UsageError for any other."""
    from manifest_runner.service import check_base_url
    from manifest_runner.service.base_url import host_of, is_loopback

    url = check_base_url(address)
    host = host_of(url)
    if not (is_loopback(host) or host.endswith(SERVICE_HOSTS)):
        raise UsageError(
            f"{who} would send your key to {host}, which is not an address of the service that we know.",
            mend=f"If that is right, confirm it: --base-url {url} (or set KLING_BASE_URL in the environment).",
        )
    return url


def account_of(manifest: Manifest, asked: str | None, variables: dict[str, str]) -> str:
    """Whose ledger this campaign's is."""
    from manifest_runner.service import account_identity

    if manifest.service.name is ServiceName.SANDBOX:
        return account_identity(ServiceName.SANDBOX, None)
    return account_identity(manifest.service.name, service_address(manifest, asked, variables))


def problems_value(error: ManifestError) -> list[dict[str, Any]]:
    """The problems for `--json`."""
    return [
        {
            "file": problem.location.file,
            "line": problem.location.line,
            "column": problem.location.column,
            "json_path": problem.location.json_path,
            "job": problem.job,
            "what": problem.what,
            "mend": problem.mend,
        }
        for problem in error.problems
    ]
