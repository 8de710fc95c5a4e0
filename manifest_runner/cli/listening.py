"""Where callbacks come in: `--callback-url`, `--listen` and KLING_WEBHOOK_SECRET, made into what a run is told."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import click

from manifest_runner.cli.callbacks import NO_CALLBACKS, Callbacks
from manifest_runner.cli.service import is_elsewhere
from manifest_runner.errors import UsageError
from manifest_runner.models import Manifest, ServiceName, printable

if TYPE_CHECKING:
    from manifest_runner.runner.doorway import Address
    from manifest_runner.runner.gauges import Arrivals
    from manifest_runner.runner.options import Listen
    from manifest_runner.service.callbacks import Signatures

SECRET = "KLING_WEBHOOK_SECRET"  # noqa: S105 - a variable's name
LONGEST_URL = 2048  # characters, as job.schema.json has it
TOLD_EVERY = 60.0  # seconds, in a run: of each reason for which deliveries are refused

_ADDRESS = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):)?(?P<port>[0-9]{1,5})", re.ASCII)
_UNFIT = re.compile(r"[^\x21-\x7e]|[\\<>\"^`{|}]")

F = TypeVar("F", bound=Callable[..., Any])


class AddressText(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.5
    """`HOST:PORT`, `[IPV6]:PORT`, or a port alone, which is one of 127.0.0.1."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        from manifest_runner.runner.doorway import Address

        if isinstance(value, Address):
            return value
        shape = _ADDRESS.fullmatch(value)
        if shape is None or int(shape["port"]) > 65535:
            self.fail(f"{value!a} is no HOST:PORT. Examples: 8080, 0.0.0.0:8080, [::1]:8080.", param, ctx)
        return Address(host=(shape["host"] or "127.0.0.1").strip("[]"), port=int(shape["port"]))


def listening_options(command: F) -> F:
    """What a command that waits for tasks can be told about callbacks."""
    for decorate in reversed(
        (
            click.option(
                "--callback-url",
                metavar="URL",
                help="Address of yours that the service posts each task's changes to (https). Jobs that name one of "
                "their own keep it.",
            ),
            click.option(
                "--listen",
                type=AddressText(),
                metavar="HOST:PORT",
                help="Receive here what is posted to the callback URL; a port alone is one of 127.0.0.1. With "
                f"{SECRET} set, what is not signed with it is refused.",
            ),
        )
    ):
        command = decorate(command)
    return command


def callbacks_of(
    manifest: Manifest,
    base_url: str | None,
    variables: Mapping[str, str],
    *,
    callback_url: str | None,
    listen: Address | None,
    sends: bool = True,
) -> Callbacks:
    """What the two options and KLING_WEBHOOK_SECRET mean for this campaign. Raises UsageError.

    `sends`: jobs are sent that can be given the callback URL; without it, earlier runs have given theirs.
    """
    if callback_url is None and listen is None:
        return NO_CALLBACKS
    receiver = None if listen is None else (listen.host, listen.port)
    if callback_url is not None:
        receiver = _host_and_port(checked_callback_url(callback_url))
        host = receiver[0]
        if _is_inside(host) and not _service_is_here(manifest, base_url, variables):
            raise UsageError(
                f"The service can't reach {printable(host)}: it is an address of this machine or its network.",
                mend="Give --callback-url the public https address that leads here, such as a tunnel's.",
            )
    elif sends and all(job.callback_url is None for job in manifest.jobs):
        raise UsageError(
            "Nothing would come to --listen: no job has a callback URL.",
            mend="Give --callback-url URL too, the public address that leads here.",
        )
    secrets = webhook_secrets(variables)
    signatures = signatures_from(secrets)  # a wrong one is told of now, also where somebody else listens
    receiving = None if listen is None else _receiver(listen, callback_url, signatures)
    return Callbacks(
        url=callback_url,
        listen=receiving[0] if receiving else None,
        arrivals=receiving[1] if receiving else None,
        notes=_notes(listen, signatures),
        receiver=receiver,
        secrets=secrets,
        address=listen,
    )


