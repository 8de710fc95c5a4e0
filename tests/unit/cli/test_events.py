"""Where `--log-json` writes to: events are added to events, and to nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifest_runner.cli.events import events_out
from manifest_runner.errors import UsageError


def added_to(path: Path) -> str:
    with events_out(str(path)) as out:
        assert out is not None
        out.write('{"v":1,"event":"run_started"}\n')
    return path.read_text()


@pytest.mark.parametrize(
    "before", ["", '{"v":1,"event":"job"}\n', '{"v":1,"event":"job"}\n{"v":1,"event":"jo']
)
def test_a_line_begins_on_a_line_of_its_own(tmp_path: Path, before: str) -> None:
    """Also behind one that a kill has cut off."""
    path = tmp_path / "events.jsonl"
    path.write_text(before)
    lines = added_to(path).splitlines()
    assert lines[-1] == '{"v":1,"event":"run_started"}'
    assert lines[:-1] == before.splitlines()


def test_what_holds_anything_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text("version: 1\n")
    with pytest.raises(UsageError, match="something else"):
        added_to(path)
    assert path.read_text() == "version: 1\n"
