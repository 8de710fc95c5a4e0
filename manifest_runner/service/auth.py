"""Who we are to the service: an API key sent as it is, or a token signed with an access key's secret.

Keys come from the environment only. No key, secret or token appears in a repr or in a message.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import jwt

from manifest_runner.errors import CredentialsError
from manifest_runner.service.cleaning import BLOTTED

API_KEY, ACCESS_KEY, SECRET_KEY = "KLING_API_KEY", "KLING_ACCESS_KEY", "KLING_SECRET_KEY"

_LIFE_SECONDS = 1800
_EARLY_SECONDS = 5  # `nbf` lies this far back, so that two clocks a little apart still agree
_RENEW_AFTER_SECONDS = _LIFE_SECONDS * 2 / 3
_BLIND_SHIFT = timedelta(minutes=-5)  # "not valid yet", and no Date header to measure the clocks by
_FINGERPRINT_ROUNDS = 200_000  # some 0.05 s: trying many keys against a fingerprint is made slow
_FINGERPRINT_BYTES = 6
_SHORTEST_REDACTED = 8  # blotting out shorter texts would maul messages more than it protects

_WAYS_OUT = (
    f"Set {API_KEY}, or {ACCESS_KEY} together with {SECRET_KEY}, in the environment or a .env file;"
    " or try everything without an account: `service: sandbox` in the manifest, or --service sandbox."
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The newer way: one key, sent as it is."""

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An access key (the token's issuer) and the secret that signs its tokens."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


Credentials = ApiKey | KeyPair


def credentials_from(environment: Mapping[str, str]) -> Credentials:
    """The credentials these variables hold; an API key wins over a pair. Raises CredentialsError.

    An empty variable counts as a mistake only where nothing else gives credentials: a .env file often keeps
    the line of the way that is not used.
    """
    found = {name: environment[name] for name in (API_KEY, ACCESS_KEY, SECRET_KEY) if environment.get(name)}
    if API_KEY in found:
        return ApiKey(_checked(API_KEY, found[API_KEY]))
    if ACCESS_KEY in found and SECRET_KEY in found:
        return KeyPair(_checked(ACCESS_KEY, found[ACCESS_KEY]), _checked(SECRET_KEY, found[SECRET_KEY]))
    for present, absent in ((ACCESS_KEY, SECRET_KEY), (SECRET_KEY, ACCESS_KEY)):
        if present in found:
            state = "empty" if absent in environment else "not set"
            raise CredentialsError(f"{present} is set, but {absent} is {state}.", mend=_WAYS_OUT)
    empty = [name for name in (API_KEY, ACCESS_KEY, SECRET_KEY) if name in environment]
    what = (
        f"{' and '.join(empty)} {'are' if len(empty) > 1 else 'is'} set but empty."
        if empty
        else "No credentials."
    )
    raise CredentialsError(what, mend=_WAYS_OUT)


def key_fingerprint(credentials: Credentials) -> str:
    """12 hexadecimal digits that tell one account's key from another's and can't be turned back into it.

    Of a pair it is the access key that counts: a new secret for it is still the same account's.
    """
    if isinstance(credentials, ApiKey):
        kind, key = "api-key", credentials.key
    else:
        kind, key = "access-key", credentials.access_key
    salt = f"manifest-runner {kind}".encode()
    return hashlib.pbkdf2_hmac(
        "sha256", key.encode(), salt, _FINGERPRINT_ROUNDS, dklen=_FINGERPRINT_BYTES
    ).hex()


def _checked(name: str, value: str) -> str:
    """A key that a header can carry: printable ASCII without spaces. Names the variable, never the value."""
    if not all("!" <= character <= "~" for character in value):
        raise CredentialsError(
            f"{name} holds a space, a line break or a character that no key has.",
            mend=f"Copy the key again, with nothing before or after it. {_WAYS_OUT}",
        )
    return value


class TokenSource:
    """What stands after `Bearer `. Signed tokens are kept and made anew well before they run out.

    Age is measured by two clocks, because each can fail alone: the wall clock can be set back, the monotonic
    one stands still while a laptop sleeps.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials = credentials
        self._wall = wall
        self._monotonic = monotonic
        self._shift = timedelta(0)
        self._token: str | None = None
        self.generation = 0  # goes up each time the token is replaced because the service refused it
        self._made_wall = 0.0
        self._made_monotonic = 0.0

    @property
    def renewable(self) -> bool:
        """Whether asking again gives another token. An API key is what it is."""
        return isinstance(self._credentials, KeyPair)

    def token(self) -> str:
        """The text to send now."""
        if isinstance(self._credentials, ApiKey):
            return self._credentials.key
        if self._token is None or not self._fresh():
            self._token = self._sign(self._credentials)
        return self._token

    def renew(self) -> None:
        """Drops the kept token (the service called it expired)."""
        self._token = None
        self.generation += 1

    def shift(self, clock_skew: timedelta | None) -> None:
        """Makes tokens by the service's clock: `clock_skew` is service minus local, None where unmeasured."""
        self._shift = _BLIND_SHIFT if clock_skew is None else clock_skew
        self._token = None
        self.generation += 1

    def redact(self, text: str, sent: str) -> str:
        """The text with our keys, and the token that was sent, blotted out: services quote what they were sent."""
        if len(text) < _SHORTEST_REDACTED:
            return text
        mine = self._credentials
        keys = [mine.key] if isinstance(mine, ApiKey) else [mine.secret_key, mine.access_key]
        for secret in (sent, *keys):
            if len(secret) >= _SHORTEST_REDACTED:
                text = text.replace(secret, BLOTTED)
        return text

    def _fresh(self) -> bool:
        wall_age = self._wall() - self._made_wall
        monotonic_age = self._monotonic() - self._made_monotonic
        return -_EARLY_SECONDS < wall_age < _RENEW_AFTER_SECONDS and monotonic_age < _RENEW_AFTER_SECONDS

    def _sign(self, pair: KeyPair) -> str:
        self._made_wall, self._made_monotonic = self._wall(), self._monotonic()
        now = int(self._made_wall + self._shift.total_seconds())
        claims = {"iss": pair.access_key, "exp": now + _LIFE_SECONDS, "nbf": now - _EARLY_SECONDS}
        with warnings.catch_warnings():
            # PyJWT warns of secrets shorter than 32 bytes. The service chose this one; nobody here can mend it.
            warnings.simplefilter("ignore", UserWarning)
            return jwt.encode(
                claims, pair.secret_key, algorithm="HS256", headers={"alg": "HS256", "typ": "JWT"}
            )