def _host_and_port(parts: SplitResult) -> tuple[str, int]:
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def webhook_secrets(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The account's webhook secrets: none, one, or the newest and those before it that may still be signed with."""
    return tuple(variables.get(SECRET, "").split())


def signatures_from(secrets: tuple[str, ...]) -> Signatures | None:
    """None when the account has no webhook secret. Raises UsageError for one that is malformed."""
    from manifest_runner.service.callbacks import Signatures

    return Signatures(secrets) if secrets else None


def checked_callback_url(text: str) -> SplitResult:
    """A callback URL's parts. Raises UsageError, without repeating what may be a secret in it."""
    if len(text) > LONGEST_URL:
        raise _refusal(f"The callback URL has {len(text)} characters; the service takes {LONGEST_URL}.")
    if _UNFIT.search(text):
        raise _refusal("The callback URL holds a sign that no URL can.")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # reading the port checks it
    except ValueError:
        raise _refusal("The callback URL's host or port is malformed.") from None
    if "@" in parts.netloc:
        raise _refusal("The callback URL must not carry a user name or a password.")
    if parts.scheme not in ("http", "https") or not host:
        raise _refusal("The callback URL is no https address.")
    if "#" in text:
        raise _refusal("The callback URL has a fragment (#), which is never sent.")
    if parts.scheme == "http" and not _is_this_machine(host):
        raise _refusal("The callback URL is not https, which is taken for a sandbox and this machine alone.")
    return parts


class Refusals:
    """Tells of refused deliveries: each reason at once, and then once in a while with how many there were."""

    def __init__(self, tell: Callable[[str], None], *, every: float) -> None:
        self._tell = tell
        self._every = every
        self._untold: Counter[str] = Counter()
        self._told_at: dict[str, float] = {}

    def __call__(self, why: str) -> None:
        self._untold[why] += 1
        now = time.monotonic()
        if why not in self._told_at or now - self._told_at[why] >= self._every:
            self._told_at[why] = now
            self._tell_of(why)

    def tell_rest(self) -> None:
        for why in list(self._untold):
            self._tell_of(why)

    def _tell_of(self, why: str) -> None:
        count = self._untold.pop(why)
        more = f" (so were {count - 1:,} more)" if count > 1 else ""
        self._tell(f"A callback was refused: {why}{more}.")


def _receiver(
    listen: Address, callback_url: str | None, signatures: Signatures | None
) -> tuple[Listen, Arrivals]:
    """What receives them, and where they are counted meanwhile."""
    from manifest_runner.runner.gauges import Arrivals
    from manifest_runner.runner.receive import receiving

    arrivals, tell_refusal = Arrivals(), Refusals(_tell, every=TOLD_EVERY)

    def refused(why: str) -> None:
        arrivals.refused[why] += 1
        tell_refusal(why)

    listens = partial(
        receiving,
        address=listen,
        callback_url=callback_url,
        signatures=signatures,
        refused=refused,
        took=arrivals.took,
    )
    return listens, arrivals


def _tell(text: str) -> None:
    """A line for a person, above the progress bars."""
    from tqdm import tqdm

    tqdm.write(printable(text), file=sys.stderr)


def _notes(listen: Address | None, signatures: Signatures | None) -> tuple[str, ...]:
    if listen is None:
        return (
            "Callbacks go to the callback URL; nobody listens here (--listen), so tasks are watched as ever.",
        )
    if signatures is None:
        return (
            f"Callbacks are received on {listen}. Anybody can post there, as {SECRET} is not set: each is taken as a "
            "reason to ask the service, and for no more.",
        )
    return (f"Callbacks are received on {listen}, signed ones alone.",)


def _service_is_here(manifest: Manifest, base_url: str | None, variables: Mapping[str, str]) -> bool:
    sandbox = manifest.service.name is ServiceName.SANDBOX
    return sandbox or not is_elsewhere(manifest, base_url, dict(variables))


def _is_this_machine(host: str) -> bool:
    from manifest_runner.addresses import is_this_machine

    return is_this_machine(host)


def _is_inside(host: str) -> bool:
    """Whether the host is surely one that nobody outside can reach. Names are not looked up."""
    from manifest_runner.addresses import is_public, literal_address

    address = literal_address(host)
    return _is_this_machine(host) or (address is not None and not is_public(address))


def _refusal(what: str) -> UsageError:
    return UsageError(what, mend="Write it as https://HOST/PATH.")
