"""Who may call: an API key as it is, or a JWT that is really verified. Codes 1000 to 1004."""

from __future__ import annotations

import hmac

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


def check_authorization(header: str | None, settings: SandboxSettings) -> None:
    """Return for a header that proves the account; raise Refusal otherwise. No message repeats what was sent."""
    if header is None or not header.strip():
        raise Refusal(NO_AUTHORIZATION, "Authorization is empty")
    scheme, _, token = header.partition(" ")
    if scheme != "Bearer" or not token or " " in token.strip():
        raise Refusal(AUTHORIZATION_INVALID, "Authorization is invalid: it must be `Bearer TOKEN`")
    token = token.strip()
    if token.count(".") == 2:
        _check_jwt(token, settings)
    elif not _same(token, settings.api_key):
        raise Refusal(AUTHENTICATION_FAILED, "Authentication failed: unknown API key")


def _same(token: str, expected: str | None) -> bool:
    """Compared in constant time; an account without an API key has none that fits."""
    return expected is not None and hmac.compare_digest(token.encode(), expected.encode())


def _check_jwt(token: str, settings: SandboxSettings) -> None:
    try:
        jwt.decode(
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
