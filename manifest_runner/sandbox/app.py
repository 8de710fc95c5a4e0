"""The routes of the Avatar API, and the result files.

Every answer is an envelope, also for addresses and methods that do not exist; only result files are not. A request
is looked at as the service does: the key first, then the JSON, the parameters, the id, and the slots last.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable
from concurrent.futures import Executor
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from manifest_runner.models import ServiceStatus, units_text
from manifest_runner.sandbox.account import OnceASecond, resource_packs
from manifest_runner.sandbox.calls import AVATAR_PATH, COSTS_PATH, RESULTS_PATH, SPEECH_PATH, Calls
from manifest_runner.sandbox.edge import EXCEPTION_HANDLERS, Gate, read_body
from manifest_runner.sandbox.folders import MEDIA, Folders, ForeignName
from manifest_runner.sandbox.intake import Intake, check_speech
from manifest_runner.sandbox.refusals import (
    BAD_PARAMETER,
    CONTENT_POLICY,
    NOT_FOUND,
    TOO_MANY_TASKS,
    Refusal,
    bad_parameter,
    envelope,
)
from manifest_runner.sandbox.rules import (
    MAX_PAGE,
    MAX_PAGE_SIZE,
    CreateOrder,
    create_order,
    query_number,
    speech_order,
)
from manifest_runner.sandbox.settings import SandboxSettings
from manifest_runner.sandbox.speech.voices import speak
from manifest_runner.sandbox.stand_in import StandIn
from manifest_runner.sandbox.store import DuplicateId, SlotsTaken, Store
from manifest_runner.sandbox.task import (
    REFUSE_MARK,
    UNITS_A_SPEECH,
    MediaFacts,
    NewTask,
    ResultRole,
    Task,
    created_fields,
    task_fields,
    waiting_time,
)
from manifest_runner.sandbox.workshop import SPEECH_LIFE_MS, Workshop, new_token

MAX_TIME_MS = 10**14
SUFFIX = {ResultRole.VIDEO: "mp4", ResultRole.WATERMARK: "mp4", ResultRole.AUDIO: "mp3"}
MEDIA_TYPE = {"mp4": "video/mp4", "mp3": "audio/mpeg"}


class AvatarApi:
    """The endpoints over the collaborators that they need. `own_base_url`: where this server listens itself."""

    def __init__(
        self,
        *,
        settings: SandboxSettings,
        folders: Folders,
        store: Store,
        workshop: Workshop,
        intake: Intake,
        executor: Executor,
        now_ms: Callable[[], int],
        own_base_url: str,
        stand_in: StandIn | None,
    ) -> None:
        self._own_base_url = own_base_url
        self._stand_in = stand_in
        self._settings = settings
        self._folders = folders
        self._store = store
        self._workshop = workshop
        self._intake = intake
        self._executor = executor
        self._now_ms = now_ms
        self._costs_gate = OnceASecond()

    async def create(self, request: Request) -> Response:
        order = create_order(await read_body(request))
        if REFUSE_MARK in order.prompt:
            raise Refusal(
                CONTENT_POLICY, "The prompt was refused by content policy (rehearsed: it asked for it)"
            )
        image = await self._intake.image(order.image)
        if order.mouth is not None:
            await self._intake.mouth(order.mouth, image)
        audio = await self._sound(order)
        wait_ms = waiting_time(self._settings, audio.seconds)
        new = NewTask(order=order, image=image, audio=audio, wait_ms=wait_ms)
        try:
            task = self._store.add_task(new, slots=self._settings.slots, now_ms=self._now_ms())
        except DuplicateId:
            raise Refusal(BAD_PARAMETER, "Invalid parameter: external_task_id already exists") from None
        except SlotsTaken:
            raise Refusal(TOO_MANY_TASKS, "parallel task over resource pack limit") from None
        self._workshop.take(task)
        return envelope(created_fields(task))

    async def _sound(self, order: CreateOrder) -> MediaFacts:
        if order.sound_file is not None:
            return await self._intake.audio(order.sound_file)
        speech = self._store.find_speech(order.audio_id or "", since_ms=self._now_ms() - SPEECH_LIFE_MS)
        if speech is None:
            raise bad_parameter("audio_id", "is unknown, or older than 30 days")
        return check_speech(speech)

    async def get(self, request: Request) -> Response:
        task = self._store.find_task(request.path_params["any_id"])
        if task is None:
            raise Refusal(NOT_FOUND, "The task does not exist")
        return envelope(self._shown([task], request)[0])

    async def list_page(self, request: Request) -> Response:
        query = request.query_params
        page = query_number(query, "pageNum", default=1, lowest=1, highest=MAX_PAGE)
        size = query_number(query, "pageSize", default=30, lowest=1, highest=MAX_PAGE_SIZE)
        tasks = self._store.list_tasks(page=page, size=size)
        return envelope(self._shown(tasks, request))

    async def speak(self, request: Request) -> Response:
        order = speech_order(await read_body(request))
        data = await asyncio.get_running_loop().run_in_executor(self._executor, speak, order)
        speech = await self._intake.speech(data)
        now, token = self._now_ms(), new_token()
        audio_id = self._store.add_speech(
            speech.key, UNITS_A_SPEECH, token, f"{MEDIA}/{speech.key}", now_ms=now
        )
        audio = {
            "id": str(audio_id),
            "url": result_url(self._base_url(request), ResultRole.AUDIO, token),
            "duration": units_text(speech.seconds),
        }
        return envelope(
            {
                "task_id": str(audio_id + 1),  # never looked up: the service has no query for speeches
                "task_status": ServiceStatus.SUCCEED,
                "task_status_msg": "",
                "task_result": {"audios": [audio]},
                "final_unit_deduction": units_text(UNITS_A_SPEECH),
                "created_at": now,
                "updated_at": now,
            }
        )

    async def costs(self, request: Request) -> Response:
        self._costs_gate.check()
        start, end = (
            query_number(request.query_params, name, default=None, lowest=0, highest=MAX_TIME_MS)
            for name in ("start_time", "end_time")
        )
        if start > end:
            raise bad_parameter("start_time", "must not be later than end_time")
        packs = resource_packs(
            slots=self._settings.slots, opened_ms=self._store.opened_ms(), deducted=self._store.deducted()
        )
        return envelope(packs)

    async def result(self, request: Request) -> Response:
        """A result file, in ranges where asked. Its name is all the right that is needed to fetch it."""
        token, _, suffix = request.path_params["name"].rpartition(".")
        file = self._store.find_result(token, since_ms=self._results_since())
        if self._stand_in is not None and file == self._stand_in.file:
            headers = {"etag": f'"{self._stand_in.etag}"'}
            return Response(self._stand_in.content, headers=headers, media_type="video/mp4")
        with contextlib.suppress(ForeignName):
            path = self._folders.stored_file(file or "")
            if suffix in MEDIA_TYPE and path.is_file():
                return FileResponse(path, media_type=MEDIA_TYPE[suffix])
        raise Refusal(NOT_FOUND, "The result does not exist, or not any more")

    def _shown(self, tasks: list[Task], request: Request) -> list[dict[str, object]]:
        base_url = self._base_url(request)
        return show_tasks(tasks, self._store, since_ms=self._results_since(), base_url=base_url)

    def _results_since(self) -> int:
        return self._now_ms() - self._settings.retention_ms

    def _base_url(self, request: Request) -> str:
        """The address that the client used, where its Host is this machine; addresses in answers build on it."""
        host = request.headers.get("host", "")
        if names_this_machine(host, self._settings.host):
            return f"http://{host}"
        return self._own_base_url


def build_app(api: AvatarApi, settings: SandboxSettings, calls: Calls | None) -> Starlette:
    app = Starlette(
        routes=[
            Route(AVATAR_PATH, api.create, methods=["POST"]),
            Route(AVATAR_PATH, api.list_page, methods=["GET"]),
            Route(AVATAR_PATH + "/{any_id:path}", api.get, methods=["GET"]),
            Route(SPEECH_PATH, api.speak, methods=["POST"]),
            Route(COSTS_PATH, api.costs, methods=["GET"]),
            Route(RESULTS_PATH + "{name}", api.result, methods=["GET"]),
        ],
        middleware=[Middleware(Gate, settings=settings, calls=calls)],
        exception_handlers=EXCEPTION_HANDLERS,
    )
    app.router.redirect_slashes = False
    return app


def result_url(base_url: str, role: ResultRole, token: str) -> str:
    return f"{base_url}{RESULTS_PATH}{token}.{SUFFIX[role]}"


def show_tasks(tasks: list[Task], store: Store, *, since_ms: int, base_url: str) -> list[dict[str, object]]:
    """The tasks as queries and callbacks show them, with links to the results made after `since_ms`."""
    tokens = store.result_tokens([task.task_id for task in tasks], since_ms=since_ms)
    return [
        task_fields(
            task,
            {role: result_url(base_url, role, token) for role, token in tokens.get(task.task_id, {}).items()},
        )
        for task in tasks
    ]


def names_this_machine(host: str, own_host: str) -> bool:
    """Whether a Host header names loopback, or the address that the sandbox was told to serve on."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name in ("localhost", own_host) or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
