"""What a competent person writes in an hour: asyncio, httpx, a semaphore. No ledger, nothing that survives a crash.

    python -m benchmarks.peers.naive rows.csv out --base-url URL --concurrency 50 --poll 5

Keys come from KLING_ACCESS_KEY and KLING_SECRET_KEY. Each task is asked about by itself every --poll seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import csv
import os
import time
from pathlib import Path

import httpx
import jwt

AVATAR = "/v1/videos/avatar/image2video"


def token() -> str:
    now = int(time.time())
    claims = {"iss": os.environ["KLING_ACCESS_KEY"], "exp": now + 1800, "nbf": now - 5}
    return jwt.encode(claims, os.environ["KLING_SECRET_KEY"], algorithm="HS256")


def base64_of(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


async def make(client: httpx.AsyncClient, row: dict[str, str], folder: Path, out: Path, poll: float) -> None:
    body = {
        "external_task_id": row["external_task_id"],
        "image": base64_of(folder / row["image"]),
        "sound_file": base64_of(folder / row["sound_file"]),
        "prompt": row["prompt"],
    }
    while True:
        reply = (await client.post(AVATAR, json=body)).json()
        if reply["code"] != 1303:
            break
        await asyncio.sleep(poll)
    if reply["code"] != 0:
        raise RuntimeError(f"{row['external_task_id']}: {reply}")
    task_id = reply["data"]["task_id"]
    while True:
        await asyncio.sleep(poll)
        task = (await client.get(f"{AVATAR}/{task_id}")).json()["data"]
        if task["task_status"] == "failed":
            raise RuntimeError(f"{row['external_task_id']}: {task['task_status_msg']}")
        if task["task_status"] == "succeed":
            break
    video = await client.get(task["task_result"]["videos"][0]["url"])
    (out / f"{row['external_task_id']}.mp4").write_bytes(video.content)


async def run(rows: list[dict[str, str]], folder: Path, out: Path, options: argparse.Namespace) -> None:
    slots = asyncio.Semaphore(options.concurrency)
    limits = httpx.Limits(max_connections=options.concurrency, max_keepalive_connections=options.concurrency)
    async with httpx.AsyncClient(
        base_url=options.base_url, headers={"Authorization": f"Bearer {token()}"}, timeout=60, limits=limits
    ) as client:

        async def one(row: dict[str, str]) -> None:
            async with slots:
                await make(client, row, folder, out, options.poll)

        await asyncio.gather(*(one(row) for row in rows))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sheet", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--poll", type=float, default=5.0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with options.sheet.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    asyncio.run(run(rows, options.sheet.parent, options.out, options))


if __name__ == "__main__":
    main()
