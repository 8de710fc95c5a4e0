"""Callbacks on their way: the front stands between the sandbox and the receiver that the runner named.

sandbox  ->  front (repeats, holds back, swallows)  ->  receiver
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

from wire import CALLBACK, Answer, Request, forward

STATUSES = ("submitted", "processing", "succeed", "failed")  # as one follows the other


@dataclass
class Callbacks:
    """The addresses that were asked for, each under a number, and the tasks of which something was delivered."""

    own_url: str = ""
    asked_for: list[str] = field(default_factory=list)
    delivered: set[str] = field(default_factory=set)

    def through_here(self, create: Request) -> Request:
        """The create call with its callback address led through the front; as it is when it names none."""
        order = create.order
        if not order.get("callback_url"):
            return create
        self.asked_for.append(order["callback_url"])
        number = len(self.asked_for) - 1
        return create.with_order(order | {"callback_url": f"{self.own_url}{CALLBACK}{number}"})

    async def pass_on(self, delivery: Request) -> Answer:
        url = urlsplit(self.asked_for[int(delivery.path.removeprefix(CALLBACK))])
        headers = delivery.headers | {"host": url.netloc}
        answer = await forward(url.geturl(), Request(delivery.method, url.path, headers, delivery.body))
        self.delivered.add(str(delivery.order["task_id"]))
        return answer


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """What came, in its order: the job's id and the status that was told."""

    url: str
    came: list[tuple[str, str]]

    @property
    def in_order(self) -> bool:
        """Whether of no job an earlier status came after a later one."""
        told = defaultdict(list)
        for key, status in self.came:
            told[key].append(STATUSES.index(status))
        return all(statuses == sorted(statuses) for statuses in told.values())


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on this machine that takes everything and notes it."""
    came: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["content-length"])))
            came.append((told["task_info"]["external_task_id"], told["task_status"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: what came is noted."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Receiver(url=f"http://127.0.0.1:{server.server_address[1]}/hook", came=came)
        finally:
            server.shutdown()
            thread.join()
