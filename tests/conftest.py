"""Canary keys: every test is given one to use, and fails when it turns up in a file or a log record afterwards."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from canaries import CANARY, files_with_secrets, secrets_in


@pytest.fixture
def canary() -> str:
    return CANARY


@pytest.fixture(autouse=True)
def no_secret_stays_behind(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    logged = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    assert not secrets_in(logged.encode(errors="replace"), set())
    if folder is not None:
        assert not files_with_secrets(folder, set())
