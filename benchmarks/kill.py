"""Kills real runs, again and again, until their campaigns are done; then audits what the service was asked for.

    python -m benchmarks.kill --kills 60
    python -m benchmarks.kill --kills 2000 --seed 7

Every other run is killed at a named step of a job's way (tests/faults/sabotage.py), the rest at a random moment. The
service is the sandbox behind a front that accepts duplicate ids and bills them, and that commits some create calls
late, so that nothing hides behind the service's own check. Exits 1 when a task was made twice, a video was lost or a
total is wrong.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "faults"))

from rig import Campaign, SandboxProcess, environment, front, sandbox, stats
from sabotage import STEPS

LONGEST_LIFE = 3.0  # seconds until a run is killed at the latest; an undisturbed one takes about as long
MOST_RUNS = 400  # of one campaign: more would mean that it does not get on


@dataclass
class Count:
    kills: int = 0
    at: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    campaigns: int = 0
    jobs: int = 0
    creates: int = 0
    duplicates: int = 0
    lost: int = 0
    wrong_totals: int = 0

    @property
    def wrong(self) -> int:
        return self.duplicates + self.lost + self.wrong_totals


def run_and_kill(campaign: Campaign, url: str, keys: dict[str, str], rng: random.Random) -> tuple[int, str]:
    """One run that is to be killed: its exit code, and where it was killed."""
    step = rng.choice(STEPS) if rng.random() < 0.5 else None
    sabotage = ("--kill-at", f"{step}:{rng.randint(1, 3)}") if step else ()
    process = subprocess.Popen(
        campaign.command(url, *sabotage),
        cwd=campaign.folder,
        env=environment(keys),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(rng.uniform(0.2, LONGEST_LIFE) if step is None else None)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return process.returncode, step or "any moment"


def campaign_to_its_end(
    folder: Path, process: SandboxProcess, count: Count, *, kills: int, rng: random.Random, jobs: int
) -> None:
    """Run it, killing, until it is done (without killing once there were enough), then add its audit."""
    keys, name = dict(process.environment), f"c{count.campaigns + 1}"
    campaign = Campaign(folder / name, name, jobs=jobs, concurrency=3, spoken=rng.random() < 0.3)
    slow = [
        {"route": "create", "do": "slow", "nth": nth, "seconds": rng.uniform(0.1, 0.9)} for nth in (1, 4, 6)
    ]
    with front(process.base_url, slow) as url:
        for _ in range(MOST_RUNS):
            count.runs += 1
            if count.kills < kills:
                code, where = run_and_kill(campaign, url, keys, rng)
            else:
                code, where = campaign.run(url, keys).returncode, ""
            if code == -9:
                count.kills += 1
                count.at[where] += 1
            elif code == 0:
                break
        else:
            raise SystemExit(f"{name} is not done after {MOST_RUNS} runs")
        time.sleep(1.0)  # what the service still commits late counts too
        made = stats(url)["made"]
    audit = campaign.audit(folder / "sandbox")
    count.campaigns += 1
    count.jobs += jobs
    count.creates += sum(made.values())
    count.duplicates += audit.duplicates
    count.lost += audit.lost
    count.wrong_totals += audit.wrong_totals


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=6, help="of each campaign")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, count, started = random.Random(options.seed), Count(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with sandbox(folder / "sandbox", slots=20) as process:
            while count.kills < options.kills:
                campaign_to_its_end(folder, process, count, kills=options.kills, rng=rng, jobs=options.jobs)
    minutes = (time.monotonic() - started) / 60
    print(f"{count.kills} kills in {count.runs} runs of {count.campaigns} campaigns, {minutes:.1f} minutes")
    print("killed at: " + ", ".join(f"{where} {times}" for where, times in count.at.most_common()))
    print(f"{count.jobs} jobs, {count.creates} tasks made by the service")
    print(f"duplicates {count.duplicates}, lost {count.lost}, wrong totals {count.wrong_totals}")
    return int(count.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
