"""The quick ways of looking at many rows: they may say *surely fine*, and must then agree with the slow ones."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from manifest_runner.errors import ManifestError
from manifest_runner.manifest import Settings, check, load_manifest, outputs
from manifest_runner.manifest.compare import Crowd, Named, compare
from manifest_runner.manifest.glance import Glance
from manifest_runner.manifest.jobs import complete
from manifest_runner.manifest.schemas import errors_in, rule_of, surely_follow, surely_follows
from manifest_runner.manifest.source import TableSource
from manifest_runner.manifest.templates import MOST_FILLED, TemplateError, expand, expand_all
from manifest_runner.manifest.text import CONTROL, read_text
from manifest_runner.models import Manifest

MANY = settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
JOB = {"image": "a.png", "sound_file": "a.mp3"}
SPEECH = {"text": "x", "voice_id": "v", "voice_language": "en"}

# What dialects of patterns and numbers differ in.
TRAPS = [
    "",
    " ",
    "a",
    "a.png",
    "a\n",
    "a.mp4\n",
    "std",
    "pro",
    "std\n",
    "data:x",
    "\x1cdata:x",
    "\x85data:x",
    " DATA:x",
]
TRAPS += [
    "\ufeffdata:x",
    "ftp://x",
    "\u2028ftp://x",
    "https://",
    "https://a.b\n",
    "https://a\x1fb",
    "1",
    "é",
    "e\u0301",
]
TRAPS += [
    "a" * 64,
    "a" * 65,
    "x" * 2500,
    "x" * 2501,
    "\U0001f600" * 2500,
    "\U0001f600" * 2501,
    "../a.mp4",
    "/a.mp4",
]
TRAPS += [
    "a\\b.mp4",
    "\x7f.mp4",
    "\x9f.mp4",
    "a.MP4",
    "en",
    "auto",
    "srt",
    "٣",
    "a b",
    "a\x1fb",
    "a\u3000b",
    "a\x85b",
]
TEXTS = st.sampled_from(TRAPS) | st.text(max_size=8)
NUMBERS = st.sampled_from([0, 1, -1, 1000, 1001, -1000, -1001, 10**17, True, False]) | st.sampled_from(
    [
        Decimal(text)
        for text in ("0.8", "1", "1.0", "1.00", "1.05", "2.0", "2.1", "1.10", "0.79999999999999999999")
    ]
)
ANYTHING = st.recursive(
    TEXTS | NUMBERS | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["text", "voice_id", "voice_language", "voice_speed", "enabled", "mode", "mouth", "k", ""]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
)
FIELDS = list(rule_of(())["properties"])


@pytest.mark.parametrize("name", ["row", "job"])
@MANY
@example(base={}, changed={"priority": Decimal("1.0")})
@given(
    base=st.sampled_from([{}, JOB, {"image": "a", "speech": SPEECH}]),
    changed=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=4),
)
def test_the_gate_and_the_schemas_words_agree(
    name: Any, base: dict[str, Any], changed: dict[str, Any]
) -> None:
    value = base | changed
    assert surely_follows(name, value) is not any(True for _ in errors_in(name, value))


@MANY
@given(speed=st.decimals(-1, 3, places=2) | st.sampled_from([Decimal("0.8"), Decimal("1.30"), Decimal("2")]))
def test_the_gate_knows_a_voices_speed_by_its_worth(speed: Decimal) -> None:
    job = {"image": "a", "speech": {**SPEECH, "voice_speed": speed}}
    assert surely_follows("job", job) is not any(True for _ in errors_in("job", job))


def test_the_gate_reads_every_sign_as_the_patterns_mean_it() -> None:
    """All that some dialect takes for a blank, a line's end or a control character, in every text with a pattern."""
    signs = [
        chr(code) for code in (*range(0x120), 0x1680, 0x180E, *range(0x2000, 0x2070), 0x3000, 0xFEFF, 0xFFFF)
    ]
    texts = {
        "audio_id": ["a{}b", "{}", "a{}"],
        "image": ["{}data:x", "{}ftp://x", "a{}"],
        "callback_url": ["https://a{}", "https://a{}b", "https://{}"],
        "external_task_id": ["a{}", "{}a"],
        "output": ["a{}.mp4", "a.mp4{}", "{}.mp4"],
    }
    for field, patterns in texts.items():
        for text in (pattern.format(sign) for pattern in patterns for sign in signs):
            job = {"image": "a.png", "audio_id": "1", field: text}
            assert surely_follows("job", job) is not any(True for _ in errors_in("job", job)), (field, text)


@MANY
@given(values=st.lists(TEXTS | NUMBERS, min_size=1, max_size=3), field=st.sampled_from(FIELDS))
def test_a_column_follows_where_each_of_its_values_does(values: list[Any], field: str) -> None:
    each = [surely_follows("row", {field: value}) for value in values]
    if field != "output":  # in a row it is a template
        assert surely_follow((field,), values) is all(each)


