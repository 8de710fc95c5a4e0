"""How often each endpoint was called and what it answered: for trials, off unless asked for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from manifest_runner.sandbox.folders import open_private

AVATAR_PATH = "/v1/videos/avatar/image2video"
SPEECH_PATH = "/v1/audio/tts"
COSTS_PATH = "/account/costs"
RESULTS_PATH = "/results/"
CALLS_NAME = "calls.json"  # in the state folder


class Calls:
    """Counts in memory; `write` puts `{"create 200": 1000, "list 200": 12, ...}` into a file."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, method: str, path: str, status: int) -> None:
        self._counts[f"{endpoint(method, path)} {status}"] += 1

    def write(self, path: Path) -> None:
        with open_private(path) as file:
            file.truncate()
            file.write(json.dumps(self._counts, indent=1, sort_keys=True).encode())


def endpoint(method: str, path: str) -> str:
    """A word for each of the endpoints, whatever ids and tokens their paths hold."""
    if path == AVATAR_PATH:
        return "create" if method == "POST" else "list"
    if path.startswith(f"{AVATAR_PATH}/"):
        return "look-up"
    if path.startswith(RESULTS_PATH):
        return "result"
    return {SPEECH_PATH: "speech", COSTS_PATH: "costs"}.get(path, "other")
