"""Every error a user can meet, with the exit code it ends the program with.

ManifestRunnerError                 1   root; met bare only when there is a bug in us
├── UsageError                      2   the command line or a setting is wrong
├── ManifestError                   2   the manifest is wrong: carries every Problem found
├── MediaError                      2   one picture or recording can't be used (collected into Problems)
├── NeedsPerson                     4   stopped: somebody has to mend something outside before it can go on
│   ├── CredentialsError            4   no key, or the service refuses the key
│   ├── AccountPaused               4   arrears, empty or expired resource pack
│   └── ServiceUnreachable          4   nothing answers at the service's address
├── BudgetReached                   5   the next job would pass the budget
├── LedgerError                     4   the ledger can't be read or written
│   ├── LedgerMismatch              2   it belongs to another service, or to a newer version of this program
│   ├── LedgerMissing               2   there is none to read
│   └── LedgerBusy                  6   another runner holds it
├── ServiceError                    3   one call to the service did not end well
│   ├── ServiceRefused              3   an envelope whose code is not 0
│   ├── GarbledReply                3   an answer that is no envelope: HTML, an empty body, cut JSON
│   └── TransportFault              3   no answer: connection, time-out, reset
├── FetchError                      3   a result could not be brought home
└── Interrupted                   130   Ctrl-C or SIGTERM; the state is kept
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from manifest_runner.models import Job, Problem


class ManifestRunnerError(Exception):
    """Root of all our errors. `mend` says what a person can do now."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.what} {self.mend}".strip()


class UsageError(ManifestRunnerError):
    """The command line or a setting is wrong."""

    exit_code = 2


class ManifestError(ManifestRunnerError):
    """The manifest is wrong. `problems` holds every one that was found, in the order of the file.

    `more`: the reading stopped where enough had been found. `campaign` is its name, as far as it could be read;
    `sound` are the jobs against which nothing was found. Told are the kinds, where many are of few kinds, and then the
    problems, alike ones in one line.
    """

    exit_code = 2
    most_told: ClassVar[int] = 100  # lines
    most_lines_named: ClassVar[int] = 12
    fewest_alike: ClassVar[int] = 3

    def __init__(
        self, problems: Sequence[Problem], *, campaign: str | None = None, more: bool = False
    ) -> None:
        count = len(problems)
        many = f"{'At least ' if more else ''}{count:,} problem{'s' if count != 1 else ''} in the manifest"
        rows = len({(one.location.file, row) for one in problems if (row := one.location.row) is not None})
        super().__init__(
            f"{many}, in {rows:,} row{'s' if rows != 1 else ''}." if count > 1 and rows else f"{many}."
        )
        self.problems = tuple(problems)
        self.campaign = campaign
        self.more = more
        self.sound: Sequence[Job] = ()

    def __str__(self) -> str:
        kinds, alike = list(self._kinds()), self._alike()
        shown = alike[: 20 if kinds else self.most_told]
        left = len(self.problems) - sum(map(len, shown))
        more = [f"... and {left:,} more."] if left else []
        mend = [self.mend] if self.mend else []
        return "\n".join([self.what, *kinds, *map(self._line, shown), *more, *mend])

    def _kinds(self) -> Iterator[str]:
        """`412 rows: image smaller than 300 px (the first: rows.csv:7)`; nothing where each can be read by itself."""
        counted = Counter(problem.kind for problem in self.problems if problem.kind)
        if counted.total() <= 20:
            return
        for kind, count in counted.most_common():
            first = next(problem for problem in self.problems if problem.kind == kind)
            yield f"  {count:,} row{'' if count == 1 else 's'}: {kind} (the first: {first.location})"

    def _alike(self) -> list[list[Problem]]:
        """The problems, those together that are told by the same words of the same column, when they are not few."""
        groups: dict[tuple[str, str | None, str], list[Problem]] = {}
        for problem in self.problems:
            file, column = problem.location.file, problem.location.column
            of = (file, column if isinstance(column, str) else None, problem.sentence)
            groups.setdefault(of, []).append(problem)
        parts = (
            [group] if len(group) >= self.fewest_alike else [[one] for one in group]
            for group in groups.values()
        )
        return [part for some in parts for part in some]

    def _line(self, alike: Sequence[Problem]) -> str:
        """`rows.csv, lines 3, 4, 7-120 (column mode): ...`."""
        first, lines = alike[0], sorted({one.location.line for one in alike if one.location.line is not None})
        if len(lines) < 2:
            return str(first)
        spans = _spans(lines)
        named = ", ".join(spans[: self.most_lines_named])
        more = f" and more, {len(lines):,} in all" if len(spans) > self.most_lines_named else ""
        column = first.location.column
        where = f" (column {column})" if isinstance(column, str) else ""
        return f"{first.location.file}, lines {named}{more}{where}: {first.sentence}"


