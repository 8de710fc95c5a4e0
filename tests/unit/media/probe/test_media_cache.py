"""What is found out about media is kept for the next command, and never believed where it could be wrong."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from media_kit import picture, wav

from manifest_runner.media import JobMedia, ProbeCache, open_cache, preflight, probe_audio, probe_image
from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.probe.cache import FOLDER_VARIABLE, default_folder
from manifest_runner.models import Job, Problem

LOOK = import_module("manifest_runner.media.probe.look")
JOB = Job(external_task_id="a", image="face.png", sound_file="voice.wav", output="a.mp4")
LONG_AGO = 1_000_000_000 * 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in (("face.png", picture()), ("voice.wav", wav(2.5))):
        (tmp_path / name).write_bytes(data)
        os.utime(tmp_path / name, ns=(LONG_AGO, LONG_AGO))
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are opened."""
    real, names = LOOK.opened, []

    def spy(source, *rest):
        names.append(source.path)
        return real(source, *rest)

    monkeypatch.setattr(LOOK, "opened", spy)
    return names


class Seen(NamedTuple):
    """What one look has found: the same, where nothing has changed."""

    media: JobMedia | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def look(folder: Path, cache: Path) -> Seen:
    with open_cache(cache) as known:
        found = preflight([JOB], folder, cache=known)
    return Seen(found.of(JOB), found.problems, found.warnings)


def test_the_next_command_opens_nothing_that_stayed_as_it_was(folder, tmp_path, opened):
    first = look(folder, tmp_path / "cache")
    assert sorted(opened) == ["face.png", "voice.wav"]
    opened.clear()
    assert look(folder, tmp_path / "cache") == first
    assert opened == []
    assert first.media.seconds == Decimal("2.5")


def test_a_file_of_another_size_or_time_is_looked_at_anew(folder, tmp_path, opened):
    look(folder, tmp_path / "cache")
    opened.clear()
    (folder / "voice.wav").write_bytes(wav(3.5))
    assert look(folder, tmp_path / "cache").media.seconds == Decimal("3.5")
    assert opened == ["voice.wav"]
    opened.clear()
    os.utime(folder / "face.png", ns=(LONG_AGO, LONG_AGO + 1))
    look(folder, tmp_path / "cache")
    assert "face.png" in opened


def test_a_file_that_changed_a_moment_ago_may_change_again_unseen(folder, tmp_path, opened):
    (folder / "voice.wav").write_bytes(wav(2.5))
    look(folder, tmp_path / "cache")
    opened.clear()
    look(folder, tmp_path / "cache")
    assert opened == ["voice.wav"]


def test_a_moved_file_is_read_and_not_probed_again(folder, tmp_path, monkeypatch):
    look(folder, tmp_path / "cache")
    (folder / "voice.wav").rename(folder / "other.wav")
    (folder / "other.wav").rename(folder / "voice.wav")
    os.utime(folder / "voice.wav", ns=(LONG_AGO, LONG_AGO + 5))
    audio = import_module("manifest_runner.media.probe.audio")
    monkeypatch.setattr(audio, "probe_audio", lambda *_, **__: pytest.fail("probed again"))
    assert look(folder, tmp_path / "cache").problems == ()


@pytest.mark.parametrize("facts", [probe_image(picture()), probe_audio(wav(2.25))], ids=["image", "audio"])
def test_facts_come_back_as_they_were(facts, tmp_path):
    with open_cache(tmp_path) as cache:
        cache.remember_facts("k", facts)
    with open_cache(tmp_path) as cache:
        assert cache.facts(type(facts), "k") == facts
        other = ImageFacts if isinstance(facts, AudioFacts) else AudioFacts
        assert cache.facts(other, "k") is None


