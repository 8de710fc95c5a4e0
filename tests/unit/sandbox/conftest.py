from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox_kit import WEBHOOK_SECRET, Client

from manifest_runner.sandbox import start_sandbox


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="module")
def client(state: Path) -> Iterator[Client]:
    """A real sandbox in its own process, over real sockets, that renders as fast as it can."""
    with start_sandbox(
        state,
        slots=50,
        allow_private_media=True,
        allow_local_callbacks=True,
        webhook_secret=WEBHOOK_SECRET,
    ) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            yield client
