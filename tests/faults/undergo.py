"""A campaign under one fault, from its first run to the one that says that all is done, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess
from threading import Lock
from typing import Any

from callbacks import Receiver, receiver
from courses import FirstRuns
from failing_disk import DiskLog, FailingDisk, preloaded, read_log
from faults import Fault
from rig import Audit, Campaign, front, in_ledger, stats

from manifest_runner.models import utc_from
from manifest_runner.sandbox import SandboxProcess

STRANGE = 1000.0  # seconds that a moment in the ledger must be off, to be a shifted clock's
UNDER_WAY = (
    3.0  # seconds that a create call may take from its intent to the service, on however busy a machine
)
KILLED = -9

_counted: dict[tuple[Any, ...], int] = {}  # the writes of a whole run, by what was counted
_counting = Lock()


def undergo(fault: Fault, folder: Path, process: SandboxProcess, state: Path) -> Audit:
    """`state` is the sandbox's folder: its books judge."""
    keys = dict(process.environment)
    name = "".join(letter if letter.isalnum() else "-" for letter in fault.name)[:48]
    with ExitStack() as stack:
        taker = stack.enter_context(receiver()) if fault.callbacks else None
        campaign = _campaign(fault, folder, name, taker)
        number = _disk_number(fault, fault.disk, folder, process) if fault.disk else 0
        url = stack.enter_context(front(process.base_url, fault.rules, keep_alive=fault.keep_alive))
        first = _first_runs(fault, campaign, url, keys, number)
        ran = [*first.ran]
        again = fault.first or fault.disk  # what went wrong is over: that shows only in another run
        if again or not ran or ran[-1].returncode:
            ran += campaign.finish(url, keys)
        told = stats(url)
    return campaign.audit(
        state,
        without_figure=fault.without_figure,
        runs=len(ran),
        injected=_injected(fault, first, told),
        exit_codes=tuple(run.returncode for run in ran),
        broken=(*first.broken, *_broken(fault, ran, told, taker)),
        said="\n".join(run.stdout + run.stderr for run in ran),
    )


def _campaign(fault: Fault, folder: Path, name: str, taker: Receiver | None = None) -> Campaign:
    return Campaign(
        folder / name,
        name,
        jobs=fault.jobs,
        concurrency=fault.concurrency,
        spoken=fault.spoken,
        callback_url=taker.url if taker else None,
    )


def _first_runs(fault: Fault, campaign: Campaign, url: str, keys: dict[str, str], number: int) -> FirstRuns:
    if fault.course:
        return fault.course(campaign, url, keys)
    if fault.disk:
        return _on_failing_disk(fault.disk, campaign, url, keys, number)
    if fault.first or fault.settings:
        run = campaign.run(url, keys, *fault.first, *fault.settings)
        return FirstRuns(ran=[run], injected=_sabotaged(fault.first, run, campaign.ledger))
    return FirstRuns(ran=[], injected=0)


# -- was the fault really there? -------------------------------------------------------------------------------------


def _injected(fault: Fault, first: FirstRuns, told: dict[str, Any]) -> int:
    """How often the fault was there; 0 when any part of it was not."""
    parts = [told["injected"].get(f"{rule['route']}:{rule['do']}", 0) for rule in fault.rules]
    if fault.course or fault.disk or fault.first:
        parts.append(first.injected)
    return sum(told["injected"].values()) + first.injected if all(parts) else 0


def _sabotaged(options: Sequence[str], run: CompletedProcess[str], ledger: Path) -> int:
    """How often what was asked of sabotage.py took place, by the traces that it leaves."""
    traces: list[int] = []
    for option in options:
        match option.partition("=")[0]:
            case "--kill-at":
                traces.append(int(run.returncode == KILLED))
            case "--clock" | "--leap":
                traces.append(_strange_moments(ledger))
    return sum(traces) if all(traces) else 0


