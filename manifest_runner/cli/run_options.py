"""What every command that sends something can be told about how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from manifest_runner.cli.events import log_json_option
from manifest_runner.cli.listening import listening_options

F = TypeVar("F", bound=Callable[..., Any])

RUN_OPTIONS = (
    "create_timeout",
    "task_timeout",
    "same_account",
    "take_over",
    "yes",
    "as_json",
    "log_json",
    "callback_url",
    "listen",
)


def run_options(command: F) -> F:
    for decorate in reversed(
        (
            click.option(
                "--create-timeout",
                type=click.FloatRange(0.1, 3600),
                default=60.0,
                show_default=True,
                metavar="SECONDS",
                help="What a create call may take; an answer that was lost is waited out half as long again.",
            ),
            click.option(
                "--task-timeout",
                type=click.FloatRange(1),
                default=3600.0,
                show_default=True,
                metavar="SECONDS",
                help="How long a task may take before this run no longer waits for it.",
            ),
            click.option(
                "--same-account",
                is_flag=True,
                help="The key was changed, but it is of the account that earlier runs used.",
            ),
            click.option(
                "--take-over",
                is_flag=True,
                help="The runner that the ledger names does not run any more, though we can't know.",
            ),
            click.option(
                "--yes", is_flag=True, help="Don't ask before something that costs is sent from a terminal."
            ),
            click.option(
                "--json", "as_json", is_flag=True, help="Print report.json to standard output at the end."
            ),
            log_json_option,
            listening_options,
        )
    ):
        command = decorate(command)
    return command
