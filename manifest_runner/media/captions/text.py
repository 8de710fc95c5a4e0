"""A text cut into the parts that captions are made of, in any script. Pure.

Words stay whole; Chinese and Japanese, which have no blanks, are parted between characters, but not before a full
stop nor after an opening bracket. What people see as one sign (a letter with its marks, a family emoji) is never
parted. The rules for that are those of Unicode's Annex 29 as far as Python's own tables reach.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import zip_longest

WIDE_COLUMNS = 2  # of a Chinese character, a Japanese one, an emoji

SENTENCE_ENDS = frozenset(".!?…。！？｡．؟۔।॥։።၊။។‼⁉⁈⁇")
CLAUSE_ENDS = frozenset(",;:—–、，；：､،؛՝፣፤፥")
ABBREVIATIONS = frozenset(
    (
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "jr",
        "sr",
        "vs",
        "no",
        "nr",
        "fig",
        "e.g",
        "i.e",
        "a.m",
        "p.m",
        "approx",
    )
)
PLAYER_SIGNS = str.maketrans(
    "<>{}\\", "‹›()/"
)  # what players take for orders, and what is shown in its place

_PARAGRAPHS = re.compile(r"(?:\r\n|[\n\r\v\f\x85\u2028\u2029])\s*(?:\r\n|[\n\r\v\f\x85\u2028\u2029])")
_BLANKS = re.compile(r"[^\S\u00a0\u202f]+")  # those two hold together what stands around them
_BINDING = re.compile(r"([\u00a0\u202f])[\u00a0\u202f]+")
_OPENERS, _CLOSERS = ("Ps", "Pi"), ("Pe", "Pf")
_JOINER, _AS_EMOJI = "\u200d", "\ufe0f"
_REGIONAL = range(0x1F1E6, 0x1F200)  # letters whose pairs are flags
_SKIN = range(0x1F3FB, 0x1F400)
_FIRST_JAMO, _LATER_JAMO = (
    (range(0x1100, 0x1160), range(0xA960, 0xA97D)),
    (range(0x1160, 0x1200), range(0xD7B0, 0xD7FC)),
)
# Letters that belong to the one before: Thai, Lao, half-wide kana. And those that belong to the one after: vowels of
# Thai and Lao that are written first and spoken later.
_TRAILING = frozenset("\u0e33\u0eb3\uff9e\uff9f")
_LEADING = frozenset("เแโใไເແໂໃໄ")
_IDEOGRAPHS = re.compile(r"[⺀-⿟々〆〇ぁ-ヿㇰ-ㇿ㐀-䶿一-鿿豈-﫿ｦ-ﾟ\U00020000-\U0003ffff]")


class Ending(IntEnum):
    """What ends with a part, from what is parted most unwillingly to where a cue likes to end."""

    INSIDE = 0  # nothing: a word too long for a line goes on
    WORD = 1
    CLAUSE = 2
    SENTENCE = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What stays on one line: a word, or a Chinese character, with its punctuation.

    `spaced`: a blank stands before it. `weight`: how long it takes to say, never 0; a Latin letter takes about 1.
    """

    text: str
    spaced: bool
    columns: int
    weight: float
    ending: Ending


def clean(text: str) -> str:
    """The text without what would break the file or be taken for an order by a player.

    Lone surrogates, which no file can hold, are dropped; control characters become blanks. Players take `<b>`,
    `{an8}` and a backslash with a letter for formatting, and a line with `-->` for a cue's times: such brackets
    become narrow quotation marks or round brackets, and a backslash a slash.
    """
    shown = text.translate(PLAYER_SIGNS)
    signs = (sign if sign.isspace() or unicodedata.category(sign) != "Cc" else " " for sign in shown)
    return _BINDING.sub(r"\1", "".join(sign for sign in signs if not "\ud800" <= sign <= "\udfff"))


def parts_of(text: str, *, columns: int) -> list[Part]:
    """The parts of a clean text; none is wider than a line of `columns`."""
    parts: list[Part] = []
    for paragraph in _PARAGRAPHS.split(text):
        words = [word.strip() for word in _BLANKS.split(paragraph) if word.strip()]
        for word, following in zip_longest(words, words[1:], fillvalue=""):
            parts += _parts_of_word(word, following, columns)
    return parts


def is_chinese_like(text: str) -> bool:
    """Whether at least half of the letters are of the scripts that are parted between characters."""
    letters = [sign for sign in text if sign.isalpha()]
    return 2 * sum(map(is_ideograph, letters)) >= max(1, len(letters))


def is_ideograph(sign: str) -> bool:
    """Whether this is a character of Chinese or Japanese."""
    return _IDEOGRAPHS.match(sign) is not None


def columns_of(text: str) -> int:
    """How wide a text is where a Latin letter is 1: what people see as one sign is 1 or 2, however it is written."""
    return sum(WIDE_COLUMNS if any(map(_is_wide, seen)) else 1 for seen in graphemes(text))


def _is_wide(sign: str) -> bool:
    return unicodedata.east_asian_width(sign) in "WF" or sign == _AS_EMOJI or ord(sign) in _REGIONAL


