"""Who may call: an API key as it is, or a JWT that is really verified. Codes 1000 to 1004."""

from __future__ import annotations

import hmac
import math
import time

import jwt

from manifest_runner.sandbox.refusals import (
    AUTHENTICATION_FAILED,
    AUTHORIZATION_INVALID,
    NO_AUTHORIZATION,
    TOKEN_EXPIRED,
    TOKEN_NOT_YET_VALID,
    Refusal,
)
from manifest_runner.sandbox.settings import SandboxSettings

MOST_REMEMBERED = 1000  # headers


class Doorkeeper:
    """Checks the headers of one account, and remembers those that were good for as long as they are."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self._good_until: dict[str, float] = {}

    def check(self, header: str | None) -> None:
        """Raises Refusal."""
        if time.time() < self._good_until.get(header or "", 0.0):
            return
        until = check_authorization(header, self._settings)
        if len(self._good_until) >= MOST_REMEMBERED:
            self._good_until.clear()
        self._good_until[header or ""] = until


def check_authorization(header: str | None, settings: SandboxSettings) -> float:
    """Until when (wall clock, seconds) this header proves the account. Raises Refusal when it does not.

    No message repeats what was sent.
    """
    if header is None or not header.strip():
        raise Refusal(NO_AUTHORIZATION, "Authorization is empty")
    scheme, _, token = header.partition(" ")
    if scheme != "Bearer" or not token or " " in token.strip():
        raise Refusal(AUTHORIZATION_INVALID, "Authorization is invalid: it must be `Bearer TOKEN`")
    token = token.strip()
    if token.count(".") == 2:
        return _check_jwt(token, settings)
    if not _same(token, settings.api_key):
        raise Refusal(AUTHENTICATION_FAILED, "Authentication failed: unknown API key")
    return math.inf


def _same(token: str, expected: str | None) -> bool:
    """Compared in constant time; an account without an API key has none that fits."""
    return expected is not None and hmac.compare_digest(token.encode(), expected.encode())


def _check_jwt(token: str, settings: SandboxSettings) -> float:
    try:
        claims = jwt.decode(
            token,
            settings.secret_key,
            algorithms=["HS256"],
            issuer=settings.access_key,
            options={"require": ["iss", "exp"]},
        )
    except jwt.ExpiredSignatureError:
        raise Refusal(TOKEN_EXPIRED, "Authorization token has expired") from None
    except jwt.ImmatureSignatureError:
        raise Refusal(
            TOKEN_NOT_YET_VALID, "Authorization token is not valid yet: check nbf and the clock"
        ) from None
    except (jwt.InvalidSignatureError, jwt.InvalidIssuerError, jwt.InvalidAlgorithmError):
        raise Refusal(AUTHENTICATION_FAILED, "Authentication failed: wrong signature or access key") from None
    except jwt.MissingRequiredClaimError as error:
        raise Refusal(
            AUTHENTICATION_FAILED, f"Authentication failed: the token has no {error.claim}"
        ) from None
    except jwt.PyJWTError:
        raise Refusal(AUTHORIZATION_INVALID, "Authorization is invalid: the token can't be read") from None
    return float(claims["exp"])
