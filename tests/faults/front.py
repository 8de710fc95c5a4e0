"""A front for the sandbox that breaks things: a process of its own between the runner and the service.

It passes HTTP on byte by byte and, where a rule says so, drops, delays, cuts, rewrites or invents. It counts what it
did and how many tasks were really made for each id. With `accept_duplicates` it hides every id that it has seen
before from the sandbox's own check of duplicates, so that a second create call makes, and bills, a second task.

    python tests/faults/front.py --upstream http://127.0.0.1:8765 --rules '[{"route": "create", "do": "drop_after"}]'
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import re
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

AVATAR = "/v1/videos/avatar/image2video"
STATS = "/__front__"
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>Bad gateway</body></html>"
AGAIN = re.compile(r"~again[0-9]+$")  # what a duplicate's id carries at the sandbox, and nowhere else


@dataclass(frozen=True, kw_only=True)
class Rule:
    """From the `nth` request of a route on, `times` times: `do`."""

    route: str  # create, look, list, speech, result
    do: str
    nth: int = 1
    times: int = 1
    seconds: float = 0.0
    value: Any = None


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def route(self) -> str:
        path = urlsplit(self.target).path
        if path == AVATAR:
            return "create" if self.method == "POST" else "list"
        if path.startswith(AVATAR + "/"):
            return "look"
        return {"/v1/audio/tts": "speech", STATS: "stats"}.get(path, "result")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    claims: int | None = -1  # its Content-Length: -1 the truth, None no header at all

    def wire(self) -> bytes:
        kept = {
            k: v
            for k, v in self.headers.items()
            if k not in ("content-length", "connection", "date", "server")
        }
        if self.claims is not None:
            kept["content-length"] = str(len(self.body) if self.claims == -1 else self.claims)
        lines = [f"HTTP/1.1 {self.status} X", *(f"{k}: {v}" for k, v in kept.items()), "connection: close"]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body

    @property
    def envelope(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value

    def with_envelope(self, value: dict[str, Any]) -> Answer:
        return Answer(self.status, self.headers, json.dumps(value).encode())


class Dropped(Exception):
    """The client gets no answer."""


def refusal(status: int, code: int, message: str, **headers: str) -> Answer:
    body = json.dumps({"code": code, "message": message, "request_id": "front", "data": None}).encode()
    return Answer(status, {"content-type": "application/json", **headers}, body)


@dataclass
class Front:
    upstream: str
    rules: list[Rule]
    accept_duplicates: bool = False
    requests: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(
        default_factory=Counter
    )  # tasks that the sandbox made, by the id that was asked for
    seen: Counter[str] = field(default_factory=Counter)
    born: dict[str, float] = field(default_factory=dict)  # when a task was made, by id and by task id
    used: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    later: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await read_request(reader)
            try:
                answer = await self.answer(request)
            except Dropped:
                writer.transport.abort()
                return
            with contextlib.suppress(ConnectionError):
                writer.write(answer.wire())
                await writer.drain()
        writer.close()

    async def answer(self, request: Request) -> Answer:
        route = request.route
        if route == "stats":
            return Answer(200, {"content-type": "application/json"}, json.dumps(self.stats()).encode())
        self.requests[route] += 1
        rule = self._rule_for(route)
        if rule is None:
            return await self._pass_on(request)
        self.injected[f"{route}:{rule.do}"] += 1
        return await getattr(self, f"do_{rule.do}")(request, rule)

    def _rule_for(self, route: str) -> Rule | None:
        for index, rule in enumerate(self.rules):
            if rule.route == route and self.requests[route] >= rule.nth and self.used[index] < rule.times:
                self.used[index] += 1
                return rule
        return None

    def stats(self) -> dict[str, Any]:
        return {
            "requests": dict(self.requests),
            "injected": dict(self.injected),
            "made": dict(self.made),
        }

    # -- passing on --------------------------------------------------------------------------------------------------

    async def _pass_on(self, request: Request) -> Answer:
        """The sandbox's own answer; a create call is counted by what it really made."""
        key = None
        if request.route == "create":
            order = json.loads(request.body)
            key = order.get("external_task_id")
            if self.accept_duplicates and key is not None:
                self.seen[key] += 1
                if self.seen[key] > 1:
                    order["external_task_id"] = f"{key}~again{self.seen[key]}"
                    request = Request(
                        request.method, request.target, request.headers, json.dumps(order).encode()
                    )
        answer = await forward(self.upstream, request)
        if key is not None and answer.status == 200:
            self.made[key] += 1
            self.born[key] = self.born[answer.envelope["data"]["task_id"]] = time.monotonic()
        return self._unmasked(answer)

    def _unmasked(self, answer: Answer) -> Answer:
        """A duplicate's id is shown as the id that it duplicates."""
        if not self.accept_duplicates or b"~again" not in answer.body:
            return answer
        value = answer.envelope
        tasks = value["data"] if isinstance(value["data"], list) else [value["data"]]
        for task in tasks:
            info = task.get("task_info", {})
            info["external_task_id"] = AGAIN.sub("", info.get("external_task_id", ""))
        return answer.with_envelope(value)

    # -- what can be done to any request -----------------------------------------------------------------------------

    async def do_drop_before(self, request: Request, rule: Rule) -> Answer:
        raise Dropped

    async def do_drop_after(self, request: Request, rule: Rule) -> Answer:
        await self._pass_on(request)
        raise Dropped

    async def do_late(self, request: Request, rule: Rule) -> Answer:
        """The connection is lost, and the request arrives all the same, later."""

        async def arrive() -> None:
            await asyncio.sleep(rule.seconds)
            await self._pass_on(request)

        task = asyncio.create_task(arrive())
        self.later.add(task)
        task.add_done_callback(self.later.discard)
        raise Dropped

    async def do_slow(self, request: Request, rule: Rule) -> Answer:
        """The service takes its time before it commits, whether the client still waits or not."""
        await asyncio.sleep(rule.seconds)
        return await self._pass_on(request)

    async def do_delay(self, request: Request, rule: Rule) -> Answer:
        answer = await self._pass_on(request)
        await asyncio.sleep(rule.seconds)
        return answer

    async def do_502_after(self, request: Request, rule: Rule) -> Answer:
        await self._pass_on(request)
        return Answer(502, {"content-type": "text/html"}, HTML)

    async def do_502_before(self, request: Request, rule: Rule) -> Answer:
        return Answer(502, {"content-type": "text/html"}, HTML)

    async def do_html(self, request: Request, rule: Rule) -> Answer:
        await self._pass_on(request)
        return Answer(200, {"content-type": "text/html"}, HTML)

    async def do_cut(self, request: Request, rule: Rule) -> Answer:
        answer = await self._pass_on(request)
        return Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2])

    async def do_refuse(self, request: Request, rule: Rule) -> Answer:
        """`value`: status, code, and a Retry-After or null."""
        status, code, retry_after = rule.value
        headers = {} if retry_after is None else {"retry-after": retry_after}
        return refusal(status, code, "the front says so", **headers)

    # -- what is told of tasks ---------------------------------------------------------------------------------------

    async def do_hide(self, request: Request, rule: Rule) -> Answer:
        """Tasks younger than `seconds` are not there yet, neither for look-ups nor in the list."""
        answer = await self._pass_on(request)
        if answer.status != 200:
            return answer
        value = answer.envelope
        if request.route == "look":
            return refusal(404, 1203, "not there") if self._young(value["data"], rule.seconds) else answer
        value["data"] = [task for task in value["data"] if not self._young(task, rule.seconds)]
        return answer.with_envelope(value)

    def _young(self, task: dict[str, Any], seconds: float) -> bool:
        return time.monotonic() - self.born.get(str(task["task_id"]), 0.0) < seconds

    async def do_shift(self, request: Request, rule: Rule) -> Answer:
        """The pages move while they are read: some tasks are missing, the rest in any order."""
        answer = await self._pass_on(request)
        value = answer.envelope
        tasks = value["data"][1:]
        random.Random(self.requests["list"]).shuffle(tasks)
        return answer.with_envelope(value | {"data": tasks})

    async def do_rewrite(self, request: Request, rule: Rule) -> Answer:
        """`value` is laid over each task that is told of; None takes a field away."""
        answer = await self._pass_on(request)
        if answer.status != 200:
            return answer
        value = answer.envelope
        for task in value["data"] if isinstance(value["data"], list) else [value["data"]]:
            for name, new in rule.value.items():
                if new is None:
                    task.pop(name, None)
                else:
                    task[name] = new
        return answer.with_envelope(value)

    async def do_numbers(self, request: Request, rule: Rule) -> Answer:
        """Task ids as numbers, as some JSON libraries of services write them."""
        answer = await self._pass_on(request)
        body = re.sub(rb'"task_id":\s*"([0-9]+)"', rb'"task_id": \1', answer.body)
        return Answer(answer.status, answer.headers, body)

    async def do_no_url(self, request: Request, rule: Rule) -> Answer:
        answer = await self._pass_on(request)
        body = re.sub(rb'"url":\s*"[^"]*\.mp4"', b'"url": ""', answer.body)
        return Answer(answer.status, answer.headers, body)

    # -- what happens to downloads -----------------------------------------------------------------------------------

    async def do_truncate(self, request: Request, rule: Rule) -> Answer:
        """Half of it comes; `value` "no length" leaves even its size unsaid."""
        answer = await self._pass_on(request)
        claims = None if rule.value == "no length" else len(answer.body)
        return Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2], claims)

    async def do_no_range(self, request: Request, rule: Rule) -> Answer:
        """200 and the whole file, whatever range was asked for, under another tag."""
        headers = {name: text for name, text in request.headers.items() if name not in ("range", "if-range")}
        answer = await self._pass_on(Request(request.method, request.target, headers, request.body))
        return Answer(200, answer.headers | {"etag": '"another"'}, answer.body)

    async def do_page(self, request: Request, rule: Rule) -> Answer:
        return Answer(200, {"content-type": "video/mp4"}, HTML)

    async def do_gone(self, request: Request, rule: Rule) -> Answer:
        return Answer(404, {"content-type": "text/html"}, HTML)


async def read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
    headers = {name.lower(): value for name, value in headers.items()}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


async def forward(upstream: str, request: Request) -> Answer:
    """The same request to the sandbox, under the Host that the client used: results then come through here too."""
    place = urlsplit(upstream)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        headers = request.headers | {"connection": "close"}
        if request.body:
            headers["content-length"] = str(len(request.body))
        lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + request.body)
        await writer.drain()
        raw = await reader.read()
    finally:
        writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    told = dict(line.split(": ", 1) for line in rest if ": " in line)
    return Answer(int(first.split(" ")[1]), {name.lower(): value for name, value in told.items()}, body)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--rules", default="[]")
    parser.add_argument("--accept-duplicates", action="store_true")
    options = parser.parse_args()
    rules = [Rule(**rule) for rule in json.loads(options.rules)]
    front = Front(options.upstream, rules, options.accept_duplicates)
    server = await asyncio.start_server(front.serve, "127.0.0.1", 0, limit=2**26)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    sys.stdout.write(json.dumps({"base_url": url}) + "\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
