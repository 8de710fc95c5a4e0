from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from manifest_runner.errors import NeedsPerson
from manifest_runner.models import Box, Mode, ServiceStatus
from manifest_runner.sandbox.rules import CreateOrder
from manifest_runner.sandbox.store import DuplicateId, SlotsTaken, Store, open_store
from manifest_runner.sandbox.task import MediaFacts, NewTask, ResultRole

NOW = 1_795_000_000_000
IMAGE = MediaFacts(key="image-1", format="", seconds=Decimal(0))
AUDIO = MediaFacts(key="audio-1", format="mp3", seconds=Decimal("2.125"))
ORDER = CreateOrder(
    image="",
    sound_file="",
    audio_id=None,
    prompt="p",
    mode=Mode.PRO,
    watermark=True,
    callback_url="http://127.0.0.1/x",
    external_task_id=None,
)


def new(external_task_id: str | None = None) -> NewTask:
    return NewTask(
        order=replace(ORDER, external_task_id=external_task_id), image=IMAGE, audio=AUDIO, wait_ms=5
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "s.sqlite3", now_ms=NOW) as store:
        yield store


def test_a_task_is_read_back_as_it_was_written(store: Store) -> None:
    task = store.add_task(new("a"), slots=5, now_ms=NOW)
    assert store.find_task("a") == store.find_task(str(task.task_id)) == task
    assert (task.mode, task.watermark, task.seconds, task.units) == (Mode.PRO, True, Decimal("2.125"), None)
    assert len(str(task.task_id)) == 18
    assert store.find_task("b") is None
    assert store.find_task("9" * 40) is None


def test_where_the_mouth_is_stays_with_the_task(store: Store) -> None:
    box = Box(left=0, top=20, width=300, height=4)
    order = replace(ORDER, mouth=box)
    task = store.add_task(NewTask(order=order, image=IMAGE, audio=AUDIO, wait_ms=5), slots=5, now_ms=NOW)
    assert task.mouth == box
    assert store.unfinished_tasks() == [task]
    assert store.add_task(new("b"), slots=5, now_ms=NOW).mouth is None


@pytest.mark.parametrize(
    "text", ["", "1 2 3", "1 2 3 4 5", "1 2 0 4", "-1 2 3 4", "1 2 3 9999999", "a b c d"]
)
def test_a_mouth_that_none_of_us_wrote_is_a_damaged_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.sqlite3"
    with open_store(path, now_ms=NOW) as store:
        store.add_task(new("a"), slots=9, now_ms=NOW)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE tasks SET mouth = ?", [text])
    connection.close()
    with pytest.raises(NeedsPerson, match="can't be read"), open_store(path, now_ms=NOW) as store:
        store.find_task("a")


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parent / "store_versions" / "1.sql").read_text())
    connection.close()
    for _ in range(2):
        with open_store(path, now_ms=NOW + 1) as store:
            task = store.find_task("from-before")
            assert task is not None
            assert (task.mode, task.seconds, task.mouth) == (Mode.STD, Decimal("2.125"), None)
            assert store.opened_ms() == NOW
    with open_store(path, now_ms=NOW + 1) as store:
        order = replace(ORDER, mouth=Box(left=1, top=2, width=3, height=4))
        task = store.add_task(NewTask(order=order, image=IMAGE, audio=AUDIO, wait_ms=5), slots=9, now_ms=NOW)
        assert task.mouth == order.mouth


@pytest.mark.parametrize("end", ["live", "failed", "succeed"])
def test_an_id_can_be_used_once_whatever_became_of_it(store: Store, end: str) -> None:
    task = store.add_task(new("a"), slots=5, now_ms=NOW)
    if end == "failed":
        store.fail_task(task.task_id, "why", now_ms=NOW)
    if end == "succeed":
        store.finish_task(task.task_id, Decimal(1), {}, now_ms=NOW)
    with pytest.raises(DuplicateId):
        store.add_task(new("a"), slots=5, now_ms=NOW)
    assert len(store.list_tasks(page=1, size=10)) == 1


def test_the_id_is_looked_at_before_the_slots_and_a_refusal_makes_nothing(store: Store) -> None:
    task = store.add_task(new("a"), slots=1, now_ms=NOW)
    with pytest.raises(DuplicateId):
        store.add_task(new("a"), slots=1, now_ms=NOW)
    with pytest.raises(SlotsTaken):
        store.add_task(new("b"), slots=1, now_ms=NOW)
    assert store.find_task("b") is None
    store.start_task(task.task_id, now_ms=NOW)
    with pytest.raises(SlotsTaken):
        store.add_task(new("b"), slots=1, now_ms=NOW)
    store.fail_task(task.task_id, "", now_ms=NOW)
    store.add_task(new("b"), slots=1, now_ms=NOW)


