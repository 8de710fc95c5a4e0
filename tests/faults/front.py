"""A front for the sandbox that breaks things: a process of its own between the runner and the service.

It passes HTTP on byte by byte and, where a rule says so, drops, delays, cuts, rewrites or invents (mischief.py). It
counts what it did and how many tasks were really made for each id. With `accept_duplicates` it hides every id that it
has seen before from the sandbox's own check of duplicates, so that a second create call makes, and bills, a second
task. With `keep_alive` connections stay open after an answer, as a real gateway's do.

    python tests/faults/front.py --upstream http://127.0.0.1:8765 --rules '[{"route": "create", "do": "drop_after"}]'
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from callbacks import Callbacks
from mischief import Mischief, Rule
from wire import Answer, Dropped, Request, Reset, forward, read_request, reset, tasks_in

AGAIN = re.compile(r"~again[0-9]+$")  # what a duplicate's id carries at the sandbox, and nowhere else


@dataclass
class Front:
    upstream: str
    rules: list[Rule]
    accept_duplicates: bool = False
    keep_alive: bool = False
    requests: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    # tasks that the sandbox made, by the id that was asked for
    made: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    creates: list[tuple[float, str]] = field(
        default_factory=list
    )  # when each create call came, and for which id
    born: dict[str, float] = field(default_factory=dict)  # when a task was made, by id and by task id
    used: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    under_way: Counter[str] = field(default_factory=Counter)
    put_off: dict[tuple[str, str, str], float] = field(
        default_factory=dict
    )  # calls told to come again, and when
    waited: list[float] = field(default_factory=list)  # seconds until such a call came again
    callbacks: Callbacks = field(default_factory=Callbacks)
    mischief: Mischief = field(init=False)

    def __post_init__(self) -> None:
        self.mischief = Mischief(self)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            served = 0
            while True:
                request = await read_request(reader)
                request.reused = served > 0
                try:
                    answer = await self.answer(request)
                except Dropped:
                    writer.transport.abort()
                    return
                except Reset:
                    reset(writer)
                    return
                keep = (
                    self.keep_alive and answer.claims == -1 and request.headers.get("connection") != "close"
                )
                writer.write(answer.wire(keep=keep))
                await writer.drain()
                if not keep:
                    break
                served += 1
        writer.close()

    async def answer(self, request: Request) -> Answer:
        route = request.route
        if route == "stats":
            return Answer(200, {"content-type": "application/json"}, json.dumps(self.stats()).encode())
        self._note(request)
        rule = self._rule_for(request)
        self.under_way[route] += 1
        try:
            if rule is None:
                return await self.pass_on(request)
            self.injected[f"{route}:{rule.do}"] += 1
            return await self.mischief.do(request, rule)
        finally:
            self.under_way[route] -= 1

    def _note(self, request: Request) -> None:
        now = time.monotonic()
        self.requests[request.route] += 1
        if request.route == "create":
            self.creates.append((now, str(request.order.get("external_task_id"))))
        since = self.put_off.pop(_call(request), None)
        if since is not None:
            self.waited.append(now - since)

    def _rule_for(self, request: Request) -> Rule | None:
        route = request.route
        for index, rule in enumerate(self.rules):
            due = rule.route == route and self.requests[route] >= rule.nth and self.used[index] < rule.times
            if due and (request.reused or not rule.reused):
                self.used[index] += 1
                return rule
        return None

    def told_to_wait(self, request: Request) -> None:
        self.put_off[_call(request)] = time.monotonic()

    def did_nothing(self, request: Request, rule: Rule) -> None:
        """What the rule was for was not there: it does not count."""
        self.injected[f"{request.route}:{rule.do}"] -= 1

    def stats(self) -> dict[str, Any]:
        return {
            "requests": dict(self.requests),
            "injected": dict(self.injected),
            "made": dict(self.made),
            "creates": self.creates,
            "under_way": dict(self.under_way),
            "waited": self.waited,
        }

    # -- passing on --------------------------------------------------------------------------------------------------

    async def pass_on(self, request: Request) -> Answer:
        """The sandbox's own answer; a create call is counted by what it really made."""
        if request.route == "callback":
            return await self.callbacks.pass_on(request)
        if request.route != "create":
            return self._unmasked(await forward(self.upstream, request))
        key = request.order.get("external_task_id")
        answer = await forward(self.upstream, self._masked(self.callbacks.through_here(request)))
        if key is not None and answer.status == 200:
            self.made[key] += 1
            self.born[key] = self.born[answer.envelope["data"]["task_id"]] = time.monotonic()
        return self._unmasked(answer)

    def _masked(self, create: Request) -> Request:
        """An id that was seen before is one that the sandbox has not seen."""
        order = create.order
        key = order.get("external_task_id")
        if not self.accept_duplicates or key is None:
            return create
        self.seen[key] += 1
        if self.seen[key] == 1:
            return create
        return create.with_order(order | {"external_task_id": f"{key}~again{self.seen[key]}"})

    def _unmasked(self, answer: Answer) -> Answer:
        """A duplicate's id is shown as the id that it duplicates."""
        if not self.accept_duplicates or b"~again" not in answer.body:
            return answer
        value = answer.envelope
        for task in tasks_in(value):
            info = task.get("task_info", {})
            info["external_task_id"] = AGAIN.sub("", info.get("external_task_id", ""))
        return answer.with_envelope(value)


def _call(request: Request) -> tuple[str, str, str]:
    """What tells whether a request is the same call as one before."""
    key = request.order.get("external_task_id") if request.route == "create" else ""
    return request.method, request.path, str(key)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--rules", default="[]")
    parser.add_argument("--accept-duplicates", action="store_true")
    parser.add_argument("--keep-alive", action="store_true")
    options = parser.parse_args()
    rules = [Rule(**rule) for rule in json.loads(options.rules)]
    front = Front(options.upstream, rules, options.accept_duplicates, options.keep_alive)
    server = await asyncio.start_server(front.serve, "127.0.0.1", 0, limit=2**26)
    url = front.callbacks.own_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    sys.stdout.write(json.dumps({"base_url": url}) + "\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
