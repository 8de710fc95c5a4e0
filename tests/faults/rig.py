"""A small campaign against a real sandbox, through a front that breaks things, and the audit afterwards.

The audit asks the sandbox's own books, not ours: how many tasks it made for each id, and what it deducted for them.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import urllib.request
import wave
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from faults import Fault
from PIL import Image

from manifest_runner.media import probe_video
from manifest_runner.sandbox import SandboxProcess, start_sandbox

HERE = Path(__file__).parent
MOST_RUNS = 8
CREATE_TIMEOUT = 1.0  # seconds; an answer that was lost is waited out half as long again


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What a campaign came to, by the sandbox's books. Zeros are what we publish."""

    duplicates: int  # tasks beyond the first for an id
    lost: int  # jobs without their whole video
    wrong_totals: int  # sums that are not the sandbox's own
    runs: int = 0
    injected: int = 0
    exit_codes: tuple[int, ...] = ()
    said: str = field(default="", compare=False, repr=False)


@contextmanager
def sandbox(state: Path, *, slots: int = 3) -> Iterator[SandboxProcess]:
    with start_sandbox(state, slots=slots) as process:
        yield process


@contextmanager
def front(
    upstream: str, rules: Sequence[dict[str, Any]] = (), *, accept_duplicates: bool = True
) -> Iterator[str]:
    """The base URL of a front before `upstream`."""
    command = [
        sys.executable,
        str(HERE / "front.py"),
        "--upstream",
        upstream,
        "--rules",
        json.dumps(list(rules)),
    ]
    command += ["--accept-duplicates"] if accept_duplicates else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["base_url"]
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


def stats(base_url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{base_url}/__front__", timeout=10) as answer:
        value: dict[str, Any] = json.load(answer)
        return value


class Campaign:
    """A manifest of a few short jobs in a folder of its own. Its ids begin with its name."""

    def __init__(
        self, folder: Path, name: str, *, jobs: int = 3, concurrency: int = 3, spoken: bool = False
    ) -> None:
        self.folder, self.name = folder, name
        self.ids = [f"{name}-{number}" for number in range(1, jobs + 1)]
        folder.mkdir(parents=True)
        Image.new("RGB", (400, 400), "tan").save(folder / "face.png")
        with wave.open(str(folder / "voice.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(b"\x00\x10" * 16_800)  # 2.1 s
        speech = "speech: {text: Good morning to all of you, voice_id: oversea_male1, voice_language: en}"
        sound = speech if spoken else "sound_file: voice.wav"
        rows = "".join(f"  - {{external_task_id: {key}, image: face.png, {sound}}}\n" for key in self.ids)
        head = f"version: 1\ncampaign: {name}\nservice: kling\nconcurrency: {concurrency}\njobs:\n"
        (folder / "c.yaml").write_text(head + rows, encoding="utf-8")

    def command(self, base_url: str, *sabotage: str) -> list[str]:
        program = [sys.executable, str(HERE / "sabotage.py"), *sabotage, "--"]
        arguments = ["run", "c.yaml", "--base-url", base_url, "--create-timeout", str(CREATE_TIMEOUT)]
        return [*program, *arguments]

    def run(
        self, base_url: str, keys: dict[str, str], *sabotage: str, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """One run in a process of its own, to its end."""
        return subprocess.run(
            self.command(base_url, *sabotage),
            cwd=self.folder,
            env=environment(keys),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def finish(self, base_url: str, keys: dict[str, str]) -> list[subprocess.CompletedProcess[str]]:
        """Run the same command again and again, as a person would, until everything is done."""
        ran = []
        for _ in range(MOST_RUNS):
            ran.append(self.run(base_url, keys))
            if ran[-1].returncode == 0:
                break
        return ran

    def report(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.folder / "out" / self.name / "report.json").read_text())
        return value

    def audit(self, state: Path, **more: Any) -> Audit:
        """Compare what we say with what the sandbox has in its books."""
        tasks, units = books(state, self.ids)
        report = self.report()
        lost = 0
        for job in report["jobs"]:
            file = self.folder / "out" / self.name / (job["file"] or "nowhere")
            whole = job["outcome"] == "done" and file.is_file() and probe_video(file).bytes == job["bytes"]
            lost += not whole
        lost += len(set(self.ids) - {job["external_task_id"] for job in report["jobs"]})
        totals = report["totals"]
        wrong = int(Decimal(totals["units_deducted"]) - Decimal(totals["speech_units"]) != units)
        return Audit(
            duplicates=sum(count - 1 for count in tasks.values()),
            lost=lost,
            wrong_totals=wrong,
            **more,
        )


def books(state: Path, ids: Sequence[str]) -> tuple[Counter[str], Decimal]:
    """Of the sandbox's own database: tasks by the id that was asked for, and their units."""
    with closing(sqlite3.connect(f"file:{state / 'sandbox.sqlite3'}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT external_task_id, units FROM tasks").fetchall()
    tasks: Counter[str] = Counter()
    units = Decimal(0)
    for key, deducted in rows:
        asked_for = str(key).partition("~again")[0]
        if asked_for in ids:
            tasks[asked_for] += 1
            units += Decimal(deducted or "0")
    return tasks, units


def environment(keys: dict[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KLING_")}
    return {**clean, **keys}


def undergo(fault: Fault, folder: Path, process: SandboxProcess, state: Path) -> Audit:
    """The campaign of one fault, from its first run to the one that says that all is done, and what came of it."""
    name = "".join(letter if letter.isalnum() else "-" for letter in fault.name)[:40]
    campaign = Campaign(
        folder / name, name, jobs=fault.jobs, concurrency=fault.concurrency, spoken=fault.spoken
    )
    keys = dict(process.environment)
    with front(process.base_url, fault.rules) as url:
        ran = [campaign.run(url, keys, *fault.first)] if fault.first else []
        ran += campaign.finish(url, keys)
        injected = sum(stats(url)["injected"].values()) + bool(fault.first)
    return campaign.audit(
        state,
        runs=len(ran),
        injected=injected,
        exit_codes=tuple(run.returncode for run in ran),
        said="\n".join(run.stdout + run.stderr for run in ran),
    )
