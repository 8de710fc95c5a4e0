"""How the service says no: its codes, each with the HTTP status it comes with, in the envelope of every answer."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from starlette.responses import JSONResponse

AUTHENTICATION_FAILED = 1000
NO_AUTHORIZATION = 1001
AUTHORIZATION_INVALID = 1002
TOKEN_NOT_YET_VALID = 1003
TOKEN_EXPIRED = 1004
BAD_REQUEST = 1200
BAD_PARAMETER = 1201
WRONG_METHOD = 1202
NOT_FOUND = 1203
CONTENT_POLICY = 1301
TOO_FAST = 1302
TOO_MANY_TASKS = 1303
INNER_ERROR = 5000

HTTP_STATUS = {
    AUTHENTICATION_FAILED: 401,
    NO_AUTHORIZATION: 401,
    AUTHORIZATION_INVALID: 401,
    TOKEN_NOT_YET_VALID: 401,
    TOKEN_EXPIRED: 401,
    BAD_REQUEST: 400,
    BAD_PARAMETER: 400,
    WRONG_METHOD: 404,
    NOT_FOUND: 404,
    CONTENT_POLICY: 400,
    TOO_FAST: 429,
    TOO_MANY_TASKS: 429,
    INNER_ERROR: 500,
}


class Refusal(Exception):
    """An answer whose code is not 0. `retry_after` is in seconds."""

    def __init__(self, code: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after

    def response(self) -> JSONResponse:
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return envelope(code=self.code, message=self.message, headers=headers)


def bad_parameter(name: str, why: str) -> Refusal:
    """A refusal that names the parameter, as every 1201 does."""
    return Refusal(BAD_PARAMETER, f"Invalid parameter: {name} {why}")


def envelope(
    data: object = None, *, code: int = 0, message: str = "SUCCEED", headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """`{code, message, request_id, data}`; an answer that says no has no `data`."""
    body: dict[str, object] = {"code": code, "message": message, "request_id": str(uuid.uuid4())}
    if code == 0:
        body["data"] = data
    return JSONResponse(body, status_code=HTTP_STATUS.get(code, 200), headers=headers)
