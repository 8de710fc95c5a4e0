"""What can go wrong on this machine while a command is carried out."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from model_rig import Rig, Trouble

from manifest_runner.errors import Interrupted
from manifest_runner.ledger.writer import Writer
from manifest_runner.runner import fetch
from manifest_runner.runner import run as run_module
from manifest_runner.runner.stop import Stop


def crash_at_write(nth: int) -> Trouble:
    """From the n-th write after planning on nothing reaches the ledger. What is kept beside it may go down with it."""

    def trouble(patch: pytest.MonkeyPatch, rig: Rig) -> None:
        real, when_planned, done = Writer._transact, rig.campaign.after_planning, -1

        def planned() -> None:
            nonlocal done
            when_planned()
            done = 0

        def transact(writer: Writer, batch: list) -> None:
            nonlocal done
            done += len(batch) if done >= 0 else 0
            if done >= nth:
                raise sqlite3.OperationalError("disk I/O error")
            real(writer, batch)

        patch.setattr(rig.campaign, "after_planning", planned)
        patch.setattr(Writer, "_transact", transact)

    return trouble


def crash_at_file(*, renamed: bool) -> Trouble:
    """A video is here and checked; the end comes before, or right after, it has its final name."""

    def trouble(patch: pytest.MonkeyPatch, rig: Rig) -> None:
        real = fetch.settle

        def settle(part: Path, final: Path) -> str:
            if renamed:
                real(part, final)
            raise OSError(5, "Input/output error")

        patch.setattr(fetch, "settle", settle)

    return trouble


def interrupted_at_call(nth: int) -> Trouble:
    """Ctrl-C comes with the n-th call to the service."""

    def trouble(patch: pytest.MonkeyPatch, rig: Rig) -> None:
        stops: list[Stop] = []

        def new_stop() -> Stop:
            stops.append(Stop())
            return stops[-1]

        last = rig.service.asked + nth

        def at_call(number: int) -> None:
            if number >= last:
                for stop in stops:
                    stop.now(Interrupted("Interrupted."))

        patch.setattr(run_module, "Stop", new_stop)
        patch.setattr(rig.service, "at_call", at_call)

    return trouble
