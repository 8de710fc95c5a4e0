from __future__ import annotations

import pytest

import manifest_runner.service.aiohttp_transport  # noqa: F401 - imported late else, within what tests measure
from manifest_runner.service.connections import TRANSPORT, Engine


@pytest.fixture(params=list(Engine))
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Runs a test once on each transport: modules whose promises must hold on both use it for all of theirs."""
    monkeypatch.setenv(TRANSPORT, request.param)
    return request.param