def test_tasks_without_an_id_are_no_duplicates_and_are_listed_newest_first(store: Store) -> None:
    ids = [store.add_task(new(), slots=9, now_ms=now).task_id for now in (NOW, NOW, NOW - 60_000, NOW + 1)]
    assert ids == sorted(set(ids))
    assert [task.task_id for task in store.list_tasks(page=1, size=3)] == ids[:0:-1]
    assert [task.task_id for task in store.list_tasks(page=2, size=3)] == ids[:1]


def test_a_status_never_goes_back_in_time(store: Store) -> None:
    task = store.add_task(new(), slots=9, now_ms=NOW)
    started = store.start_task(task.task_id, now_ms=NOW - 5000)
    assert (started.status, started.updated_ms) == (ServiceStatus.PROCESSING, NOW)
    assert [task.task_id for task in store.unfinished_tasks()] == [task.task_id]
    store.fail_task(task.task_id, "why", now_ms=NOW + 9)
    assert store.unfinished_tasks() == []


def test_results_are_there_until_their_time_is_over(store: Store) -> None:
    task = store.add_task(new(), slots=9, now_ms=NOW)
    both = {ResultRole.VIDEO: ("t1", "results/k1.mp4"), ResultRole.WATERMARK: ("t2", "results/k2.mp4")}
    store.finish_task(task.task_id, Decimal("1.60"), both, now_ms=NOW)
    other = store.add_task(new(), slots=9, now_ms=NOW)
    store.finish_task(
        other.task_id, Decimal(2), {ResultRole.VIDEO: ("t3", "results/k1.mp4")}, now_ms=NOW + 100
    )
    assert store.result_tokens([task.task_id, other.task_id], since_ms=NOW) == {
        task.task_id: {ResultRole.VIDEO: "t1", ResultRole.WATERMARK: "t2"},
        other.task_id: {ResultRole.VIDEO: "t3"},
    }
    assert store.find_result("t1", since_ms=NOW) == "results/k1.mp4"
    assert store.find_result("t1", since_ms=NOW + 1) is None
    store.drop_results(before_ms=NOW + 1)
    assert store.result_files() == {"results/k1.mp4"}
    assert store.result_tokens([task.task_id], since_ms=0) == {}


def test_deductions_add_up_exactly(store: Store) -> None:
    for number in range(10):
        task = store.add_task(new(), slots=99, now_ms=NOW + number)
        store.finish_task(task.task_id, Decimal("0.1"), {}, now_ms=NOW)
    store.fail_task(store.add_task(new(), slots=99, now_ms=NOW).task_id, "", now_ms=NOW)
    store.add_speech("speech-1", Decimal("0.05"), "t", "media/speech-1", now_ms=NOW)
    assert store.deducted() == Decimal("1.05")


def test_media_stay_while_something_needs_them(store: Store) -> None:
    speech = MediaFacts(key="speech-1", format="mp3", seconds=Decimal(3))
    for kind, facts in (("image", IMAGE), ("audio", AUDIO), ("speech", speech)):
        store.remember_media(kind, facts, now_ms=NOW)
    assert store.find_media("audio", "audio-1") == AUDIO
    assert store.find_media("image", "audio-1") is None
    task = store.add_task(new(), slots=9, now_ms=NOW)
    audio_id = str(store.add_speech("speech-1", Decimal("0.05"), "t", "f", now_ms=NOW))
    assert store.drop_media(before_ms=NOW + 1, speeches_before_ms=NOW) == []
    assert store.find_speech(audio_id, since_ms=NOW) == speech
    assert store.find_speech(audio_id, since_ms=NOW + 1) is None
    assert store.find_speech("audio-7", since_ms=0) is None
    store.fail_task(task.task_id, "", now_ms=NOW)
    assert store.drop_media(before_ms=NOW, speeches_before_ms=NOW + 1) == []
    dropped = store.drop_media(before_ms=NOW + 1, speeches_before_ms=NOW + 1)
    assert sorted(dropped) == ["audio-1", "image-1", "speech-1"]


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    with open_store(path, now_ms=NOW) as store:
        task = store.add_task(new("a"), slots=9, now_ms=NOW)
    with open_store(path, now_ms=NOW + 10**6) as store:
        assert store.find_task("a") == task
        assert store.opened_ms() == NOW
        assert store.add_task(new("b"), slots=9, now_ms=NOW - 10**6).task_id > task.task_id


def test_a_file_that_is_no_database_or_too_new_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(NeedsPerson, match="Move the file"), open_store(path, now_ms=NOW):
        pass
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(NeedsPerson, match="newer version"), open_store(path, now_ms=NOW):
        pass
