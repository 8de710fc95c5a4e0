"""What the commands say. It holds names, ids and messages from elsewhere, none of which may steer a terminal."""

from __future__ import annotations

import click

from manifest_runner.models import printable


def say(text: str, *, err: bool = False) -> None:
    """Print lines for a person, without anything in them that a terminal would obey."""
    click.echo("\n".join(printable(line) for line in text.split("\n")), err=err)
