"""What Hypothesis draws for the rules. The shape of a draw never depends on what came of the steps before it."""

from __future__ import annotations

from hypothesis import strategies as st
from model_rig import Trouble
from model_service import Wanted
from model_troubles import crash_at_file, crash_at_write, interrupted_at_call

from manifest_runner.runner.decide import Retry

ROWS = "abcdef"
NTH = st.integers(0, len(ROWS) - 1)
PLAIN: Wanted = (None, "std")
WANTED = st.sampled_from((PLAIN, (None, "pro"), ("Calm", "std")))

_ACTS = (
    "ok, ok, lost, lost though made, 502, 502 though made, html, html though made, cut, slow, late, late, adrift, "
    "adrift, adrift, sent twice, 400/1200, 400/1201, 429/1303, 429/1302, 429/1102, 500/5000"
)
_FATES = ", , , fails, shy, short_lived, held, unlisted"
_ACT, _FATE = st.sampled_from(_ACTS.split(", ")), st.sampled_from(_FATES.split(", "))

Coming = tuple[str, str, str, str]
"""What awaits a job's next two create calls, and what its next tasks are like."""

COMING = st.tuples(_ACT, _ACT, _FATE, _FATE)

ALL = tuple(Retry)
KINDS = st.sampled_from((ALL, ALL, *((kind,) for kind in ALL)))

Mishap = tuple[str, int]
"""What happens to a command, and when."""

MISHAPS = st.tuples(
    st.sampled_from(
        ("", "", "", "ctrl-c", "crash", "crash, no journal", "crash before renaming", "crash after renaming")
    ),
    st.integers(1, 12),
)


def trouble_of(mishap: Mishap) -> Trouble | None:
    kind, nth = mishap
    match kind:
        case "ctrl-c":
            return interrupted_at_call(nth)
        case "crash" | "crash, no journal":
            return crash_at_write(nth)
        case "crash before renaming" | "crash after renaming":
            return crash_at_file(renamed=kind == "crash after renaming")
        case _:
            return None
