"""Captions: what stands in them, when they are shown, and the file that they become."""

from __future__ import annotations

import importlib.util
import itertools
import random
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spoken_kit import recital, write_mp4

from manifest_runner.media.captions import times
from manifest_runner.media.captions.cues import CHINESE_COLUMNS, COLUMNS, Cue, caption_cues, srt_text
from manifest_runner.media.captions.pauses import Pause, Sound, find_pauses
from manifest_runner.media.captions.text import Ending, clean, columns_of, graphemes, parts_of
from manifest_runner.media.captions.times import time_parts

ENGLISH = [
    "Hello Ana, it is good to see you.",
    "Our new summer collection has arrived.",
    "Everything costs 20 % less until 31 August 2026.",
    "Come by, have a look, and take your time; we are open from 9 to 5.",
    "If you have any questions, our colleagues at the counter will be glad to help you, whether it is about "
    "sizes, colours or delivery.",
    "Really?",
    "We look forward to your visit.",
    "Dr. Smith and Mrs. Jones say hello.",
]
CHINESE = [
    "你好，安娜，很高兴见到你。",
    "我们的夏季新品已经上市。",
    "所有商品八折优惠，截止到2026年8月31日。",
    "真的吗？",
    "如果您有任何问题，我们的同事很乐意为您解答，无论是尺码、颜色还是配送。",
    "期待您的光临。",
]
FAMILY, RAINBOW, THUMB, FLAG = "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪"


def steady(seconds: float) -> Sound:
    return Sound(seconds=seconds, begins=0, ends=seconds)


def lines(cues: list[Cue]) -> list[str]:
    return [line for cue in cues for line in cue.lines]


def squeezed(text: str) -> str:
    return "".join(text.split())


def read_srt(text: str) -> list[tuple[str, list[str]]]:
    """Times and lines of each cue, read as simple players do: by empty lines. Checks the numbers."""
    assert "\r" not in text
    found = []
    for number, block in enumerate(text.removesuffix("\n").split("\n\n") if text else [], 1):
        first, times, *rest = block.split("\n")
        assert first == str(number)
        assert re.fullmatch(r"\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}", times)
        assert rest and all(rest)
        found.append((times, rest))
    return found


# What a file looks like


def test_a_file_is_numbered_and_has_its_times_and_ends_with_a_line() -> None:
    cues = [
        Cue(start_ms=0, end_ms=1500, lines=("Hello", "there.")),
        Cue(start_ms=3_723_004, end_ms=3_724_000, lines=("你好",)),
    ]
    assert srt_text(cues) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello\nthere.\n\n2\n01:02:03,004 --> 01:02:04,000\n你好\n"
    )
    assert srt_text([]) == ""


def test_orders_to_players_become_plain_text() -> None:
    text = "<b>Hi</b> {\\an8}there\\Nnow 1\n00:00:01,000 --> 00:00:02,000\n\n2\n\nend"
    cues = caption_cues(text, "en", steady(12))
    written = srt_text(cues)
    assert not set("<{\\") & set(written)
    assert written.count("-->") == len(cues) == len(read_srt(written))
    assert squeezed("".join(lines(cues))) == "‹b›Hi‹/b›(/an8)there/Nnow100:00:01,000--›00:00:02,0002end"


def test_what_no_file_can_hold_is_left_out() -> None:
    cues = caption_cues("a\ud800b \x00c\x1bd\x7fe\x85f\u2028g", "en", steady(5))
    assert lines(cues) == ["ab c d e f g"]
    srt_text(cues).encode()


@pytest.mark.parametrize("text", ["", " \n", "\x00", "\ud800"])
def test_no_text_has_no_cues(text: str) -> None:
    assert caption_cues(text, "en", steady(5)) == []


def test_no_time_has_no_cues() -> None:
    assert caption_cues("Hello.", "en", steady(0)) == []


# How a text is cut


def test_sentences_have_cues_of_their_own() -> None:
    cues = caption_cues(
        "Good morning to all of you. Dr. Jones costs 3.5 units. What?! Well then...", "en", steady(10)
    )
    assert [cue.lines for cue in cues[:2]] == [
        ("Good morning to all of you.",),
        ("Dr. Jones costs 3.5 units.",),
    ]


def test_long_sentences_end_their_cues_with_clauses() -> None:
    cues = caption_cues(ENGLISH[4], "en", steady(8))
    assert [cue.lines[-1][-1] for cue in cues] == [",", "."]
    assert all(len(line) <= COLUMNS for line in lines(cues))
    assert all(len(cue.lines) <= 2 for cue in cues)


