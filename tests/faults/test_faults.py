"""Every fault of the table, through a real front and a real sandbox: no duplicate, nothing lost, no wrong total."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import FAULTS, Fault
from rig import SandboxProcess, sandbox
from undergo import undergo

State = tuple[SandboxProcess, Path]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    state = tmp_path_factory.mktemp("sandbox")
    with sandbox(state, slots=20) as process:
        yield process, state


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(fault: Fault, service: State, tmp_path: Path) -> None:
    process, state = service
    audit = undergo(fault, tmp_path, process, state)
    assert audit.injected, "nothing went wrong: this case shows nothing"
    assert (audit.duplicates, audit.lost, audit.wrong_totals) == (0, 0, 0), audit.said
    assert not audit.broken, audit.said
    assert audit.exit_codes[-1] == 0, audit.said
    assert "Traceback" not in audit.said
    assert not any(key in audit.said for key in process.environment.values())