NAMES = [
    "a",
    "A.mp4",
    "con",
    "Con.mp4",
    "com1.mp4",
    "company",
    "nul.x",
    "ä.mp4",
    "posters",
    "Posters",
    "report.csv",
    "x ",
]
NAMES += [
    "report.json",
    "index.html",
    ".problems.csv.sha256",
    "x.",
    " x",
    "",
    ".",
    "..",
    "a-b_c.mp4",
    "y" * 101,
    "y" * 201,
]
NAMES += [
    "auxiliary.mp4",
    "lpt\u00b9.mp4",
    "conin$",
    "\u212aon.mp4",
    "\u017fposters",
    "a\n",
    "prn .mp4",
    "problems.csv",
]


@MANY
@given(
    names=st.lists(
        st.sampled_from(NAMES) | st.text("aA0._- \u017f\u212a/con", max_size=6), min_size=1, max_size=3
    )
)
def test_a_path_that_surely_is_good_is_good(names: list[str]) -> None:
    path = "/".join(names)
    quick, outputs_pattern = outputs.path_fault(path), outputs._SURELY_GOOD
    if outputs_pattern.fullmatch(path):
        assert quick is None
        assert [outputs.name_fault(name) for name in path.split("/")] == [None] * len(path.split("/"))
        assert outputs.same_file_key(path.split("/")[0]) not in outputs._OURS


def test_most_paths_are_seen_to_be_good_at_once() -> None:
    for path in ("a.mp4", "de/Ana Maria-007.mp4", "2026_spring/x.watermark.mp4", "pro/intro-1.srt"):
        assert outputs._SURELY_GOOD.fullmatch(path)


IDS = ["a", "b", "A", "a-r2", "a-r1", "a-r2-r3", "b-r10", "c", "d", "-r2"]
PATHS = [
    "a.mp4",
    "A.MP4",
    "a.mp4/x.mp4",
    "x/a.mp4",
    "X/b.mp4",
    "x",
    "x/y/z.mp4",
    "x/y",
    "é.mp4",
    "e\u0301.mp4",
    "ß.mp4",
    "ss.mp4",
]


@MANY
@given(
    jobs=st.lists(st.tuples(st.sampled_from(IDS), st.lists(st.sampled_from(PATHS), max_size=2)), max_size=5)
)
def test_a_crowd_that_surely_is_apart_is_apart(jobs: list[tuple[str, list[str]]]) -> None:
    crowd = Crowd()
    for name, paths in jobs:
        crowd.add([name], paths)
    named = [Named(number, name, False, tuple(paths)) for number, (name, paths) in enumerate(jobs)]
    source = TableSource(file="m.csv", data={}, lines=range(2, 20), columns={})
    if crowd.surely_apart():
        assert list(compare(named, source)) == []
    elif all(len(paths) < 2 for _, paths in jobs):  # a job's own two are never told of
        assert list(compare(named, source)) != []


@MANY
@given(
    templates=st.lists(
        st.sampled_from(["", "x", "{a}", "{a}{b}", "100% {a}", "{{{b}}}", "{c}", "{", "%s{ a }"]),
        min_size=1,
        max_size=3,
    ),
    same=st.booleans(),
    values=st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), min_size=3, max_size=3),
)
def test_many_templates_are_filled_in_as_each_is(
    templates: list[str], same: bool, values: list[tuple[str, str]]
) -> None:
    templates = [templates[0]] * 3 if same else (templates * 3)[:3]
    columns = {"a": [a for a, _ in values], "b": [b for _, b in values]}
    try:
        each = [
            expand(template, {"a": a, "b": b}) for template, (a, b) in zip(templates, values, strict=True)
        ]
    except TemplateError:
        with pytest.raises(TemplateError):
            expand_all(templates, columns)
    else:
        assert expand_all(templates, columns) == each


