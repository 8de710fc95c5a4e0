"""The `manifest-runner` command: its sub-commands by name, and the one place where errors become exit codes."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence

import click

from manifest_runner import __version__
from manifest_runner.errors import Interrupted, ManifestRunnerError

COMMANDS = (
    "init",
    "validate",
    "plan",
    "rehearse",
    "run",
    "retry",
    "listen",
    "adopt",
    "status",
    "report",
    "explain",
    "schema",
    "sandbox",
)


class LazyGroup(click.Group):
    """Imports a sub-command only when it is called, so that `--help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"manifest_runner.cli.{cmd_name}").command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="manifest-runner")
def main() -> None:
    """Talking-avatar videos from a manifest: each job paid once, each result kept, each unit reported.

    \b
    Start with:  manifest-runner init my-campaign
                 manifest-runner rehearse my-campaign/campaign.yaml
                 manifest-runner run my-campaign/campaign.yaml
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (README, "Exit codes")."""
    try:
        result = main.main(args=arguments, prog_name="manifest-runner", standalone_mode=False)
    except click.exceptions.Abort:
        return _say("Interrupted.", 130)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ManifestRunnerError as error:
        # A person's own wish, such as a no to what a run would cost, is no error.
        told = str(error) if isinstance(error, Interrupted) else f"Error: {error}"
        return _say(told, error.exit_code)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for the interpreter's last flush
        return 141
    except Exception as error:
        if os.environ.get("MANIFEST_RUNNER_DEBUG"):
            raise
        return _say(
            f"Error: this is a bug in manifest-runner ({type(error).__name__}: {error}).\nThe ledger is safe. Please "
            "report it with what MANIFEST_RUNNER_DEBUG=1 in front of the command prints.",
            1,
        )
    return result if isinstance(result, int) else 0


def run_and_exit() -> None:
    # A sheet of 100,000 rows makes millions of values that live for a moment and form no circle: looking for circles
    # among all others after each 700 of them takes a tenth of the time.
    gc.set_threshold(50_000, 50, 100)
    sys.exit(run())


def _say(text: str, code: int) -> int:
    from manifest_runner.cli.terminal import say

    say(text, err=True)
    return code
