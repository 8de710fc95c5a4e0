"""`manifest-runner schema`."""

from __future__ import annotations

from typing import Literal, cast

import click


@click.command("schema")
@click.argument("name", type=click.Choice(["manifest", "job", "report"]), default="manifest")
def command(name: str) -> int:
    """Print a JSON Schema: of the manifest (default), of a complete job, or of report.json."""
    from manifest_runner.manifest import bundled_schema_text

    click.echo(bundled_schema_text(cast(Literal["manifest", "job", "report"], name)), nl=False)
    return 0
