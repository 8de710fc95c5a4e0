"""A service with books of its own: what it made, for whom, from which request, and what it deducted.

It bills duplicates, so that a second POST that should not have been shows in the books, and it knows what the
scripted service does not: tasks that come into being after their request was cut off, tasks that look-ups miss at
first, tasks of strangers, results that are gone.
"""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from scripted_campaign import AVATAR, Answer, ScriptedService, envelope, scripted, video

PRICES = {"std": Decimal("0.8"), "pro": Decimal("1.6")}  # of the two seconds that each row asks for
LANDS_AFTER = (
    1.3  # times the create time-out: later than the first look-up, before the second may be believed
)
ANSWERS_AFTER = 3.0  # times the create time-out: nobody waits for that answer any more

LOST_MEANWHILE = {
    "lost": None,
    "502": (502, b"<html>Bad gateway</html>"),
    "html": (200, b"<html>Log in</html>"),
}
"""What comes in place of an answer."""

Wanted = tuple[str | None, str]
"""A row's prompt and mode."""


@dataclass(eq=False)
class Sale:
    """A task in the service's books."""

    key: str
    task_id: str
    created_at: int  # ms
    wanted: Wanted  # what it was made from
    price: Decimal
    ours: bool
    adopted: bool = False  # a person has said that it is ours
    expected: Decimal = Decimal(0)  # what the ledger has to reckon with until it knows better
    fails: bool = False
    gone: bool = False  # its result can't be fetched any more
    unseen: int = 0  # look-ups of its id that miss it, the service's own parts being slow to tell each other
    ended: str = ""
    told_without_figure: bool = False

    @property
    def deducted(self) -> Decimal:
        return Decimal(0) if self.fails else self.price

    def adopt(self, row: Wanted) -> None:
        """A person's word: it is ours, and made from the row as it is now."""
        self.adopted, self.wanted, self.expected = True, row, PRICES[row[1]]

    @property
    def film(self) -> bytes:
        """A video that is no other task's: players skip a `free` box."""
        name = self.task_id.encode()
        return video() + (8 + len(name)).to_bytes(4, "big") + b"free" + name


def job_of(key: str) -> str:
    """The job whose attempt has this id."""
    return key.partition("-r")[0]


