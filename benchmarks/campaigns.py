"""What the benchmarks share: campaigns made on the spot, a sandbox for load, runs as processes, and its books read."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import httpx
import jwt
import numpy as np
from PIL import Image

from manifest_runner.sandbox import SandboxProcess, start_sandbox
from manifest_runner.sandbox.calls import CALLS_NAME

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "manifest_runner.cli")
AVATAR = "/v1/videos/avatar/image2video"
RATE = 8000  # Hz of the recordings: what is sent is small, how long it lasts is all that counts
STARTS_WITH, A_SECOND = 30.0, 3.0  # seconds that a task takes at the sandbox's `speed` of 1


@dataclass(frozen=True, slots=True)
class Campaign:
    """A sheet and the folder that its videos come to."""

    folder: Path
    sheet: Path
    out: Path
    jobs: int

    @property
    def videos(self) -> list[Path]:
        return list(self.out.glob("*.mp4"))

    @property
    def ledger(self) -> Path:
        return self.folder / ".manifest-runner" / "ledger.sqlite3"


@dataclass(frozen=True, slots=True)
class Run:
    """A process that has ended."""

    code: int
    seconds: float
    peak_mb: float
    said: str


@dataclass(frozen=True, slots=True)
class Books:
    """What the sandbox's own books say of a run. Times in seconds; idle: share of slot time before the last create."""

    tasks: int
    first_create: float  # wall clock
    ideal: float  # the longest task, or all of them over the slots
    idle: float
    calls: dict[str, int]

    def calls_a_job(self, *endpoints: str) -> float:
        counted = sum(n for call, n in self.calls.items() if call.split()[0] in endpoints)
        return counted / self.tasks


def portrait(folder: Path) -> Path:
    """A blue picture of a few hundred bytes that the service takes."""
    path = folder / "portrait.png"
    Image.new("RGB", (320, 400), (20, 40, 110)).save(path)
    return path


def recording(path: Path, seconds: float) -> Path:
    """A quiet tone as an mp3 of a kilobyte a second."""
    samples = (np.sin(np.arange(round(seconds * RATE)) / 6) * 3000).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=RATE, layout="mono")
        stream.bit_rate = 8000
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path.write_bytes(file.getvalue())
    return path


def make_campaign(folder: Path, jobs: int, lengths: Sequence[float] = (2.0,), seed: int = 1) -> Campaign:
    """A sheet of `jobs` rows; each row's recording is one of these lengths (seconds), drawn by chance."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = portrait(folder).name
    sounds = [recording(folder / f"sound-{n:03}.mp3", length).name for n, length in enumerate(lengths)]
    draw = random.Random(seed)
    sheet = folder / "rows.csv"
    with sheet.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["external_task_id", "image", "sound_file", "prompt"])
        rows.writerows([f"job-{n:06}", picture, draw.choice(sounds), f"Row {n}"] for n in range(jobs))
    return Campaign(folder, sheet, folder / "out" / sheet.stem, jobs)


def lengths_for(mean: float, sigma: float, speed: float, kinds: int) -> list[float]:
    """Lengths of recordings whose tasks take log-normal times around `mean` seconds at the sandbox's `speed`."""
    normal = statistics.NormalDist(np.log(mean) - sigma**2 / 2, sigma)
    times = (float(np.exp(normal.inv_cdf((n + 0.5) / kinds))) for n in range(kinds))
    return [min(max((took * speed - STARTS_WITH) / A_SECOND, 2.0), 300.0) for took in times]


@contextlib.contextmanager
def load_sandbox(state: Path, **settings: object) -> Iterator[SandboxProcess]:
    """A sandbox that renders nothing and counts its calls."""
    with start_sandbox(
        state,
        previews=False,
        count_calls=True,
        allow_local_callbacks=True,
        **settings,  # type: ignore[arg-type]
    ) as process:
        yield process


def token(keys: Mapping[str, str]) -> str:
    """What stands behind `Bearer`."""
    claims = {"iss": keys["KLING_ACCESS_KEY"], "exp": int(time.time()) + 1800}
    return jwt.encode(claims, keys["KLING_SECRET_KEY"], algorithm="HS256")