def _strange_moments(ledger: Path) -> int:
    """Events in the ledger that are dated as no right clock would have dated them."""
    now = datetime.now(UTC)
    moments = [utc_from(at) for (at,) in in_ledger(ledger, "SELECT at FROM events")]
    return sum(abs((now - at).total_seconds()) > STRANGE for at in moments)


# -- what has to hold beside the sums --------------------------------------------------------------------------------


def _broken(
    fault: Fault, ran: Sequence[CompletedProcess[str]], told: dict[str, Any], taker: Receiver | None
) -> Iterator[str]:
    waited = told["waited"]
    if fault.waits and not (waited and fault.waits[0] <= min(waited) <= max(waited) <= fault.waits[1]):
        yield f"calls that were told to wait waited {waited} s, and not within {fault.waits}"
    if (
        fault.without_figure
        and f"For {fault.without_figure} jobs the service gave no figure" not in ran[-1].stdout
    ):
        yield "the last run does not say that figures are missing"
    if taker and bool(taker.came) == (("callback", "swallow") in fault.done):
        yield f"the receiver got {taker.came}"
    if taker and taker.in_order and ("callback", "slow") in fault.done:
        yield f"what was held back came in its order all the same: {taker.came}"


def _disk_number(fault: Fault, disk: FailingDisk, folder: Path, process: SandboxProcess) -> int:
    """The number of the write that is to fail; a run of this shape is counted first, once, where that is needed."""
    if disk.at >= 1:
        return disk.number(0)
    shape = (disk.path, disk.calls, fault.jobs, fault.concurrency)
    with _counting:
        if shape not in _counted:
            campaign = _campaign(fault, folder, f"count-{len(_counted)}")
            log = campaign.folder / "disk.log"
            whole = campaign.run(
                process.base_url, dict(process.environment), more=preloaded(disk, log, number=0)
            )
            counted = read_log(log).counted
            assert whole.returncode == 0 and counted, whole.stderr
            _counted[shape] = counted
    return disk.number(_counted[shape])


def _on_failing_disk(
    disk: FailingDisk, campaign: Campaign, url: str, keys: dict[str, str], number: int
) -> FirstRuns:
    log = campaign.folder / "disk.log"
    begin = ("--disk-from", disk.after) if disk.after else ()
    run = campaign.run(url, keys, *begin, more=preloaded(disk, log, number=number))
    broken = [*_told_well(disk, run)]
    if disk.holds_the_ledger:
        broken += _stopped_sending(campaign, run, read_log(log), stats(url)["creates"])
    return FirstRuns(ran=[run], injected=len(read_log(log).failed_at), broken=broken)


def _told_well(disk: FailingDisk, run: CompletedProcess[str]) -> Iterator[str]:
    said = run.stdout + run.stderr
    if run.returncode != disk.ends_with:
        yield f"the run on the failing disk ended with {run.returncode}, not {disk.ends_with}"
    if "Traceback" in said or "bug in manifest-runner" in said:
        yield "the failing disk was taken for a bug"


def _stopped_sending(
    campaign: Campaign, run: CompletedProcess[str], log: DiskLog, creates: Sequence[tuple[float, str]]
) -> Iterator[str]:
    """No create call without its intent on disk, and none after the disk failed."""
    said = re.search(r"([0-9]+) create calls? made in this run", run.stdout)
    if len(creates) != int(said[1] if said else 0):
        yield f"{len(creates)} create calls came to the service; the run says {said[0] if said else 'none'}"
    intents = dict(in_ledger(campaign.ledger, "SELECT attempt_id, posts FROM attempts"))
    for key in {key for _, key in creates}:
        sent = [at for at, sent in creates if sent == key]
        if len(sent) > intents.get(key, 0):
            yield f"{key} was sent {len(sent)} times, with {intents.get(key, 0)} intents in the ledger"
    late = [at for at, _ in creates if at > log.failed_at[0] + UNDER_WAY] if log.failed_at else []
    if late:
        yield f"{len(late)} create calls left after the ledger's disk had failed"
