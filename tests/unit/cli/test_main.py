"""What the command line says to a wrong option and to a person's own no."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from manifest_runner.cli import main
from manifest_runner.errors import Interrupted, UsageError


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--concurrency", "many", "'many' is not a whole number from 1 to 1000, or `auto`."),
        ("--concurrency", "0", "'0' is not a whole number from 1 to 1000, or `auto`."),
        ("--budget-units", "5,50", "'5,50' is no number of units: write one from 0 up, such as 5.50."),
    ],
)
def test_a_wrong_value_is_told_with_the_right_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, told: str
) -> None:
    assert main.run(["plan", str(tmp_path / "c.csv"), option, value]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (Interrupted("Nothing was sent."), 130, "Nothing was sent.\n"),
        (UsageError("It is wrong."), 2, "Error: It is wrong.\n"),
    ],
)
def test_a_persons_own_no_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    told: str,
) -> None:
    @click.command()
    def stopped() -> None:
        raise error

    monkeypatch.setattr(main, "main", stopped)
    assert main.run([]) == code
    assert capsys.readouterr().err == told