class BookedService(ScriptedService):
    """Create calls have some acts more than the scripted service's. `... though made` is for each answer that gets
    lost; `late` is cut off and made a while later, but while the request may still be carried out; `adrift` is cut off
    and made between two runs, unless the id was sent again before; `sent twice` is what a gateway's own repeating comes
    to: the first made the task, the second is told that it exists.

    What is said of a job (`fails`, `held`, `unlisted`, `shy`, `short_lived`) holds for its next tasks, and `held` and
    `unlisted` for those it has, too.
    """

    def __init__(self, create_seconds: float) -> None:
        super().__init__()
        self.duplicates_refused = False
        self.create_seconds = create_seconds
        self.books: list[Sale] = []
        self.left: dict[str, float] = {}  # when the newest POST of an id left, by the event loop's clock
        self.sent: Counter[str] = Counter()  # POSTs that arrived, by id
        self.turned_away: set[str] = set()  # ids whose POST was refused for good
        self.shy: set[str] = set()
        self.short_lived: set[str] = set()
        self.figures = True  # whether the end of a task is told with its deduction
        self.asked = 0  # calls of any kind
        self.objections: list[str] = []  # what a witness had against a POST
        self.played: Counter[str] = Counter()  # what went otherwise than well, and how often
        self.at_post: Callable[[str], None] = lambda key: None
        self.at_call: Callable[[int], None] = lambda number: None
        self._adrift: list[tuple[dict[str, object], int]] = []

    def task(self, task_id: str) -> Sale:
        return next(sale for sale in self.books if sale.task_id == task_id)

    def sales(self, key: str) -> list[Sale]:
        return [sale for sale in self.books if sale.key == key]

    def jobs_seen(self) -> set[str]:
        return {job_of(key) for key in self.sent}

    def stranger(self, key: str, *, unseen: int) -> None:
        """Somebody else made a task with this id, an hour ago; it has ended long since."""
        an_hour_ago = time.time_ns() // 1_000_000 - 3_600_000
        sale = self._enter(key, (None, "std"), ours=False, created_at=an_hour_ago)
        sale.unseen, sale.ended = unseen, "succeed"

    def goes_on(self, job: str) -> None:
        """Its tasks end, and lists show them."""
        self.held.discard(job)
        self.unlisted.discard(job)

    def land_what_is_adrift(self) -> None:
        adrift, self._adrift = self._adrift, []
        for body, sent in adrift:
            key = str(body["external_task_id"])
            if self.sent[key] == sent and not self.sales(key):
                self.played["landed between two runs"] += 1
                self._make(body, unseen=0)

    def answer_well(self) -> None:
        """Whoever asks is told, sees all there is, and finds it ended."""
        for script in (self.look_ups, self.lists, self.results, self.held):
            script.clear()
        for sale in self.books:
            sale.unseen = 0

    def heal(self) -> None:
        """Nothing goes wrong any more; what was made stays what it is."""
        self.answer_well()
        for script in self.creates.values():
            script.clear()
        for kind in (self.fails, self.unlisted, self.shy, self.short_lived):
            kind.clear()
        self.figures = True

    # -- what a call leads to ------------------------------------------------------------------------------------

    async def answer(self, method: str, path: str, body: bytes) -> Answer:
        self.asked += 1
        self.at_call(self.asked)
        if path.startswith("/results/"):
            return self._result(self.task(path.removeprefix("/results/").removesuffix(".mp4")))
        if path.startswith(f"{AVATAR}?"):
            asked = dict(part.split("=") for part in path.partition("?")[2].split("&"))
            return self._page(int(asked["pageNum"]), int(asked["pageSize"]))
        return await super().answer(method, path, body)

    async def create(self, body: dict[str, object]) -> Answer:
        key = str(body["external_task_id"])
        self.note(f"post {key}")
        self.sent[key] += 1
        self.at_post(key)
        script = self.creates[job_of(key)]
        act, _, made = self._next(script, "create").partition(" though ")
        if any(not sale.ours for sale in self.sales(key)):
            self.turned_away.add(key)
            return scripted("400/1201")
        if act == "late":
            when = self.left[key] + LANDS_AFTER * self.create_seconds
            asyncio.get_running_loop().call_at(when, functools.partial(self._make, body, unseen=0))
            return None
        if act == "adrift":
            self._adrift.append((body, self.sent[key]))
            return None
        if "/" in act:
            if act.startswith("400/"):
                self.turned_away.add(key)
            return scripted(act)
        if act in LOST_MEANWHILE and not made:
            return LOST_MEANWHILE[act]
        sale = self._make(body)
        if act == "sent twice":
            words = {"code": 1201, "message": "external_task_id already exists", "request_id": "r-2"}
            return 400, json.dumps(words).encode()
        if act in LOST_MEANWHILE:
            return LOST_MEANWHILE[act]
        if act == "slow":
            await asyncio.sleep(ANSWERS_AFTER * self.create_seconds)
        status, content = envelope(data=self.told(sale))
        return status, content[:40] if act == "cut" else content

    def _page(self, number: int, size: int) -> Answer:
        self.note("list")
        act = self._next(self.lists, "list")
        if act in LOST_MEANWHILE:
            return LOST_MEANWHILE[act]
        shown = [s for s in self.books if not s.unseen and job_of(s.key) not in self.unlisted]
        newest_first = shown[::-1]
        return envelope(data=[self.looked_at(s) for s in newest_first[(number - 1) * size : number * size]])

    def look_up(self, any_id: str) -> Answer:
        self.note(f"look {any_id}")
        act = self._next(self.look_ups, "look-up")
        if act in LOST_MEANWHILE:
            return LOST_MEANWHILE[act]
        if act != "ok":
            return scripted(act)
        for sale in reversed(self.books):
            if any_id not in (sale.key, sale.task_id):
                continue
            if sale.unseen:
                sale.unseen -= 1
                self.played["look-up that misses a task"] += 1
                break
            return envelope(data=self.looked_at(sale))
        return scripted("404/1203")

    def looked_at(self, sale: Sale) -> dict[str, object]:
        if not sale.ended and job_of(sale.key) not in self.held:
            sale.ended = "failed" if sale.fails else "succeed"
            self.note(f"end {sale.key}")
        return self.told(sale)

    def told(self, sale: Sale) -> dict[str, object]:
        told = super().told(sale)
        if sale.ended:
            told["final_unit_deduction"] = str(sale.deducted) if self.figures else None
            sale.told_without_figure |= not self.figures
        return told

    def _next(self, script: deque[str], what: str) -> str:
        act = script.popleft() if script else "ok"
        if act != "ok":
            self.played[f"{what}: {act}"] += 1
        return act

    def _result(self, sale: Sale) -> Answer:
        act = self._next(self.results, "result")
        if sale.gone or act == "404":
            return scripted("404/1203")
        if act in LOST_MEANWHILE:
            return LOST_MEANWHILE[act]
        return 200, sale.film[: len(sale.film) // 2] if act == "cut" else sale.film

    def _make(self, body: dict[str, object], *, unseen: int | None = None) -> Sale:
        key = str(body["external_task_id"])
        prompt = str(body["prompt"]) if "prompt" in body else None
        sale = self._enter(key, (prompt, str(body["mode"])), ours=True)
        job = job_of(key)
        sale.fails, sale.gone = job in self.fails, job in self.short_lived
        sale.unseen = int(job in self.shy) if unseen is None else unseen
        for kind in (self.fails, self.short_lived, self.shy):
            kind.discard(job)
        return sale

    def _enter(self, key: str, wanted: Wanted, *, ours: bool, created_at: int | None = None) -> Sale:
        number = 870_000_000_000_000_000 + len(self.books)
        now = time.time_ns() // 1_000_000
        price = PRICES[wanted[1]]
        sale = Sale(key, str(number), created_at or now, wanted, price, ours, expected=price)
        self.books.append(sale)
        self.note(f"made {key}")
        return sale
