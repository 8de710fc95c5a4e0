"""`manifest-runner sandbox`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("sandbox")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".manifest-runner/sandbox"),
    show_default=True,
    help="Folder that tasks and results are kept in.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: a free one.")
@click.option("--slots", type=click.IntRange(1, 1000), default=5, show_default=True, help="Tasks at once.")
@click.option(
    "--render-time", type=click.FloatRange(0), metavar="SECONDS", help="A task takes at least this long."
)
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    metavar="FACTOR",
    help="A task takes as long as at the real service, divided by this.",
)
@click.option(
    "--previews/--no-previews",
    default=True,
    show_default=True,
    help="Without them every task ends with the same tiny video, and nothing is rendered: for trials of load.",
)
@click.option(
    "--retention",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="DAYS",
    help="Results are deleted after this; fractions are taken.",
)
@click.option(
    "--allow-private-media", is_flag=True, help="Fetch media URLs that lead to private addresses too."
)
@click.option(
    "--allow-local-callbacks", is_flag=True, help="Post callbacks to receivers on this machine too."
)
@click.option("--verbose", is_flag=True, help="One line for each request.")
def command(port: int, retention: float, **options: Any) -> int:
    """Serve the Avatar API on this machine, with real previews in place of real videos. Costs nothing.

    Its key is KLING_ACCESS_KEY and KLING_SECRET_KEY from the environment or a .env file, or a new one, which is
    printed with the address. With KLING_WEBHOOK_SECRET set, callbacks are signed.
    """
    from manifest_runner.cli.listening import webhook_secrets
    from manifest_runner.cli.service import environment
    from manifest_runner.sandbox import SandboxSettings, new_key_pair
    from manifest_runner.sandbox.serve import serve

    variables = environment()
    keys = new_key_pair()
    access_key, secret_key = keys["access_key"], keys["secret_key"]
    own = "KLING_ACCESS_KEY" in variables and "KLING_SECRET_KEY" in variables
    if own:
        access_key, secret_key = variables["KLING_ACCESS_KEY"], variables["KLING_SECRET_KEY"]
    settings = SandboxSettings(
        port=port,
        retention_days=retention,
        api_key=variables.get("KLING_API_KEY"),
        webhook_secret=next(iter(webhook_secrets(variables)), None),
        access_key=access_key,
        secret_key=secret_key,
        **options,
    )

    def ready(base_url: str) -> None:
        click.echo(f"The sandbox listens at {base_url} (Ctrl-C ends it). To use it from another terminal:")
        click.echo(f"  export KLING_BASE_URL={base_url}")
        if own:
            click.echo("  with the KLING_ACCESS_KEY and KLING_SECRET_KEY that are set here")
        else:
            for name, value in settings.environment.items():
                click.echo(f"  export {name}={value}")
        click.echo(f"A run of ours goes to it with: --service sandbox --base-url {base_url}")

    serve(settings, ready=ready)
    return 0