def _spans(numbers: Sequence[int]) -> list[str]:
    """Rising numbers in short: `3`, `4` and `7-120`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1][1:] = [number]
        else:
            spans.append([number])
    return ["-".join(map(str, span)) for span in spans]


class MediaError(ManifestRunnerError):
    """One picture or recording can't be used. `kind` is what it is counted with, such as "missing file"."""

    exit_code = 2

    def __init__(self, what: str, *, mend: str = "", kind: str = "") -> None:
        super().__init__(what, mend=mend)
        self.kind = kind


class NeedsPerson(ManifestRunnerError):
    """Stopped until somebody mends something outside: a key, an account, a clock, a disk."""

    exit_code = 4


class CredentialsError(NeedsPerson):
    """No key, or one that the service refuses."""


class AccountPaused(NeedsPerson):
    """The account can't pay (1101, 1102). Jobs stay pending."""


class ServiceUnreachable(NeedsPerson):
    """Nothing answers at the service's address."""


class BudgetReached(ManifestRunnerError):
    """The next job would pass the budget."""

    exit_code = 5


class LedgerError(ManifestRunnerError):
    """The ledger can't be read or written."""

    exit_code = 4


class LedgerMismatch(LedgerError):
    """The ledger belongs to another service or to a newer version of this program."""

    exit_code = 2


class LedgerMissing(LedgerError):
    """There is no ledger where one is to be read."""

    exit_code = 2


class LedgerBusy(LedgerError):
    """Another runner holds the ledger."""

    exit_code = 6


class RequestPhase(Enum):
    """How far a request had come when it broke."""

    NOT_SENT = "not_sent"  # no connection was made: the service can't have seen it
    MAYBE_SENT = "maybe_sent"  # bytes may have left: the service may have acted on it


class ServiceError(ManifestRunnerError):
    """One call to the service did not end well."""

    exit_code = 3


class ServiceRefused(ServiceError):
    """The service answered with an envelope whose code is not 0.

    `what` is our own short sentence; `said` the service's own words, on one line and without our keys. `renewed`:
    the token was what it refused, and has been made anew since, so that the same call may pass now.
    """

    def __init__(
        self,
        what: str,
        *,
        code: int,
        http_status: int,
        said: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        renewed: bool = False,
        mend: str = "",
    ) -> None:
        super().__init__(what, mend=mend)
        self.code = code
        self.http_status = http_status
        self.said = said
        self.request_id = request_id
        self.retry_after = retry_after  # seconds, already capped
        self.renewed = renewed

    def __str__(self) -> str:
        said = f"It says: {self.said}" if self.said else ""
        return " ".join(part for part in (self.what, said, self.mend) if part)


class GarbledReply(ServiceError):
    """An answer that is no envelope (HTML, an empty body, cut JSON), or one with no task in it."""

    def __init__(self, what: str, *, http_status: int, retry_after: float | None = None) -> None:
        super().__init__(what)
        self.http_status = http_status
        self.retry_after = retry_after


class TransportFault(ServiceError):
    """No answer came. `phase` tells whether the request can have reached the service."""

    def __init__(self, what: str, *, phase: RequestPhase) -> None:
        super().__init__(what)
        self.phase = phase


class FetchError(ManifestRunnerError):
    """A result could not be brought home.

    `expired`: the service's address for it no longer works. `final`: no further try would end otherwise.
    """

    exit_code = 3

    def __init__(self, what: str, *, expired: bool = False, final: bool = False, mend: str = "") -> None:
        super().__init__(what, mend=mend)
        self.expired = expired
        self.final = final


class Interrupted(ManifestRunnerError):
    """Ctrl-C or SIGTERM. The state is kept; the same command goes on."""

    exit_code = 130