def acquaint(state: Path, campaign: Campaign) -> None:
    """Have the sandbox check every recording of a campaign beforehand; its books are empty again afterwards.

    The first sight of one takes it up to half a second. Where tasks are made to take a small part of their real time,
    that would count for many times as much as at the real service.
    """
    picture = base64.b64encode((campaign.folder / "portrait.png").read_bytes()).decode()
    with load_sandbox(state, slots=1000, render_time=0) as service:
        headers = {"Authorization": f"Bearer {token(service.environment)}"}
        with httpx.Client(base_url=service.base_url, headers=headers, timeout=60) as client:
            for sound in campaign.folder.glob("*.mp3"):
                body = {"image": picture, "sound_file": base64.b64encode(sound.read_bytes()).decode()}
                client.post(AVATAR, json=body).raise_for_status()
    with contextlib.closing(sqlite3.connect(state / "sandbox.sqlite3")) as connection, connection:
        connection.execute("DELETE FROM results")
        connection.execute("DELETE FROM tasks")


def run(arguments: Sequence[str], keys: dict[str, str] | None = None, cwd: Path = ROOT) -> Run:
    """Run a program to its end and watch its memory."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KLING_")}
    began = time.perf_counter()
    with subprocess.Popen(
        list(arguments),
        cwd=cwd,
        env=environment | (keys or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        peak = _Peak(process.pid)
        peak.start()
        said, _ = process.communicate()
        took = time.perf_counter() - began
    peak.join()
    return Run(process.returncode, took, peak.megabytes, said)


def run_ours(campaign: Campaign, service: SandboxProcess, *more: str, slots: int) -> Run:
    """`manifest-runner run` of the whole campaign. Exits where it does not end well: nothing was measured then."""
    where = (str(campaign.sheet), "--service", "sandbox", "--base-url", service.base_url)
    ended = run(
        [*COMMAND, "run", *where, "--concurrency", str(slots), "--yes", *more], dict(service.environment)
    )
    if ended.code or len(campaign.videos) != campaign.jobs:
        raise SystemExit(f"the run ended with {ended.code}:\n{ended.said[-3000:]}")
    return ended


class _Peak(threading.Thread):
    """Reads VmHWM, which only rises, until the process is gone."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self.megabytes = 0.0

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while peak := [
                line for line in self._status.read_text().splitlines() if line.startswith("VmHWM")
            ]:
                self.megabytes = int(peak[0].split()[1]) / 1024
                time.sleep(0.02)


def read_books(state: Path, slots: int) -> Books:
    """The books of a sandbox that has ended."""
    with contextlib.closing(sqlite3.connect(state / "sandbox.sqlite3")) as connection:
        spans = connection.execute(
            "SELECT created_ms / 1e3, updated_ms / 1e3 FROM tasks ORDER BY 1"
        ).fetchall()
    first, last = spans[0][0], spans[-1][0]
    took = [ended - created for created, ended in spans]
    busy = sum(min(ended, last) - created for created, ended in spans)
    return Books(
        tasks=len(spans),
        first_create=first,
        ideal=max(*took, sum(took) / slots),
        idle=1 - busy / (slots * (last - first)) if last > first else 0.0,
        calls=json.loads((state / CALLS_NAME).read_text()),
    )


def last_home(campaign: Campaign) -> float:
    """When the last video was whole, by the wall clock."""
    return max(video.stat().st_mtime for video in campaign.videos)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure and its goal."""

    name: str
    value: float
    goal: float
    unit: str = ""
    at_least: bool = False  # else: at most

    @property
    def reached(self) -> bool:
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def tell(benchmark: str, figures: Sequence[Figure], **more: object) -> int:
    """Print a table and a line of JSON; 1 when a goal was missed."""
    for figure in figures:
        goal = f"{'>=' if figure.at_least else '<='} {figure.goal:,.5g} {figure.unit}"
        said = "reached" if figure.reached else "MISSED"
        print(f"{figure.name:48} {figure.value:12,.4g} {figure.unit:8} {goal:20} {said}")
    told = {
        figure.name: {"value": figure.value, "goal": figure.goal, "reached": figure.reached}
        for figure in figures
    }
    print(json.dumps({"benchmark": benchmark, "figures": told, **more}), flush=True)
    return int(not all(figure.reached for figure in figures))
