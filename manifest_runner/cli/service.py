"""Which service a command speaks to, at which address and with whose key. A stranger's folder decides none of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from manifest_runner.cli.callbacks import NO_CALLBACKS, Callbacks
from manifest_runner.cli.campaign import Campaign
from manifest_runner.errors import CredentialsError, UsageError
from manifest_runner.models import Manifest, ServiceName

if TYPE_CHECKING:
    from manifest_runner.runner.options import Service
    from manifest_runner.service import Credentials

SANDBOX_SLOTS = 5  # of one that is started for a run which is to find out by itself
SERVICE_HOSTS = ".klingai.com"
FILE_ADDRESS = "KLING_BASE_URL in .env"
KEYS = ("KLING_API_KEY", "KLING_ACCESS_KEY", "KLING_SECRET_KEY")


def environment() -> dict[str, str]:
    """The KLING_ variables: the environment's, and for those it lacks a `.env` file's in the current folder.

    A folder from somebody else can hold a `.env`. So what stands there is taken as it is written, never filled in
    from the environment; it names no key beside one that the environment has; and its address is kept apart, as one
    that has to be known.
    """
    own = {name: value for name, value in os.environ.items() if name.startswith("KLING_") and value}
    from_file = _dotenv()
    if any(name in own for name in KEYS):
        from_file = {name: value for name, value in from_file.items() if name not in KEYS}
    if "KLING_BASE_URL" in from_file:
        from_file[FILE_ADDRESS] = from_file.pop("KLING_BASE_URL")
    return {**from_file, **own}


def _dotenv() -> dict[str, str]:
    from dotenv import dotenv_values

    file = Path(".env")
    if not file.is_file():
        return {}
    try:
        values = dotenv_values(file, interpolate=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The file {file.absolute()} can't be read: {error}.", mend="Save it as UTF-8, or take it away."
        ) from None
    return {name: value for name, value in values.items() if name.startswith("KLING_") and value}


def check_transport() -> None:
    """Raise UsageError where the environment names no transport that there is: before anything is begun."""
    from manifest_runner.service.connections import engine_from

    engine_from(os.environ)


def service_address(manifest: Manifest, asked: str | None, variables: dict[str, str]) -> str:
    """The service's checked base URL: --base-url, else KLING_BASE_URL, else the manifest's, else the default.

    A manifest or a .env file may come from anybody, and the address decides who is shown the key: one that is not
    the service's own has to be confirmed by the person who holds the key.
    """
    from manifest_runner.service import DEFAULT_BASE_URL, check_base_url

    trusted = asked or variables.get("KLING_BASE_URL")
    if trusted:
        return check_base_url(trusted)
    if FILE_ADDRESS in variables:
        return _refuse_stranger(variables[FILE_ADDRESS], "The .env file in this folder")
    if manifest.service.base_url is None:
        return DEFAULT_BASE_URL
    return _refuse_stranger(manifest.service.base_url, str(manifest.path))


def sandbox_address(manifest: Manifest, asked: str | None) -> str | None:
    """The checked address of a sandbox that somebody else started; None when the run starts its own.

    A sandbox is on this machine: what is announced as free must not turn out to be a paid service.
    """
    from manifest_runner.service import check_base_url
    from manifest_runner.service.base_url import host_of, is_loopback

    address = asked or manifest.service.base_url
    if address is None:
        return None
    url = check_base_url(address)
    if not is_loopback(host_of(url)):
        raise UsageError(
            f"{url} is not on this machine, so it is no sandbox.",
            mend="Write `service: kling` (or --service kling) for a service elsewhere.",
        )
    return url if asked else _refuse_stranger(url, str(manifest.path))


def _refuse_stranger(address: str, who: str) -> str:
    """The checked address, when it is the service's own. Raises UsageError for any other."""
    from manifest_runner.service import check_base_url
    from manifest_runner.service.base_url import host_of

    url = check_base_url(address)
    host = host_of(url)
    if not host.endswith(SERVICE_HOSTS):
        raise UsageError(
            f"{who} would send your key to {host}, which is not an address of the service that we know.",
            mend=f"If that is right, confirm it: --base-url {url} (or set KLING_BASE_URL in the environment).",
        )
    return url