def graphemes(text: str) -> Iterator[str]:
    """The text in pieces that people see as one sign each."""
    start = flags = 0
    for place in range(1, len(text) + 1):
        flags = flags + 1 if ord(text[place - 1]) in _REGIONAL else 0  # a pair of these is one flag
        if place == len(text) or not _belongs(text[place - 1], text[place], flags):
            yield text[start:place]
            start = place


def _belongs(before: str, sign: str, flags: int) -> bool:
    """Whether a sign belongs to the one before it. `flags`: how many regional letters end there."""
    code = ord(sign)
    return (
        unicodedata.category(sign) in ("Mn", "Mc", "Me")
        or (unicodedata.category(sign) == "Cf" and sign != "\u200b")
        or sign in _TRAILING
        or before in _LEADING
        or code in _SKIN
        or (code in _REGIONAL and flags % 2 == 1)
        or (before == _JOINER and not sign.isspace())
        or (unicodedata.combining(before) == 9 and sign.isalpha())  # Indic letters bound by a virama
        or _within(sign, _LATER_JAMO)
        or (_within(sign, _FIRST_JAMO) and _within(before, _FIRST_JAMO))
    )


def _within(sign: str, ranges: tuple[range, ...]) -> bool:
    return any(ord(sign) in codes for codes in ranges)


def _parts_of_word(word: str, following: str, columns: int) -> list[Part]:
    pieces = [chunk for piece in _pieces(word) for chunk in _chunks(piece, columns)]
    last = len(pieces) - 1
    return [
        Part(
            text=piece,
            spaced=number == 0,
            columns=columns_of(piece),
            weight=_weight(piece),
            ending=_ending(piece, pieces[number + 1] if number < last else following, inner=number < last),
        )
        for number, piece in enumerate(pieces)
    ]


def _pieces(word: str) -> list[str]:
    """A word parted between Chinese characters; a word of letters is one piece."""
    pieces: list[str] = []
    before = ""
    for seen in graphemes(word):
        kind = unicodedata.category(seen[0])
        follows = kind in _CLOSERS or kind in ("Po", "Pd", "Lm", "Zs")
        opened = bool(before) and unicodedata.category(before[0]) in (*_OPENERS, "Zs")
        free = is_ideograph(seen[0]) or (bool(before) and _parts_after(before))
        if pieces and (follows or opened or not free):
            pieces[-1] += seen
        else:
            pieces.append(seen)
        before = seen
    return pieces


def _parts_after(seen: str) -> bool:
    """Whether a line may end after this sign without a blank: after Chinese, its punctuation and dashes."""
    wide = unicodedata.east_asian_width(seen[0]) in "WF" and unicodedata.category(seen[0])[0] in "PL"
    return wide or is_ideograph(seen[0]) or seen in ("\u200b", "—")


def _chunks(piece: str, columns: int) -> Iterator[str]:
    """A piece in stretches that fit a line; nearly always one."""
    chunk, width = "", 0
    for seen in graphemes(piece):
        more = columns_of(seen)
        if chunk and width + more > columns:
            yield chunk
            chunk, width = "", 0
        chunk, width = chunk + seen, width + more
    yield chunk


def _ending(piece: str, following: str, *, inner: bool) -> Ending:
    if not following:
        return Ending.SENTENCE
    bare = piece.rstrip(
        "\"'»”’\u200b" + "".join(sign for sign in piece if unicodedata.category(sign) in _CLOSERS)
    )
    end = bare[-1:]
    if end in SENTENCE_ENDS and bare and not (end == "." and _goes_on(bare, following, inner=inner)):
        return Ending.SENTENCE
    if end in CLAUSE_ENDS and bare and not (inner and end in ",:;–"):
        return Ending.CLAUSE
    if not inner and not any(
        map(str.isalnum, following)
    ):  # a lone sign, such as `%` or a dash, belongs to what it follows
        return Ending.INSIDE
    parted = not inner or is_ideograph(piece[0]) or is_ideograph(following[0]) or _parts_after(piece[-1])
    return Ending.WORD if parted else Ending.INSIDE


def _goes_on(word: str, following: str, *, inner: bool) -> bool:
    """Whether the full stop after a word ends no sentence: an abbreviation, an initial, a number."""
    name = word.rstrip(".").lstrip("\"'(“‘«").lower()
    initial = len(name) == 1 and name.isalpha() and name != "i"
    return inner or name in ABBREVIATIONS or initial or following[0].islower()


def _weight(piece: str) -> float:
    """How long a piece takes to say, in Latin letters: each script is about as quick as its readers are."""
    spelled = piece.isascii() and piece.isupper() and 2 <= len(piece) <= 4  # ABC
    weight = sum(map(_sign_weight, piece)) * (2.5 if spelled else 1)
    return weight + (0.0 if is_ideograph(piece[0]) else 0.5)


def _sign_weight(sign: str) -> float:
    kind = unicodedata.category(sign)
    if is_ideograph(sign):
        return 2.0 if "\u3040" <= sign <= "\u30ff" else 3.5
    if kind[0] == "L":
        return 2.5 if "\uac00" <= sign <= "\ud7a3" else 1.0
    if kind[0] in "NS" or sign in "%&@#":
        return 3.5  # spoken as a word
    return 0.5 if kind == "Mc" else 0.0