def test_chinese_is_cut_between_characters_but_not_before_a_stop() -> None:
    cues = caption_cues("".join(CHINESE) + "（好）" * 20, "zh", steady(60))
    assert "".join(lines(cues)) == "".join(CHINESE) + "（好）" * 20
    for line in lines(cues):
        assert len(line) <= 16 or not re.fullmatch(r"[^ -~]+", line)
        assert line[0] not in "，。？、）"
        assert line[-1] not in "（"


def test_chinese_in_an_english_voice_and_english_in_a_chinese_one_are_told_apart() -> None:
    assert max(map(len, lines(caption_cues("好" * 64, "en", steady(10))))) == 16
    assert max(map(len, lines(caption_cues("a good word " * 20, "zh", steady(20))))) > 32
    assert lines(caption_cues("OK 你好 2024", "zh", steady(3))) == ["OK 你好 2024"]


def test_blanks_that_bind_are_kept() -> None:
    assert lines(caption_cues("It costs 10\u00a0000 units", "en", steady(5))) == [
        "It costs 10\u00a0000 units"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FAMILY + RAINBOW + THUMB + FLAG + FLAG + "🇫", [FAMILY, RAINBOW, THUMB, FLAG, FLAG, "🇫"]),
        ("e\u0301\u0323n\u0303", ["e\u0301\u0323", "n\u0303"]),
        ("नमस्ते", ["न", "म", "स्ते"]),
        ("กำเธอ", ["กำ", "เธ", "อ"]),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", ["\u1112\u1161\u11ab", "\u1100\u1173\u11af"]),
        ("한글", ["한", "글"]),
        ("مُحَ", ["مُ", "حَ"]),
        ("1\ufe0f\u20e3#", ["1\ufe0f\u20e3", "#"]),
    ],
)
def test_what_people_see_as_one_sign_is_one(text: str, expected: list[str]) -> None:
    assert list(graphemes(text)) == expected


@pytest.mark.parametrize("sign", [FAMILY, RAINBOW, THUMB, FLAG, "स्ते", "กำ", "e\u0301\u0302"])
def test_a_word_too_long_for_a_line_is_cut_between_signs(sign: str) -> None:
    cut = lines(caption_cues(sign * 200, "en", steady(30)))
    assert "".join(cut) == sign * 200
    assert len(cut) > 1
    assert all(line.count(sign) * len(sign) == len(line) for line in cut)
    assert all(columns_of(line) <= COLUMNS for line in cut)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One, two. Three", "csS"),
        ("Dr. No met J. Bond", "wwwwS"),
        ("Stop... now. (Really?) “Yes!” he said.", "wssswS"),
        ("3.5 at 10:30", "wwS"),
        ("20 % off", "iwS"),
        ("کیا؟ ہاں۔ نہیں", "ssS"),
        ("नमस्ते। हाँ", "sS"),
        ("one\n\ntwo\nthree", "SwS"),
    ],
)
def test_ends_of_sentences_and_clauses_are_known(text: str, expected: str) -> None:
    names = {Ending.INSIDE: "i", Ending.WORD: "w", Ending.CLAUSE: "c", Ending.SENTENCE: "s"}
    found = "".join(names[part.ending] for part in parts_of(text, columns=COLUMNS))
    assert found.lower() == expected.lower()


# When it is shown


def test_a_pause_is_taken_for_the_end_of_a_sentence_however_wrong_the_estimate() -> None:
    sound = Sound(seconds=8, begins=0.5, ends=7.5, pauses=(Pause(1.2, 1.3), Pause(4.5, 5.0)))
    first, second = caption_cues("I am speaking slowly now. And quickly in this one, am I not?", "en", sound)
    assert (first.start_ms, second.start_ms) == (500, 5000)
    assert first.end_ms == 4750  # it lingers
    assert second.end_ms == 7750


def test_a_sentence_without_a_pause_lies_where_its_letters_put_it() -> None:
    first, second = caption_cues("Abcdefgh abcdefgh abcdefgh. Abcdefgh abcdefgh abcdefgh.", "en", steady(6))
    assert first.end_ms == second.start_ms == pytest.approx(3000, abs=50)


def test_short_sentences_share_a_cue_rather_than_flash() -> None:
    cues = caption_cues("Yes. No. Oh. Well, then let us begin with it now.", "en", steady(4))
    assert all(cue.end_ms - cue.start_ms >= 800 for cue in cues)


def test_words_are_timed_around_a_pause_within_a_sentence() -> None:
    parts = parts_of("aaaa bbbb", columns=COLUMNS)
    spans = time_parts(parts, Sound(seconds=4, begins=0, ends=4, pauses=(Pause(1.0, 3.0),)))
    assert [(span.start, span.end) for span in spans] == [(0, 1.0), (3.0, 4)]


@pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None,
    reason="2026-11-25: the extra `preview` is not installed",
)
@pytest.mark.parametrize("speed", ["0.8", "1.0", "2.0"])
@pytest.mark.parametrize(("language", "voice_id"), [("en", "a_woman"), ("en", "a_man"), ("zh", "b")])
def test_sentences_are_shown_when_they_are_spoken(
    language: str, voice_id: str, speed: str, tmp_path: Path
) -> None:
    chance = random.Random(f"{language} {voice_id} {speed}")
    sentences = chance.sample(*{"en": (ENGLISH, 5), "zh": (CHINESE, 5)}[language])
    silences = [chance.uniform(0.25, 0.6) for _ in sentences]
    samples, moments = recital(sentences, silences, language=language, voice_id=voice_id, speed=speed)
    sound = find_pauses(write_mp4(tmp_path / "a.mp4", samples))
    cues = caption_cues((" " if language == "en" else "").join(sentences), language, sound)
    found = 0
    for sentence, moment in zip(sentences, moments, strict=True):
        for cue in cues:
            shown = squeezed("".join(cue.lines))
            if squeezed(sentence).startswith(shown[: len(squeezed(sentence))]) and shown[0] == sentence[0]:
                assert cue.start_ms / 1000 == pytest.approx(moment, abs=0.25)
                found += 1
                break
    assert found >= len(sentences) - 1  # a very short one may share another's cue


def test_the_longest_speech_takes_no_more_steps_than_near_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    step, steps = times._Table._step, itertools.count()

    def counted(*given: Any) -> float:
        next(steps)
        return step(*given)

    monkeypatch.setattr(times._Table, "_step", counted)
    sound = Sound(
        seconds=300, begins=0, ends=300, pauses=tuple(Pause(2.0 * n, 2.0 * n + 0.3) for n in range(1, 140))
    )
    assert caption_cues("今天天气很好，" * 142, "zh", sound)
    assert 10_000 < next(steps) < (142 * 139 + 1) * (times.LOOK_BACK**2 + 1)


# What holds for any text and any sound

SIGNS = st.characters(exclude_categories=())
SCRIPTS = st.sampled_from(
    [" ", " ", ". ", ", ", "! ", "。", "，", "（", "）", "\n", "\n\n", "-->", "<i>", "1", "2026", "word", "カ",
     "好", "世界", "한국어", "مرحبا", "नमस्ते", "สวัสดี", FAMILY, RAINBOW, FLAG, "\u200b", "\u00a0", "\u0301", "\ud83d"]
)  # fmt: skip
TEXTS = st.one_of(st.text(SIGNS, max_size=200), st.lists(SCRIPTS, max_size=200).map("".join))


@st.composite
def sounds(draw: st.DrawFn) -> Sound:
    seconds = draw(st.floats(0.5, 300))
    moments = sorted(draw(st.lists(st.floats(0, seconds), max_size=20, unique=True)))
    if len(moments) < 2:
        return Sound(seconds=seconds, begins=0, ends=0)
    begins, *inner, ends = moments
    pauses = tuple(Pause(*pair) for pair in zip(inner[::2], inner[1::2], strict=False))
    return Sound(seconds=seconds, begins=begins, ends=ends, pauses=pauses)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, language=st.sampled_from(["en", "zh", "xx"]), sound=sounds())
def test_any_text_and_any_sound_make_a_sound_file(text: str, language: str, sound: Sound) -> None:
    cues = caption_cues(text, language, sound)
    assert squeezed("".join(lines(cues))) == squeezed(clean(text))
    moments = [moment for cue in cues for moment in (cue.start_ms, cue.end_ms)]
    assert moments == sorted(moments)
    assert all(cue.start_ms < cue.end_ms for cue in cues)
    assert not cues or (moments[0] >= 0 and moments[-1] <= sound.seconds * 1000)
    for cue in cues:
        assert 1 <= len(cue.lines) <= 2
        assert all(line.strip() and columns_of(line) <= COLUMNS for line in cue.lines)
    written = srt_text(cues)
    written.encode()
    assert [rest for _, rest in read_srt(written)] == [list(cue.lines) for cue in cues]
    assert written.count("-->") == len(cues)
    assert not any(unicodedata.category(sign) == "Cc" for sign in written.replace("\n", ""))


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_no_sign_is_cut(text: str) -> None:
    shown = lines(caption_cues(text, "zh", steady(200)))
    whole = [seen for word in clean(text).split() for seen in graphemes(word)]
    assert [seen for line in shown for word in line.split() for seen in graphemes(word)] == whole


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("好世界，。（）a b1"), min_size=1, max_size=300))
def test_lines_of_chinese_are_as_wide_as_they_may_be(text: str) -> None:
    if "好" in text:
        shown = lines(caption_cues(text, "zh", steady(200)))
        assert all(columns_of(line) <= CHINESE_COLUMNS for line in shown)
