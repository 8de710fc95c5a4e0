"""Made ids, repeated ids, ids kept for attempts, and defaults under a row."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifest_runner.manifest.defaults import with_defaults
from manifest_runner.manifest.identity import Repeat, attempt_clashes, made_id, repeats, slug


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("Frühling 2026!", "fruhling-2026"),
        ("rows", "rows"),
        ("--a__b--", "a-b"),
        ("春", "campaign"),
        ("", "campaign"),
        ("x" * 100, "x" * 64),
        ("x" * 63 + "-y", "x" * 63),
    ],
)
def test_a_files_name_becomes_a_campaigns_name(text: str, made: str) -> None:
    assert slug(text) == made


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_a_made_id_is_always_a_good_id(name: str, content: dict[str, str]) -> None:
    made = made_id(slug(name), content)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", made)


def test_a_made_id_depends_on_the_content_and_not_on_its_order() -> None:
    assert made_id("c", {"a": "1", "b": "2"}) == made_id("c", {"b": "2", "a": "1"})
    assert made_id("c", {"a": "1"}) != made_id("c", {"a": "2"})


def test_repeats_name_the_first_of_the_same_id() -> None:
    assert list(repeats(["a", "b", "a", "A", "a"])) == [Repeat(0, 2), Repeat(0, 4)]


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        (["x", "x-r2"], [(1, 0, 2)]),
        (["x-r12", "x"], [(0, 1, 12)]),
        (["x-r2", "x-r2-r3"], [(1, 0, 3)]),
        (["x", "x-r1"], []),
        (["x", "x-r02"], []),
        (["x", "x-r"], []),
        (["x-r2"], []),
        (["y", "x-r2"], []),
    ],
)
def test_ids_that_an_attempt_would_carry(ids: list[str], found: list[tuple[int, int, int]]) -> None:
    assert list(attempt_clashes(ids)) == found


VOICE = {"voice_id": "v", "voice_language": "en"}


@pytest.mark.parametrize(
    ("defaults", "row", "job"),
    [
        ({"mode": "std"}, {"mode": "pro"}, {"mode": "pro"}),
        ({"mode": "std"}, {}, {"mode": "std"}),
        ({"tags": ["a"]}, {"tags": ["b"]}, {"tags": ["b"]}),
        ({"vars": {"a": "1", "b": "2"}}, {"vars": {"b": "3"}}, {"vars": {"a": "1", "b": "3"}}),
        (
            {"watermark_info": {"enabled": True}},
            {"watermark_info": {}},
            {"watermark_info": {"enabled": True}},
        ),
        ({"sound_file": "a"}, {"audio_id": "1"}, {"audio_id": "1"}),
        ({"audio_id": "1"}, {"speech": {"text": "x"}}, {"speech": {"text": "x"}}),
        ({"sound_file": "a"}, {}, {"sound_file": "a"}),
        ({"sound_file": "a"}, {"sound_file": "b"}, {"sound_file": "b"}),
        ({"speech": VOICE}, {"speech": {"text": "x"}}, {"speech": {**VOICE, "text": "x"}}),
        (
            {"speech": VOICE},
            {"speech": {"text": "x", "voice_id": "w"}},
            {"speech": {**VOICE, "voice_id": "w", "text": "x"}},
        ),
        ({"speech": VOICE}, {"sound_file": "a"}, {"sound_file": "a"}),
        ({"speech": VOICE}, {}, {}),
        ({"speech": VOICE, "sound_file": "a"}, {}, {"sound_file": "a"}),
        ({"speech": {**VOICE, "text": "x"}}, {}, {"speech": {**VOICE, "text": "x"}}),
    ],
)
def test_defaults_under_a_row(defaults: dict[str, Any], row: dict[str, Any], job: dict[str, Any]) -> None:
    before = repr((defaults, row))
    assert with_defaults(defaults, row) == job
    assert repr((defaults, row)) == before
