"""The command line as a person uses it: a real process, a real folder, the real sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from canaries import files_with_secrets, secrets_in

SECRETS = ("KLING_API_KEY", "KLING_SECRET_KEY", "KLING_ACCESS_KEY", "KLING_WEBHOOK_SECRET")

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def cli(tmp_path: Path, canary: str) -> Iterator[Cli]:
    """`cli("run", "campaign.yaml")` runs manifest-runner in the test's folder.

    The environment's only key is a canary, unless `env` says otherwise (`env={}`: none at all). Whatever keys a test
    uses, none of them may be printed, nor be found in the test's folder afterwards.
    """
    secrets: set[str] = set()

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        given = {"KLING_API_KEY": f"{canary}-api"} if env is None else env
        secrets.update(value for name, value in given.items() if name in SECRETS)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KLING_")}
        answer = subprocess.run(
            [sys.executable, "-m", "manifest_runner.cli", *arguments],
            cwd=tmp_path,
            env={**clean, **given},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert not secrets_in((answer.stdout + answer.stderr).encode(), secrets)
        return answer

    yield run
    assert not files_with_secrets(tmp_path, secrets)