def test_what_is_older_than_is_wanted_is_not_known(tmp_path):
    facts = probe_image(picture())
    with open_cache(tmp_path) as cache:
        cache.remember_facts("k", facts)
    time.sleep(0.02)
    with open_cache(tmp_path) as cache:
        assert cache.facts(ImageFacts, "k", younger_than=0.01) is None
        assert cache.facts(ImageFacts, "k", younger_than=60) == facts


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
def test_a_cache_that_is_none_is_done_without(folder, tmp_path, content):
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "media-2.sqlite3").write_bytes(content)
    assert look(folder, cache).problems == ()


@pytest.mark.parametrize(
    "nonsense",
    [
        "'{\"width\": 1}'",
        "'[]'",
        "'null'",
        "x'ff'",
        'replace(value, \'"width": 320\', \'"width": "320"\')',
        "replace(value, '\"width\": 320', '\"width\": -1')",
        "replace(value, '2.5', 'NaN')",
        "replace(value, '2.5', '1e999999')",
        'replace(value, \'"sha256": "\', \'"sha256": "0\')',
        "replace(value, '\"png\"', '[\"png\"]')",
    ],
)
def test_nonsense_in_it_is_not_believed(folder, tmp_path, nonsense):
    expected = look(folder, tmp_path / "cache")
    with sqlite3.connect(tmp_path / "cache" / "media-2.sqlite3") as database:
        database.execute(f"UPDATE facts SET value = {nonsense}")
    assert look(folder, tmp_path / "cache") == expected


def test_another_file_of_the_same_size_and_time_is_another(folder, tmp_path):
    """As `cp -p`, `rsync -t` and archives leave it."""
    before = look(folder, tmp_path / "cache").media.fingerprint
    other = bytearray(wav(2.5))
    other[-2] ^= 1
    (folder / "voice.wav").write_bytes(other)
    os.utime(folder / "voice.wav", ns=(LONG_AGO, LONG_AGO))
    assert look(folder, tmp_path / "cache").media.fingerprint != before


def test_a_folder_that_others_may_write_to_is_not_used(folder, tmp_path):
    (tmp_path / "cache").mkdir(mode=0o777)
    (tmp_path / "cache").chmod(0o777)
    look(folder, tmp_path / "cache")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    look(folder, tmp_path / "link")
    assert list((tmp_path / "cache").iterdir()) == list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("when", [13_000_000_000 * 10**9, -(10**18)])
def test_names_and_times_of_any_kind_are_no_trouble(tmp_path, when):
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9"))
    odd.mkdir()
    for name, data in (("face.png", picture()), ("voice.wav", wav(2.5))):
        (odd / name).write_bytes(data)
        os.utime(odd / name, ns=(when, when))
    assert look(odd, tmp_path / "cache") == look(odd, tmp_path / "cache")


def test_a_folder_that_cannot_be_made_is_done_without(folder, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert look(folder, tmp_path / "file" / "cache").problems == ()


def test_it_is_its_owners_alone_and_lies_where_caches_do(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "manifest-runner"
    with open_cache() as cache:
        cache.remember_facts("k", probe_image(picture()))
    assert stat.S_IMODE((tmp_path / "xdg" / "manifest-runner").stat().st_mode) == 0o700
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/paths/are/to/be/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "manifest-runner"
    monkeypatch.setenv(FOLDER_VARIABLE, "")
    assert default_folder() is None


def test_threads_may_ask_and_tell_at_once(tmp_path):
    facts = probe_image(picture())
    with open_cache(tmp_path) as cache:

        def work(number: int) -> None:
            for index in range(200):
                cache.remember_facts(f"{number}-{index}", facts)
                cache.facts(ImageFacts, f"{number}-{index}")
                cache.sha256_of((b"nowhere", index, 0, "1:2:3"))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with open_cache(tmp_path) as cache:
        assert cache.facts(ImageFacts, "7-199") == facts


def test_without_a_folder_it_knows_only_what_it_met():
    cache, facts = ProbeCache(), probe_image(picture())
    assert cache.facts(ImageFacts, "k") is None
    cache.remember_facts("k", facts)
    assert cache.facts(ImageFacts, "k") == facts
