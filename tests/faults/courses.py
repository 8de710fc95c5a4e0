"""Ways of going about a campaign's first runs that are faults in themselves: two runners, one stopped, one killed."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess, Popen

from rig import CREATE_TIMEOUT, Campaign, in_ledger, stats, to_its_end

SUSPENDED = 2.5 * CREATE_TIMEOUT  # seconds
PATIENCE = 20.0  # seconds for what has to come about
BUSY = 6  # the exit code of a runner whose ledger is another's


@dataclass(frozen=True, kw_only=True)
class FirstRuns:
    """What was run, how often the fault was really there, and what did not hold, in words."""

    ran: Sequence[CompletedProcess[str]]
    injected: int
    broken: Sequence[str] = ()


Course = Callable[[Campaign, str, dict[str, str]], FirstRuns]


def second_runner(campaign: Campaign, url: str, keys: dict[str, str]) -> FirstRuns:
    """The same command is started while it is under way."""
    return _second_runner(campaign, url, keys, lock_deleted=False)


def second_runner_without_the_lock(campaign: Campaign, url: str, keys: dict[str, str]) -> FirstRuns:
    """The same, and somebody has deleted the lock's file: only the owner's sign of life is left."""
    return _second_runner(campaign, url, keys, lock_deleted=True)


def _second_runner(campaign: Campaign, url: str, keys: dict[str, str], *, lock_deleted: bool) -> FirstRuns:
    first = campaign.start(url, keys)
    _come_about(first, lambda: _owner(campaign.ledger))
    if lock_deleted:
        _lock_of(campaign).unlink()
    second = campaign.run(url, keys)
    under_way = first.poll() is None
    ended = to_its_end(first)
    return FirstRuns(
        ran=(second, ended),
        injected=int(under_way),
        broken=[*_one_worked(ended, second), *_names(second, first.pid)],
    )


def two_together(campaign: Campaign, url: str, keys: dict[str, str]) -> FirstRuns:
    """The same command twice at the same moment."""
    started = [campaign.start(url, keys), campaign.start(url, keys)]
    ended = [to_its_end(process) for process in started]
    worked, refused = (1, 0) if ended[0].returncode == BUSY else (0, 1)
    return FirstRuns(
        ran=(ended[refused], ended[worked]),
        injected=1,
        broken=[*_one_worked(ended[worked], ended[refused]), *_names(ended[refused], started[worked].pid)],
    )


def suspended(campaign: Campaign, url: str, keys: dict[str, str]) -> FirstRuns:
    """Stopped while create calls are under way, for longer than they may take, and then let go on."""
    first = campaign.start(url, keys)
    _come_about(first, lambda: stats(url)["under_way"].get("create"))
    first.send_signal(signal.SIGSTOP)
    held = stats(url)["under_way"]["create"]
    time.sleep(SUSPENDED)
    first.send_signal(signal.SIGCONT)
    return FirstRuns(ran=[to_its_end(first)], injected=held)


def killed_with_the_lock(campaign: Campaign, url: str, keys: dict[str, str]) -> FirstRuns:
    """Killed, and run again at once while the lock's file and the owner's row still lie there."""
    first = campaign.start(url, keys)
    _come_about(first, lambda: stats(url)["under_way"].get("create"))
    first.kill()
    killed = to_its_end(first)
    left = _lock_of(campaign).exists() and _owner(campaign.ledger) == first.pid
    second = campaign.run(url, keys)
    refused = second.returncode == BUSY
    broken = ["a dead runner's ledger was refused"] if refused else []
    return FirstRuns(ran=(killed, second), injected=int(left), broken=broken)


def _one_worked(worked: CompletedProcess[str], refused: CompletedProcess[str]) -> Iterator[str]:
    if (worked.returncode, refused.returncode) != (0, BUSY):
        yield f"of two runners one ended with {worked.returncode}, the other with {refused.returncode}"
    if "create call" in refused.stdout:
        yield "the runner that was refused went on to its end"


def _names(refused: CompletedProcess[str], pid: int) -> Iterator[str]:
    if f"process {pid} on {socket.gethostname()}" not in refused.stderr.replace("Process", "process"):
        yield f"the refusal does not name process {pid} and its host: {refused.stderr}"


def _owner(ledger: Path) -> int | None:
    rows = in_ledger(ledger, "SELECT pid FROM owner")
    return rows[0][0] if rows else None


def _lock_of(campaign: Campaign) -> Path:
    return campaign.ledger.with_name(f"{campaign.ledger.name}.lock")


def _come_about(process: Popen[str], seen: Callable[[], object]) -> None:
    """Wait until what the fault needs is there."""
    until = time.monotonic() + PATIENCE
    while not seen():
        if time.monotonic() > until or process.poll() is not None:
            process.kill()
            ended = to_its_end(process)
            raise TimeoutError(f"what the fault needs did not come about: {ended.stdout}{ended.stderr}")
        time.sleep(0.01)
