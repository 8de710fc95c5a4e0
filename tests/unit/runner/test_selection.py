"""Which jobs `--select`, `--exclude` and `--limit` mean."""

from __future__ import annotations

import pytest

from manifest_runner.errors import UsageError
from manifest_runner.runner.selection import Facts, selection_of

JOBS = [
    Facts("ana-1", ("de", "client-a"), 2, "done"),
    Facts("ana-2", ("de",), 3, "failed", 5000),
    Facts("bo-1", ("en",), 5, "failed", 1301),
    Facts("bo-2", (), 6, "done", changed=True),
    Facts("cy", ("client-b",), None),
]


def chosen(*selects: str, exclude: tuple[str, ...] = (), limit: int | None = None) -> list[str]:
    return [JOBS[place].external_task_id for place in selection_of(selects, exclude, limit).places(JOBS)]


@pytest.mark.parametrize(
    ("selects", "ids"),
    [
        ((), ["ana-1", "ana-2", "bo-1", "bo-2", "cy"]),
        (("id:ana-*",), ["ana-1", "ana-2"]),
        (("bo-?",), ["bo-1", "bo-2"]),
        (("tag:client-*",), ["ana-1", "cy"]),
        (("state:failed",), ["ana-2", "bo-1"]),
        (("state:new",), ["cy"]),
        (("code:1301",), ["bo-1"]),
        (("rows:3-5",), ["ana-2", "bo-1"]),
        (("rows:6",), ["bo-2"]),
        (("rows:5-",), ["bo-1", "bo-2"]),
        (("changed",), ["bo-2"]),
        (("tag:de,state:failed",), ["ana-2"]),
        ((" tag:de , state:failed ", "changed"), ["ana-2", "bo-2"]),
        (("id:nobody",), []),
    ],
)
def test_what_is_selected(selects: tuple[str, ...], ids: list[str]) -> None:
    assert chosen(*selects) == ids


def test_what_is_excluded_is_out_whatever_selects_it() -> None:
    assert chosen("state:failed", exclude=("id:ana-*",)) == ["bo-1"]
    assert chosen(exclude=("tag:de", "changed")) == ["bo-1", "cy"]


def test_a_limit_takes_the_first_in_the_manifests_order() -> None:
    assert chosen("state:failed", "state:new", limit=2) == ["ana-2", "bo-1"]


def test_a_sample_is_the_same_whatever_the_order_and_grows_by_others() -> None:
    two = set(chosen("sample:2"))
    assert len(two) == 2
    backwards = list(reversed(JOBS))
    places = selection_of(["sample:2"]).places(backwards)
    assert {backwards[place].external_task_id for place in places} == two
    assert two < set(chosen("sample:3"))
    assert len(chosen("sample:99")) == 5


def test_a_sample_is_taken_of_what_the_rest_selects() -> None:
    assert set(chosen("tag:de,sample:1")) < {"ana-1", "ana-2"}
    assert chosen("state:failed,sample:9", exclude=("bo-1",)) == ["ana-2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour:red", "there is no `colour:`"),
        ("state:lost", "`lost` is no state. The states are new, pending"),
        ("rows:a-b", "no range of rows"),
        ("rows:-5", "no range of rows"),
        ("code:x", "has no number"),
        ("sample:", "has no number"),
        ("sample:-1", "has no number"),
        ("", "selects nothing"),
        ("tag:", "selects nothing"),
        ("tag:de,", "selects nothing"),
    ],
)
def test_what_selects_nothing_is_told(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        selection_of([text])
    assert said in str(caught.value)


def test_a_sample_can_not_be_excluded() -> None:
    with pytest.raises(UsageError, match="can't be excluded"):
        selection_of([], ["sample:2"])


def test_nothing_said_is_everything() -> None:
    assert selection_of([]).is_everything
    assert not selection_of([], limit=1).is_everything
