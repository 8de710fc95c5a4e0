"""What every test has: a canary key, and a media cache that is not the user's own.

A test fails when its canary turns up in a file or a log record afterwards.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from canaries import CANARY, files_with_secrets, secrets_in

CACHE = "MANIFEST_RUNNER_CACHE"


@pytest.fixture(autouse=True, scope="session")
def a_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Also for the commands that tests start in processes of their own."""
    before = os.environ.get(CACHE)
    os.environ[CACHE] = str(tmp_path_factory.mktemp("media-cache"))
    yield
    os.environ.pop(CACHE, None)
    if before is not None:
        os.environ[CACHE] = before


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
