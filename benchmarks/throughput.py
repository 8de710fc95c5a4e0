"""Jobs a second at a service that takes no time, beside a bare loop that makes the same calls without a ledger.

    python -m benchmarks.throughput
    python -m benchmarks.throughput --jobs 500

The bare loop creates, asks for a whole page of the list once a second, and downloads, on the same transport and with as
many connections; it reads each small file once, remembers nothing and checks nothing. Both are timed from the first
task in the sandbox's books to the last video on disk. Exits 1 below 60 % of the bare loop.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import csv
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from httpx_aiohttp import AiohttpTransport

from benchmarks.campaigns import (
    AVATAR,
    Campaign,
    Figure,
    last_home,
    load_sandbox,
    make_campaign,
    read_books,
    run_ours,
    tell,
    token,
)
from manifest_runner.sandbox import SandboxProcess

GOAL = 0.6
PAGE = 500
EVERY = 1.0  # seconds between two lists, the shortest that ours takes


class BareLoop:
    """`slots` workers take rows from one iterator; a watcher tells each of them when its task has ended."""

    def __init__(self, client: httpx.AsyncClient, campaign: Campaign) -> None:
        self._client = client
        self._campaign = campaign
        self._awaited: dict[str, asyncio.Future[str]] = {}

    async def run(self, slots: int) -> None:
        self._campaign.out.mkdir(parents=True, exist_ok=True)
        with self._campaign.sheet.open(newline="", encoding="utf-8") as file:
            rows = iter(list(csv.DictReader(file)))
        watching = asyncio.create_task(self._watch())
        await asyncio.gather(*(self._work(rows) for _ in range(slots)))
        watching.cancel()

    async def _work(self, rows: Iterator[dict[str, str]]) -> None:
        for row in rows:
            body = {
                "external_task_id": row["external_task_id"],
                "image": self._content(row["image"]),
                "sound_file": self._content(row["sound_file"]),
                "prompt": row["prompt"],
            }
            task = (await self._client.post(AVATAR, json=body)).json()["data"]
            self._awaited[task["task_id"]] = asyncio.get_running_loop().create_future()
            video = await self._client.get(await self._awaited[task["task_id"]])
            (self._campaign.out / f"{row['external_task_id']}.mp4").write_bytes(video.content)

    def _content(self, name: str) -> str:
        return base64.b64encode((self._campaign.folder / name).read_bytes()).decode()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            page = 1
            while self._awaited:
                query = {"pageNum": page, "pageSize": PAGE}
                tasks = (await self._client.get(AVATAR, params=query)).json()["data"]
                if not sum([self._ended(task) for task in tasks]):
                    break
                page += 1

    def _ended(self, task: dict[str, Any]) -> bool:
        """Whether it was awaited and has ended."""
        if task["task_status"] != "succeed" or task["task_id"] not in self._awaited:
            return False
        self._awaited.pop(task["task_id"]).set_result(task["task_result"]["videos"][0]["url"])
        return True


async def bare(campaign: Campaign, service: SandboxProcess, slots: int) -> None:
    headers = {"Authorization": f"Bearer {token(service.environment)}"}
    async with httpx.AsyncClient(
        base_url=service.base_url, headers=headers, timeout=60, transport=AiohttpTransport()
    ) as client:
        await BareLoop(client, campaign).run(slots)


def jobs_a_second(name: str, folder: Path, jobs: int, slots: int) -> float:
    campaign, state = make_campaign(folder / "campaign", jobs), folder / "sandbox"
    with load_sandbox(state, slots=slots, render_time=0) as service:
        if name == "ours":
            run_ours(campaign, service, slots=slots)
        else:
            asyncio.run(bare(campaign, service, slots))
    return jobs / (last_home(campaign) - read_books(state, slots).first_create)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--slots", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    best = dict.fromkeys(("ours", "bare"), 0.0)
    for _ in range(options.repeat):
        for name in best:
            with tempfile.TemporaryDirectory() as folder:
                found = jobs_a_second(name, Path(folder), options.jobs, options.slots)
            best[name] = max(best[name], found)
            print(f"{name:8} {found:8.1f} jobs/s", flush=True)
    share = best["ours"] / best["bare"]
    return tell("throughput", [Figure("share of a bare loop", share, GOAL, at_least=True)], **best)


if __name__ == "__main__":
    sys.exit(main())
