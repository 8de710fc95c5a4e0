"""What the front can do to a request. Each `do_` is named by a rule's `do`, and answers in the sandbox's place."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wire import Answer, Dropped, Request, Reset, refusal, tasks_in

if TYPE_CHECKING:
    from front import Front

HTML = b"<html><head><title>502 Bad Gateway</title></head><body>Bad gateway</body></html>"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """From the `nth` request of a route on, `times` times: `do`. With `reused` only to requests that come on a
    connection which was kept open."""

    route: str  # create, look, list, speech, result, callback
    do: str
    nth: int = 1
    times: int = 1
    seconds: float = 0.0
    value: Any = None
    reused: bool = False


@dataclass
class Mischief:
    front: Front
    later: set[asyncio.Task[None]] = field(default_factory=set)

    async def do(self, request: Request, rule: Rule) -> Answer:
        answer: Answer = await getattr(self, f"do_{rule.do}")(request, rule)
        return answer

    # -- what can be done to any request -----------------------------------------------------------------------------

    async def do_drop_before(self, request: Request, rule: Rule) -> Answer:
        raise Dropped

    async def do_drop_after(self, request: Request, rule: Rule) -> Answer:
        await self.front.pass_on(request)
        raise Dropped

    async def do_reset_before(self, request: Request, rule: Rule) -> Answer:
        raise Reset

    async def do_reset_after(self, request: Request, rule: Rule) -> Answer:
        await self.front.pass_on(request)
        raise Reset

    async def do_late(self, request: Request, rule: Rule) -> Answer:
        """The connection is lost, and the request arrives all the same, later."""

        async def arrive() -> None:
            await asyncio.sleep(rule.seconds)
            await self.front.pass_on(request)

        task = asyncio.create_task(arrive())
        self.later.add(task)
        task.add_done_callback(self.later.discard)
        raise Dropped

    async def do_slow(self, request: Request, rule: Rule) -> Answer:
        """The service takes its time before it commits, whether the client still waits or not."""
        await asyncio.sleep(rule.seconds)
        return await self.front.pass_on(request)

    async def do_delay(self, request: Request, rule: Rule) -> Answer:
        answer = await self.front.pass_on(request)
        await asyncio.sleep(rule.seconds)
        return answer

    async def do_502_after(self, request: Request, rule: Rule) -> Answer:
        await self.front.pass_on(request)
        return Answer(502, {"content-type": "text/html"}, HTML)

    async def do_502_before(self, request: Request, rule: Rule) -> Answer:
        return Answer(502, {"content-type": "text/html"}, HTML)

    async def do_html(self, request: Request, rule: Rule) -> Answer:
        await self.front.pass_on(request)
        return Answer(200, {"content-type": "text/html"}, HTML)

    async def do_cut(self, request: Request, rule: Rule) -> Answer:
        answer = await self.front.pass_on(request)
        return Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2])

    async def do_refuse(self, request: Request, rule: Rule) -> Answer:
        """`value`: status, code, and a Retry-After or null."""
        status, code, retry_after = rule.value
        if retry_after is None:
            return refusal(status, code, "the front says so")
        self.front.told_to_wait(request)
        return refusal(status, code, "the front says so", **{"retry-after": retry_after})

    # -- what is told of tasks ---------------------------------------------------------------------------------------

    async def do_hide(self, request: Request, rule: Rule) -> Answer:
        """Tasks younger than `seconds` are not there yet, neither for look-ups nor in the list."""
        answer = await self.front.pass_on(request)
        if answer.status != 200:
            return self._as_it_is(answer, request, rule)
        value = answer.envelope
        shown = [task for task in tasks_in(value) if not self._young(task, rule.seconds)]
        if len(shown) == len(tasks_in(value)):
            return self._as_it_is(answer, request, rule)
        if request.route == "look":
            return refusal(404, 1203, "not there")
        return answer.with_envelope(value | {"data": shown})

    def _young(self, task: dict[str, Any], seconds: float) -> bool:
        return time.monotonic() - self.front.born.get(str(task["task_id"]), 0.0) < seconds

    async def do_shift(self, request: Request, rule: Rule) -> Answer:
        """The pages move while they are read: some tasks are missing, the rest in any order."""
        answer = await self.front.pass_on(request)
        value = answer.envelope
        tasks = value["data"][1:]
        random.Random(self.front.requests["list"]).shuffle(tasks)
        return answer.with_envelope(value | {"data": tasks})

    async def do_rewrite(self, request: Request, rule: Rule) -> Answer:
        """`value` is laid over each task that is told of; None takes a field away."""
        answer = await self.front.pass_on(request)
        if answer.status != 200:
            return self._as_it_is(answer, request, rule)
        value = answer.envelope
        before = json.dumps(value)
        for task in tasks_in(value):
            for name, new in rule.value.items():
                if new is None:
                    task.pop(name, None)
                else:
                    task[name] = new
        if json.dumps(value) == before:
            return self._as_it_is(answer, request, rule)
        return answer.with_envelope(value)

    async def do_replace(self, request: Request, rule: Rule) -> Answer:
        """`value`: a pattern, and what is written in its place in the answer's body."""
        answer = await self.front.pass_on(request)
        pattern, new = rule.value
        body, times = re.subn(pattern.encode(), new.encode(), answer.body)
        if not times:
            return self._as_it_is(answer, request, rule)
        return Answer(answer.status, answer.headers, body)

    def _as_it_is(self, answer: Answer, request: Request, rule: Rule) -> Answer:
        self.front.did_nothing(request, rule)
        return answer

    # -- what happens to downloads -----------------------------------------------------------------------------------

    async def do_truncate(self, request: Request, rule: Rule) -> Answer:
        """Half of it comes; `value` "no length" leaves even its size unsaid."""
        answer = await self.front.pass_on(request)
        claims = None if rule.value == "no length" else len(answer.body)
        return Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2], claims)

    async def do_no_range(self, request: Request, rule: Rule) -> Answer:
        """200 and the whole file, whatever range was asked for, under another tag."""
        headers = {name: text for name, text in request.headers.items() if name not in ("range", "if-range")}
        answer = await self.front.pass_on(Request(request.method, request.target, headers, request.body))
        return Answer(200, answer.headers | {"etag": '"another"'}, answer.body)

    async def do_page(self, request: Request, rule: Rule) -> Answer:
        return Answer(200, {"content-type": "video/mp4"}, HTML)

    async def do_gone(self, request: Request, rule: Rule) -> Answer:
        return Answer(404, {"content-type": "text/html"}, HTML)

    # -- what happens to callbacks -----------------------------------------------------------------------------------

    async def do_repeat(self, request: Request, rule: Rule) -> Answer:
        """Delivered `value` times."""
        for _ in range(rule.value - 1):
            await self.front.pass_on(request)
        return await self.front.pass_on(request)

    async def do_swallow(self, request: Request, rule: Rule) -> Answer:
        """The sender takes it for delivered, and it never arrives."""
        return Answer(200, {}, b"")

    async def do_after_callback(self, request: Request, rule: Rule) -> Answer:
        """A create call is answered only when a callback has told of its task, or after `seconds`."""
        answer = await self.front.pass_on(request)
        task_id, until = str(answer.envelope["data"]["task_id"]), time.monotonic() + rule.seconds
        while task_id not in self.front.callbacks.delivered:
            if time.monotonic() > until:
                return self._as_it_is(answer, request, rule)
            await asyncio.sleep(0.01)
        return answer
