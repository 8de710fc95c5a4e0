"""`manifest-runner validate`."""

from __future__ import annotations

import json
from typing import Any

import click

from manifest_runner.cli.campaign import (
    campaign_options,
    load_campaign,
    look_at_media,
    notices,
    problems_value,
)
from manifest_runner.cli.service import environment, is_elsewhere
from manifest_runner.cli.terminal import say
from manifest_runner.errors import ManifestError


@click.command("validate")
@campaign_options
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(as_json: bool, **options: Any) -> int:
    """Check MANIFEST and its media; send nothing. Every problem is listed, with its place and its mend."""
    from manifest_runner.manifest import told

    try:
        campaign = load_campaign(**options)
        remote = is_elsewhere(campaign.manifest, options["base_url"], environment())
        found = look_at_media(campaign.manifest, quiet=as_json, remote_service=remote)
        if found.problems:
            raise ManifestError(told(found.problems))
    except ManifestError as error:
        if not as_json:
            raise
        say(json.dumps({"valid": False, "problems": problems_value(error)}, indent=2))
        return error.exit_code
    manifest = campaign.manifest
    if as_json:
        value = {"valid": True, "campaign": manifest.campaign, "jobs": len(manifest.jobs), "problems": []}
        say(json.dumps(value, indent=2))
    else:
        say(f"{manifest.path} is valid: campaign {manifest.campaign}, {_count(len(manifest.jobs))}.")
        for line in notices(manifest):
            say(line)
    return 0


def _count(jobs: int) -> str:
    return f"{jobs} job{'' if jobs == 1 else 's'}"
