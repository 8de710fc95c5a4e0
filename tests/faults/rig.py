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
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

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
    wrong_totals: int  # figures and sums that are not the sandbox's own
    runs: int = 0
    injected: int = 0
    exit_codes: tuple[int, ...] = ()
    broken: tuple[str, ...] = ()  # what else did not hold, in words
    said: str = field(default="", compare=False, repr=False)


@contextmanager
def sandbox(state: Path, *, slots: int = 3) -> Iterator[SandboxProcess]:
    with start_sandbox(state, slots=slots, allow_local_callbacks=True) as process:
        yield process


@contextmanager
def front(
    upstream: str,
    rules: Sequence[dict[str, Any]] = (),
    *,
    accept_duplicates: bool = True,
    keep_alive: bool = False,
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
    command += ["--keep-alive"] if keep_alive else []
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
        self,
        folder: Path,
        name: str,
        *,
        jobs: int = 3,
        concurrency: int = 3,
        spoken: bool = False,
        callback_url: str | None = None,
    ) -> None:
        self.folder, self.name = folder, name
        self.ids = [f"{name}-{number}" for number in range(1, jobs + 1)]
        self.ledger = folder / ".manifest-runner" / "ledger.sqlite3"
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
        called = f'defaults: {{callback_url: "{callback_url}"}}\n' if callback_url else ""
        head = f"version: 1\ncampaign: {name}\nservice: kling\nconcurrency: {concurrency}\n{called}jobs:\n"
        (folder / "c.yaml").write_text(head + rows, encoding="utf-8")

    def command(self, base_url: str, *sabotage: str) -> list[str]:
        program = [sys.executable, str(HERE / "sabotage.py"), *sabotage, "--"]
        arguments = ["run", "c.yaml", "--base-url", base_url, "--create-timeout", str(CREATE_TIMEOUT)]
        return [*program, *arguments]

    def start(
        self, base_url: str, keys: dict[str, str], *sabotage: str, more: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """One run in a process of its own, under way. `more` goes into its environment."""
        return subprocess.Popen(
            self.command(base_url, *sabotage),
            cwd=self.folder,
            env=environment(keys) | dict(more or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        base_url: str,
        keys: dict[str, str],
        *sabotage: str,
        more: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """One run, to its end."""
        return to_its_end(self.start(base_url, keys, *sabotage, more=more), timeout)

    def finish(self, base_url: str, keys: dict[str, str]) -> list[subprocess.CompletedProcess[str]]:
        """Run the same command again and again, as a person would, until everything is done."""
        ran = []
        for _ in range(MOST_RUNS):
            ran.append(self.run(base_url, keys))
            if ran[-1].returncode == 0:
                break
        return ran

    def report(self) -> dict[str, Any]:
        """report.json; one without any jobs where there is none."""
        file = self.folder / "out" / self.name / "report.json"
        if not file.exists():
            return {
                "jobs": [],
                "totals": {"units_deducted": "0", "speech_units": "0", "jobs_units_unknown": 0},
            }
        value: dict[str, Any] = json.loads(file.read_text())
        return value

    def audit(self, state: Path, *, without_figure: int = 0, **more: Any) -> Audit:
        """Compare what we say with what the sandbox has in its books.

        Of `without_figure` jobs the service did not tell us what it deducted: the report must call exactly so many
        unknown, and add up the rest.
        """
        tasks, units = books(state, self.ids)
        report = self.report()
        totals = report["totals"]
        lost = len(set(self.ids) - {job["external_task_id"] for job in report["jobs"]})
        wrong, unknown, known = 0, 0, Decimal(0)
        for job in report["jobs"]:
            file = self.folder / "out" / self.name / (job["file"] or "nowhere")
            whole = job["outcome"] == "done" and file.is_file() and probe_video(file).bytes == job["bytes"]
            lost += not whole
            if job["units_deducted"] is None:
                unknown += 1
                continue
            known += units[job["external_task_id"]]
            wrong += Decimal(job["units_deducted"]) != units[job["external_task_id"]]
        wrong += Decimal(totals["units_deducted"]) - Decimal(totals["speech_units"]) != known
        wrong += not unknown == totals["jobs_units_unknown"] == without_figure
        return Audit(
            duplicates=sum(count - 1 for count in tasks.values()),
            lost=lost,
            wrong_totals=wrong,
            **more,
        )


def to_its_end(process: subprocess.Popen[str], timeout: float = 120) -> subprocess.CompletedProcess[str]:
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def books(state: Path, ids: Sequence[str]) -> tuple[Counter[str], defaultdict[str, Decimal]]:
    """Of the sandbox's own database: tasks, and their units, by the id that was asked for."""
    with closing(sqlite3.connect(f"file:{state / 'sandbox.sqlite3'}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT external_task_id, units FROM tasks").fetchall()
    tasks: Counter[str] = Counter()
    units: defaultdict[str, Decimal] = defaultdict(Decimal)
    for key, deducted in rows:
        asked_for = str(key).partition("~again")[0]
        if asked_for in ids:
            tasks[asked_for] += 1
            units[asked_for] += Decimal(deducted or "0")
    return tasks, units


def in_ledger(ledger: Path, query: str) -> list[tuple[Any, ...]]:
    """What a query finds in a runner's ledger as it is at this moment; nothing where there is none yet."""
    try:
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []


def environment(keys: dict[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KLING_")}
    return {**clean, **keys}
