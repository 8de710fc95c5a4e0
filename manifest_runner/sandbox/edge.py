"""The edge of the server: what is done to every request before, and every failure after, an endpoint sees it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from manifest_runner.sandbox.auth import Doorkeeper
from manifest_runner.sandbox.calls import RESULTS_PATH, Calls
from manifest_runner.sandbox.refusals import BAD_REQUEST, INNER_ERROR, NOT_FOUND, WRONG_METHOD, Refusal
from manifest_runner.sandbox.rules import Body, parse_body
from manifest_runner.sandbox.settings import SandboxSettings

MAX_BODY = 40 * 1024 * 1024  # bytes; the largest portrait and recording as Base64 take about 20 MB
MAX_DRAINED = 4 * MAX_BODY  # read on, without keeping it, so that the client hears the answer

logger = logging.getLogger(__name__)


class Gate:
    """Checks the key before anything else is looked at, and logs one line a request: no query, no key, no token.

    `calls`, where there is one, counts the answers.
    """

    def __init__(self, app: ASGIApp, settings: SandboxSettings, calls: Calls | None = None) -> None:
        self._app = app
        self._doorkeeper = Doorkeeper(settings)
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._calls is not None or logger.isEnabledFor(logging.INFO):
            send = self._noting(scope, send)
        if not scope["path"].startswith(RESULTS_PATH):
            try:
                self._doorkeeper.check(Headers(scope=scope).get("authorization"))
            except Refusal as refusal:
                await _drain(receive)
                await refusal.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _noting(self, scope: Scope, send: Send) -> Send:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                path, method = scope["path"], scope["method"]
                shown = RESULTS_PATH if path.startswith(RESULTS_PATH) else path
                logger.info("%s %s %d", method, shown, message["status"])
                if self._calls is not None:
                    self._calls.count(method, path, message["status"])
            await send(message)

        return noting


async def _drain(receive: Receive) -> None:
    """Read a refused request to its end: a client that is still sending would meet a reset in place of the answer."""
    total = 0
    while total <= MAX_DRAINED:
        message = await receive()
        total += len(message.get("body", b""))
        if not message.get("more_body", False):
            return


async def read_body(request: Request) -> Body:
    """The JSON object of a request, refused when it is too large or said to be something else."""
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise Refusal(BAD_REQUEST, "Invalid request: Content-Type must be application/json")
    kept, total = bytearray(), 0
    async for chunk in request.stream():
        total += len(chunk)
        if total <= MAX_BODY:
            kept += chunk
        elif total > MAX_DRAINED:
            break
    if total > MAX_BODY:
        raise Refusal(BAD_REQUEST, f"Invalid request: the body is larger than {MAX_BODY // 1024 // 1024} MB")
    return parse_body(bytes(kept))


async def refused(_: Request, error: Exception) -> Response:
    return cast(Refusal, error).response()


async def http_error(_: Request, error: Exception) -> Response:
    """Starlette's own: no such route, or no such method on it. Either is HTTP 404 at the service."""
    if cast(HTTPException, error).status_code == 405:
        return Refusal(WRONG_METHOD, "Wrong method for this address").response()
    return Refusal(NOT_FOUND, "No such address").response()


async def gone(_: Request, __: Exception) -> Response:
    """The client hung up while it was sending: nobody hears this."""
    return Response(status_code=400)


async def inner_error(_: Request, __: Exception) -> Response:
    """A bug in the sandbox; the server writes its traceback to the error stream."""
    return Refusal(INNER_ERROR, "Inner error of the sandbox").response()


EXCEPTION_HANDLERS: Mapping[Any, Any] = {
    Refusal: refused,
    HTTPException: http_error,
    ClientDisconnect: gone,
    Exception: inner_error,
}
