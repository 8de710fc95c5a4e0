"""One task's way from submitted to its end, and the housekeeping beside it.

Rendering runs in worker threads (FFmpeg and Pillow release the interpreter's lock); the event loop keeps the
order and writes the store. What is unfinished when the sandbox stops is taken up again at the next start.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from manifest_runner.sandbox.folders import MEDIA, RESULTS, Folders, ForeignName
from manifest_runner.sandbox.preview.face import finder_version
from manifest_runner.sandbox.preview.render import RenderCancelled, render
from manifest_runner.sandbox.preview.scene import Recipe
from manifest_runner.sandbox.settings import SandboxSettings
from manifest_runner.sandbox.stand_in import StandIn
from manifest_runner.sandbox.store import Store
from manifest_runner.sandbox.task import FAIL_MESSAGE, ResultRole, Task, deduction, remaining_ms

SPEECH_LIFE_MS = 30 * 86_400_000  # an audio id can be used for 30 days
MEDIA_LIFE_MS = 3_600_000  # at least: a portrait that comes again within the hour is not checked again

logger = logging.getLogger(__name__)


class Workshop:
    """Entering the context takes up unfinished tasks; leaving it stops the work, within a frame or so.

    With a `stand_in` nothing is rendered: every task ends with it.
    """

    def __init__(
        self,
        *,
        store: Store,
        folders: Folders,
        settings: SandboxSettings,
        on_change: Callable[[Task], None],
        now_ms: Callable[[], int],
        stand_in: StandIn | None = None,
    ) -> None:
        self._store = store
        self._folders = folders
        self._settings = settings
        self._on_change = on_change
        self._now_ms = now_ms
        self._stand_in = stand_in
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="render")
        self._workers = asyncio.Semaphore(settings.workers)
        self._renders: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._held: dict[int, set[str]] = {}  # files of tasks under way, which no row names yet
        self._stopping = threading.Event()
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Workshop:
        for task in self._store.unfinished_tasks():
            self._spawn(self._work(task))
        self._spawn(self._keep_house())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    def take(self, task: Task) -> None:
        """A task that has just been created."""
        self._on_change(task)
        self._spawn(self._work(task))

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        running = asyncio.create_task(work)
        self._running.add(running)
        running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        if not running.cancelled() and (error := running.exception()) is not None:
            logger.error("the sandbox's work broke off", exc_info=error)

    async def _work(self, task: Task) -> None:
        """Nothing that goes wrong here may leave a task unfinished: it would hold its slot for ever."""
        due = time.monotonic() + remaining_ms(task, self._now_ms()) / 1000
        try:
            files = await self._results(task)
        except RenderCancelled:
            return
        except Exception as error:
            logger.exception("task %s could not be rendered", task.task_id)
            ended = self._store.fail_task(
                task.task_id, f"Rendering failed: {type(error).__name__}", now_ms=self._now_ms()
            )
        else:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            ended = self._end(task, files)
        finally:
            self._held.pop(task.task_id, None)
        self._on_change(ended)

    def _end(self, task: Task, files: dict[ResultRole, str]) -> Task:
        if task.rehearses_failure:
            return self._store.fail_task(task.task_id, FAIL_MESSAGE, now_ms=self._now_ms())
        results = {role: (new_token(), file) for role, file in files.items()}
        units = deduction(task.mode, task.seconds)
        return self._store.finish_task(task.task_id, units, results, now_ms=self._now_ms())

    async def _results(self, task: Task) -> dict[ResultRole, str]:
        """The rendered files, as paths inside the state folder; none for a task that is to fail."""
        if self._stand_in is not None:
            self._begin(task)
            return {} if task.rehearses_failure else dict.fromkeys(roles_of(task), self._stand_in.file)
        if task.rehearses_failure:
            async with self._workers:
                self._begin(task)
            return {}
        recipes = recipes_of(task)
        files = {role: f"{RESULTS}/{recipe.key}.mp4" for role, recipe in recipes.items()}
        self._held[task.task_id] = set(files.values())
        for role, recipe in recipes.items():
            await self._ensure(task, recipe, self._folders.stored_file(files[role]))
        return files

    async def _ensure(self, task: Task, recipe: Recipe, target: Path) -> None:
        """Equal tasks wait for one rendering, without taking a worker from others."""
        lock = self._renders.setdefault(recipe.key, asyncio.Lock())
        async with lock, self._workers:
            self._begin(task)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._render, recipe, target)

    def _render(self, recipe: Recipe, target: Path) -> None:
        if not target.exists():
            render(
                recipe,
                image=self._folders.media_file(recipe.image_key),
                audio=self._folders.media_file(recipe.audio_key),
                target=target,
                cancelled=self._stopping.is_set,
            )

    def _begin(self, task: Task) -> None:
        """A worker has taken the task up. One that was under way when the sandbox stopped has begun already."""
        begun = self._store.start_task(task.task_id, now_ms=self._now_ms())
        if begun is not None:
            self._on_change(begun)

    async def _keep_house(self) -> None:
        """Delete results after their retention, and media that nothing needs any more."""
        pause = min(60.0, self._settings.retention_ms / 4000)
        while True:
            self.tidy()
            await asyncio.sleep(pause)

    def tidy(self) -> None:
        now = self._now_ms()
        retention_ms = self._settings.retention_ms
        self._store.drop_results(before_ms=now - retention_ms)
        kept = self._store.result_files().union(*self._held.values())
        if self._stand_in is not None:
            kept.add(self._stand_in.file)
        for name in list(self._folders.result_names()):
            if f"{RESULTS}/{name}" not in kept:
                self._delete(f"{RESULTS}/{name}")
        media_before = now - max(retention_ms, MEDIA_LIFE_MS)
        for key in self._store.drop_media(before_ms=media_before, speeches_before_ms=now - SPEECH_LIFE_MS):
            self._delete(f"{MEDIA}/{key}")

    def _delete(self, file: str) -> None:
        try:
            self._folders.stored_file(file).unlink(missing_ok=True)
        except ForeignName as error:
            logger.warning("nothing was deleted: %s", error)


def recipes_of(task: Task) -> dict[ResultRole, Recipe]:
    """What has to be rendered for a task."""
    return {
        role: Recipe(
            image_key=task.image_key,
            audio_key=task.audio_key,
            audio_format=task.audio_format,
            mode=task.mode,
            watermark=role is ResultRole.WATERMARK,
            mouth=task.mouth,
            face_finder=finder_version(),
        )
        for role in roles_of(task)
    }


def roles_of(task: Task) -> tuple[ResultRole, ...]:
    """The results that a task is to have."""
    return (ResultRole.VIDEO, ResultRole.WATERMARK) if task.watermark else (ResultRole.VIDEO,)


def new_token() -> str:
    """A result's name that nobody can guess: whoever knows it may fetch the file."""
    return secrets.token_urlsafe(24)