def test_long_values_named_often_are_not_put_together_to_be_measured() -> None:
    with pytest.raises(TemplateError):
        expand_all(["{a}" * 800] * 2, {"a": ["x" * (MOST_FILLED // 400)] * 2})


@pytest.mark.parametrize("text", ["a,b\r\n\tc", "é", "\x7f", "a\x00", "\x85", "\x84", "\ufeffa", "x\x0b"])
def test_control_characters_are_found_in_any_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text, encoding="utf-8", newline="")
    if CONTROL.search(text):
        with pytest.raises(ManifestError):
            read_text(path)
    else:
        assert read_text(path) == text.removeprefix("\ufeff")


# Whole sheets: looked at in blocks or row by row, the same comes of them.

COLUMNS = {
    "external_task_id": ["a{n}", "a{n}", "a{n}", "a{n}", "", "a1", "a{n}-r2", "-x"],
    "image": ["a.png", "a.png", "{b}.png", "", " ", "data:x", "ftp://x"],
    "sound_file": ["a.mp3", "a.mp3", "", "\u00e9.mp3"],
    "audio_id": ["", "", "1", "a b"],
    "speech.text": ["", "", "Hi {city}", "x" * 1001, "{row} {city}"],
    "speech.voice_speed": ["", "", "1.2", "3"],
    "prompt": [
        "",
        "Hi {city}",
        "Hi {city}",
        "{mode} {row} {campaign}",
        "{",
        "{nobody}",
        "x" * 2501,
        "50% {city}",
    ],
    "mode": ["", "std", "pro", "fast", " "],
    "priority": ["", "0", "5", "-1000", "1001", "high", " 5"],
    "tags": ["", "a|b", "a, a", "x"],
    "fit.trim": ["", "true", "FALSE", "maybe"],
    "preview.mouth": ["", "1 2 3 4", "1 2 3"],
    "captions": ["", "none", "srt"],
    "watermark_info.enabled": ["", "true", "false"],
    "callback_url": ["", "https://a.b", "a"],
    "output": ["", "{city}.mp4", "x.mp4", "../{row}.mp4"],
    "city": ["Rome", "Rome", "", "New York", "a/b", "Zürich", "x" * 300, "con"],
    "campaign": ["", "c"],
    "row": ["", "r"],
}
HEADS = [
    "image: d.png",
    "sound_file: d.mp3",
    "prompt: 'in {city}'",
    "mode: pro",
    "vars: {city: Ghent, row: x}",
    "output: '{city}/{external_task_id}.mp4'",
    "speech: {voice_id: v, voice_language: en}",
    "speech: {voice_id: v, voice_language: en, text: 'Dear {city}'}",
    "watermark_info: {enabled: true}",
    "captions: srt",
    "priority: 7",
    "mode: fast",
]
OUTPUTS = [
    None,
    "{external_task_id}-{row}.mp4",
    "{mode}/{city}-{row}.mp4",
    "{campaign}/{external_task_id}.mp4",
    "same.mp4",
]


@st.composite
def sheets(draw: st.DrawFn) -> tuple[str, str, str | None]:
    """A manifest's head, its sheet, and an output from the command line; more often sound than not."""
    names = [
        "external_task_id",
        "image",
        *draw(st.lists(st.sampled_from(list(COLUMNS)[2:]), unique=True, max_size=5)),
    ]
    sound = draw(st.booleans())
    rows = [
        [
            draw(st.sampled_from(COLUMNS[name][: 3 if sound else None])).replace("{n}", str(number))
            for name in names
        ]
        for number in range(draw(st.integers(1, 6)))
    ]
    head = "version: 1\njobs: {from: rows.csv}\n"
    if defaults := draw(
        st.lists(st.sampled_from(HEADS), max_size=3, unique_by=lambda line: line.partition(":")[0])
    ):
        head += "defaults:\n" + "".join(f"  {line}\n" for line in defaults)
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in [names, *rows]]
    return head, "\n".join(quoted) + "\n", draw(st.sampled_from(OUTPUTS))


def outcome(path: Path, output: str | None) -> Manifest | list[str]:
    try:
        return load_manifest(path, settings=Settings(output=output))
    except ManifestError as exc:
        return [str(problem) for problem in exc.problems] + [job.external_task_id for job in exc.sound]


@MANY
@given(sheet=sheets(), block=st.integers(1, 4))
def test_a_sheet_looked_at_in_blocks_is_what_it_is_row_by_row(
    tmp_path: Path, sheet: tuple[str, str, str | None], block: int
) -> None:
    head, text, output = sheet
    (tmp_path / "m.yaml").write_text(head, encoding="utf-8")
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "_BLOCK", block)
        at_once = outcome(tmp_path / "m.yaml", output)
        patch.setattr(Glance, "at", lambda self, numbers: None)
        one_by_one = outcome(tmp_path / "m.yaml", output)
    if isinstance(at_once, Manifest) and isinstance(one_by_one, Manifest):
        assert list(at_once.jobs) == list(one_by_one.jobs)
        assert at_once.made_ids == one_by_one.made_ids
    else:
        assert at_once == one_by_one


def test_a_usual_sheet_is_seen_at_a_glance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all of the above would hold, and be slow."""
    rows = "".join(
        f'a{number},a.png,"a, {number}.mp3","Hi {{city}}, {{mode}}",std,Rome\n' for number in range(1200)
    )
    blanks = "".join(f"b{number},a.png,a.mp3,,,Oslo\n" for number in range(1200))
    (tmp_path / "m.csv").write_text("external_task_id,image,sound_file,prompt,mode,city\n" + rows + blanks)
    taken = 0

    def counted(*arguments: Any) -> Any:
        nonlocal taken
        taken += 1
        return complete(*arguments)

    monkeypatch.setattr(check, "complete", counted)
    assert len(load_manifest(tmp_path / "m.csv").jobs) == 2400
    assert taken == 0