def is_elsewhere(manifest: Manifest, asked: str | None, variables: dict[str, str]) -> bool:
    """Whether the campaign goes to a service that is not on this machine, as far as its address says."""
    from manifest_runner.addresses import is_this_machine
    from manifest_runner.service import DEFAULT_BASE_URL, check_base_url
    from manifest_runner.service.base_url import host_of

    if manifest.service.name is ServiceName.SANDBOX:
        # Our own fetches from public addresses only, as the service does; somebody's may have been told otherwise.
        return asked is None and manifest.service.base_url is None
    named = (asked, variables.get("KLING_BASE_URL"), variables.get(FILE_ADDRESS), manifest.service.base_url)
    address = next((one for one in named if one), DEFAULT_BASE_URL)
    return not is_this_machine(host_of(check_base_url(address)))


def account_of(manifest: Manifest, asked: str | None, variables: dict[str, str]) -> str:
    """Whose ledger this campaign's is."""
    from manifest_runner.service import account_identity

    if manifest.service.name is ServiceName.SANDBOX:
        return account_identity(ServiceName.SANDBOX, None)
    return account_identity(manifest.service.name, service_address(manifest, asked, variables))


def service_line(manifest: Manifest, account: str | None = None) -> str:
    """Which service is meant, for a person who may have named none: one of them is paid."""
    who = account or manifest.service.name
    if manifest.service.name is ServiceName.SANDBOX:
        return f"The service: {who}, which is local and free."
    if ":" in who and not who.endswith(SERVICE_HOSTS):  # only whoever gave the address knows
        return f"The service: {who}, an address of your own: what it makes may be paid."
    return f"The service: {who}, which is paid; --service sandbox is local and free."


@contextmanager
def open_service(
    campaign: Campaign, asked: str | None, variables: dict[str, str], callbacks: Callbacks = NO_CALLBACKS
) -> Iterator[Service]:
    """The service the manifest names; a sandbox without an address is started for this run.

    It signs its callbacks with the account's secret. On this machine it posts to the one receiver that the command line
    names: a manifest's own callback URLs may be anybody's.
    """
    from manifest_runner.runner.options import Service
    from manifest_runner.service import credentials_from, key_fingerprint

    manifest = campaign.manifest
    address: str | None
    if manifest.service.name is ServiceName.SANDBOX:
        address = sandbox_address(manifest, asked)
    else:
        address = service_address(manifest, asked, variables)
    if address is None:
        from manifest_runner.sandbox import start_sandbox

        with start_sandbox(
            campaign.state / "sandbox",
            slots=manifest.concurrency or SANDBOX_SLOTS,
            webhook_secret=next(iter(callbacks.secrets), None),
            receiver=callbacks.receiver,
        ) as sandbox:
            yield Service(
                base_url=sandbox.base_url, credentials=credentials_from(sandbox.environment), local=True
            )
        return
    if manifest.service.name is ServiceName.SANDBOX:
        credentials = _sandbox_credentials(address, variables)
    else:
        credentials = credentials_from(variables)
    yield Service(base_url=address, credentials=credentials, key_id=key_fingerprint(credentials))


def _sandbox_credentials(address: str, variables: dict[str, str]) -> Credentials:
    """The key of a sandbox that somebody else started. Raises CredentialsError, with the way to that key."""
    from manifest_runner.service import credentials_from

    try:
        return credentials_from(variables)
    except CredentialsError as error:
        raise CredentialsError(
            f"{error.what} The sandbox at {address} was not started by this run: it takes only its own key.",
            mend="Set the variables that `manifest-runner sandbox` printed when it was started; or leave --base-url "
            "out, and the run starts a sandbox itself.",
        ) from None


@contextmanager
def open_rehearsal(state: Path, *, slots: int) -> Iterator[Service]:
    """A sandbox of its own over the folder `state`, whatever the manifest, the command line or the environment name.

    Neither an address nor a key is asked of anybody: both are the ones that the sandbox was just started with.
    """
    from manifest_runner.runner.options import Service
    from manifest_runner.sandbox import start_sandbox
    from manifest_runner.service import credentials_from

    with start_sandbox(state, slots=slots, workers=os.cpu_count() or 1) as sandbox:
        yield Service(
            base_url=sandbox.base_url, credentials=credentials_from(sandbox.environment), local=True
        )
