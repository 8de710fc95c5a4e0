"""`manifest-runner validate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manifest_runner.cli.campaign import campaign_options, keep_what_was_read, load_campaign
from manifest_runner.cli.looking import look_at_media, media_options
from manifest_runner.cli.noticing import Noticed, warning_lines
from manifest_runner.cli.problems import problems_kept, problems_value
from manifest_runner.cli.selecting import narrowed, selecting_options, taken_from
from manifest_runner.cli.service import environment, is_elsewhere, service_line
from manifest_runner.cli.terminal import say
from manifest_runner.errors import ManifestError
from manifest_runner.models import Manifest

if TYPE_CHECKING:
    from manifest_runner.media import Preflight


@click.command("validate")
@campaign_options
@selecting_options
@media_options
@click.option(
    "--schema-only", is_flag=True, help="Check the manifest alone; the media it names are not looked at."
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(as_json: bool, schema_only: bool, skip_urls: bool, **options: Any) -> int:
    """Check MANIFEST and its media; send nothing. Every problem is listed, with its place and its mend
    (of a sheet whose header is wrong, that comes first).

    What can be made to fit is no problem. Rows that can't be used as they are are also written to problems.csv in the
    campaign's output folder.
    """
    selection = taken_from(options)
    try:
        if schema_only:
            campaign = narrowed(load_campaign(**options), selection, options["base_url"])
            return _manifest_alone(campaign.manifest, as_json=as_json)
        try:
            campaign = load_campaign(**options)
        except ManifestError as error:
            raise _with_media_problems(
                error, options["manifest"], options["out"], skip_urls=skip_urls, quiet=as_json
            ) from None
        campaign = narrowed(campaign, selection, options["base_url"])
        remote = is_elsewhere(campaign.manifest, options["base_url"], environment())
        noticed = Noticed(campaign.manifest)
        found = look_at_media(
            campaign.manifest, quiet=as_json, remote_service=remote, skip_urls=skip_urls, noticed=noticed
        )
        with problems_kept(campaign):
            if found.problems:
                if not as_json:
                    for line in warning_lines(found):
                        say(line, err=True)
                raise ManifestError(found.problems)
    except ManifestError as error:
        if not as_json:
            raise
        say(json.dumps({"valid": False, "problems": problems_value(error.problems)}, indent=2))
        return error.exit_code
    if as_json:
        say(json.dumps({**_valid(campaign.manifest), "warnings": problems_value(found.warnings)}, indent=2))
    else:
        say(f"{_is_valid(campaign.manifest)}.")
        service = service_line(campaign.manifest)
        for line in [*fitting_lines(found), *warning_lines(found), *noticed.lines(), service]:
            say(line)
    return 0


def _manifest_alone(manifest: Manifest, *, as_json: bool) -> int:
    """The outcome of a check that looked at no media; it takes a second for each 100,000 rows of a sheet."""
    if as_json:
        say(json.dumps({**_valid(manifest), "warnings": [], "schema_only": True}, indent=2))
    else:
        say(f"{_is_valid(manifest)}; its media were not looked at.")
        for line in [*Noticed(manifest).lines(), service_line(manifest)]:
            say(line)
    return 0


def _valid(manifest: Manifest) -> dict[str, Any]:
    return {"valid": True, "campaign": manifest.campaign, "jobs": len(manifest.jobs), "problems": []}


def _is_valid(manifest: Manifest) -> str:
    return f"{manifest.path} is valid: campaign {manifest.campaign}, {_count(len(manifest.jobs))}"


def _with_media_problems(
    error: ManifestError, path: Path, out: Path | None, *, skip_urls: bool, quiet: bool
) -> ManifestError:
    """The same error, with what is wrong with the media of the rows that are sound: one look finds everything."""
    sound = Manifest(path=path, campaign="", jobs=error.sound)
    found = look_at_media(sound, quiet=quiet, remote_service=True, skip_urls=skip_urls)
    all_of_it = ManifestError([*error.problems, *found.problems], campaign=error.campaign, more=error.more)
    all_of_it.sound = error.sound
    keep_what_was_read(all_of_it, path, out)
    return all_of_it


def fitting_lines(found: Preflight) -> list[str]:
    """How many pictures and recordings will be made to fit, and where to read what is done to each."""
    counted = found.fitted
    if not counted:
        return []
    images, sounds = (
        f"{counted[name]:,} {word}{'' if counted[name] == 1 else 's'}"
        for name, word in (("image", "picture"), ("sound_file", "recording"))
    )
    return [f"To be made to fit: {images}, {sounds} (`plan` says what is done to each)."]


def _count(jobs: int) -> str:
    return f"{jobs:,} job{'' if jobs == 1 else 's'}"
