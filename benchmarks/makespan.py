"""How near a campaign comes to the shortest time that its slots allow, beside what others would write.

    python -m benchmarks.makespan
    python -m benchmarks.makespan --jobs 200 --slots 20 --only ours

1,000 rows in random order at a sandbox of 50 slots whose tasks take log-normal times around 4 s (its `speed` is 36, so
that 2 s of sound take 1 s and 300 s take 26 s). The ideal is the longest task, or the sum of all over the slots,
by the sandbox's own books; the makespan lasts from the first task it made to the last video on our disk. Idle: the
share of slot time before the last create in which a slot was free. Calls a job: creates, look-ups and lists (the
downloads are left out). The sandbox has seen the recordings before: see `acquaint`. A service that takes 36 times as
long is asked every 5 s by those who poll each task. The peers are compared by how far each is from its own ideal.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.campaigns import (
    ROOT,
    Campaign,
    Figure,
    Run,
    acquaint,
    last_home,
    lengths_for,
    load_sandbox,
    make_campaign,
    read_books,
    run,
    run_ours,
    tell,
)
from manifest_runner.sandbox import SandboxProcess

SPEED, MEAN, SIGMA, KINDS = 36.0, 4.0, 1.0, 150
POLL = 5.0 / SPEED  # seconds
API = ("create", "look-up", "list")

Contender = Callable[[Campaign, SandboxProcess, int], Run]


def ours(campaign: Campaign, service: SandboxProcess, slots: int) -> Run:
    return run_ours(campaign, service, slots=slots)


def ours_by_callbacks(campaign: Campaign, service: SandboxProcess, slots: int) -> Run:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    more = ("--callback-url", f"http://{address}/", "--listen", address)
    return run_ours(campaign, service, *more, slots=slots)


def naive(campaign: Campaign, service: SandboxProcess, slots: int) -> Run:
    arguments = [str(campaign.sheet), str(campaign.out), "--base-url", service.base_url]
    arguments += ["--concurrency", str(slots), "--poll", str(POLL)]
    return run([sys.executable, "-m", "benchmarks.peers.naive", *arguments], dict(service.environment))


def waves(campaign: Campaign, service: SandboxProcess, slots: int) -> Run:
    script = str(ROOT / "benchmarks" / "peers" / "waves.sh")
    return run(
        [script, str(campaign.sheet), str(campaign.out), service.base_url, str(slots), str(POLL)],
        dict(service.environment),
    )


CONTENDERS: dict[str, Contender] = {
    "ours": ours,
    "ours, callbacks": ours_by_callbacks,
    "naive": naive,
    "waves": waves,
}


def measure(name: str, folder: Path, jobs: int, slots: int) -> dict[str, float]:
    campaign = make_campaign(folder / "campaign", jobs, lengths_for(MEAN, SIGMA, SPEED, KINDS))
    state = folder / "sandbox"
    acquaint(state, campaign)
    with load_sandbox(state, slots=slots, speed=SPEED) as service:
        ended = CONTENDERS[name](campaign, service, slots)
        if ended.code or len(campaign.videos) != jobs:
            raise SystemExit(f"{name} ended with {ended.code}:\n{ended.said[-3000:]}")
    books = read_books(state, slots)
    makespan = last_home(campaign) - books.first_create
    return {
        "makespan": makespan,
        "ideal": books.ideal,
        "ratio": makespan / books.ideal,
        "idle": books.idle,
        "calls": books.calls_a_job(*API),
        "seconds": ended.seconds,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=50)
    parser.add_argument("--only", choices=list(CONTENDERS), action="append")
    options = parser.parse_args()
    print(f"{'':16} {'makespan':>9} {'ideal':>8} {'ratio':>6} {'idle':>7} {'calls/job':>9} {'process':>9}")
    found = {}
    for name in options.only or CONTENDERS:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = row = measure(name, Path(folder), options.jobs, options.slots)
        print(
            f"{name:16} {row['makespan']:7.1f} s {row['ideal']:6.1f} s {row['ratio']:6.3f} {row['idle']:7.2%}"
            f" {row['calls']:9.2f} {row['seconds']:7.1f} s",
            flush=True,
        )
    figures = []
    if row := found.get("ours"):
        figures += [
            Figure("makespan over ideal", row["ratio"], 1.03),
            Figure("slots idle before the tail", row["idle"], 0.02),
            Figure("calls a job, polling", row["calls"], 2.5),
        ]
    if row := found.get("ours, callbacks"):
        figures += [
            Figure("makespan over ideal, callbacks", row["ratio"], 1.03),
            Figure("calls a job, callbacks, but for one look-up", row["calls"] - 1, 1.2),
        ]
    if row := found.get("ours"):
        figures += [
            Figure(f"times as quick as {name}", found[name]["ratio"] / row["ratio"], 1.3, at_least=True)
            for name in ("naive", "waves")
            if name in found
        ]
    return tell("makespan", figures, contenders=found)


if __name__ == "__main__":
    sys.exit(main())
