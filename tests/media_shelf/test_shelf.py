from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import shelf
from filelock import FileLock

TABLE = Path(__file__).with_name("table.py")


@pytest.fixture(scope="session")
def results(tmp_path_factory, worker_id):
    """What the table found, in a process of its own; once, however many workers ask."""
    common = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        common = common.parent
    file = common / "media-shelf.json"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            command = [sys.executable, "-W", "error::ResourceWarning", str(TABLE), "--json", str(file)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            assert file.exists(), done.stdout + done.stderr
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("item", shelf.SHELF, ids=lambda item: item.name)
def test_what_can_be_mended_is_accepted_and_the_rest_is_refused_for_its_own_reason(item, results):
    if not item.there:
        pytest.skip(f"2026-11-25: the extra with {item.needs} is not installed")
    row = results["rows"][item.name]
    assert shelf.as_expected(item, row), row
    if (
        item.sound and not row["problem"] and "damaged" not in item.name
    ):  # players lose different parts of those
        assert abs(row["seconds"] - row["promised"]) <= 0.1


def test_the_shelf_is_as_full_as_it_claims_to_be():
    assert len({item.file_name for item in shelf.SHELF}) >= 60


def test_silence_is_a_warning_and_no_more(results):
    row = results["rows"]["silent.wav"]
    assert "silent" in row["what"]
    assert not row["problem"]


def test_what_is_planned_is_what_is_done(results):
    """Final figures come on top; a picture that is not see-through after all becomes a JPEG in place of a PNG."""
    for name, row in results["rows"].items():
        if row["done"] and name not in ("animated.webp", "see-through-noise.png"):
            assert row["done"].startswith(row["planned"]) or row["planned"].startswith("saved in"), name


def test_memory_stays_within_its_bound(results):
    assert results["memory"] < 500
