"""The YAML reader: text stays text, every node has its place, and what is dangerous or ambiguous is refused."""

from pathlib import Path

import pytest

from manifest_runner.errors import ManifestError
from manifest_runner.manifest.text import MAX_BYTES, position, read_text, shown
from manifest_runner.manifest.yaml_tree import MAX_DEPTH, find, plain, read_yaml


def value_of(text: str) -> object:
    tree = read_yaml(text, "m.yaml")
    assert tree.root is not None
    assert not tree.problems
    return plain(tree.root)


def stopped(text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        read_yaml(text, "m.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    "scalar",
    [
        "no",
        "yes",
        "on",
        "true",
        "010",
        "0x1F",
        "1e5",
        "12:30",
        "2026-11-02",
        "NA",
        "1_000",
        ".inf",
        "NaN",
        "Null",
    ],
)
def test_a_plain_scalar_is_the_text_that_was_written(scalar: str) -> None:
    assert value_of(f"a: {scalar}") == {"a": scalar}


@pytest.mark.parametrize("nothing", ["", "~", "null"])
def test_an_empty_value_counts_as_not_given(nothing: str) -> None:
    assert value_of(f"a: {nothing}\nb: x") == {"b": "x"}


@pytest.mark.parametrize(("quoted", "text"), [('""', ""), ("'~'", "~"), ('"null"', "null")])
def test_quotes_make_nothing_a_text(quoted: str, text: str) -> None:
    assert value_of(f"a: {quoted}") == {"a": text}


def test_a_missing_list_item_stays_in_its_place() -> None:
    assert value_of("- a\n-\n- c") == ["a", None, "c"]


def test_places_count_lines_and_columns_from_one() -> None:
    root = read_yaml("jobs:\n  - image: a.png\n    tags: [x, y]\n", "m.yaml").root
    assert root is not None
    assert find(root, ("jobs", 0, "tags", 1)) == (3, 15)
    assert find(root, ("jobs", 0, "tags"), key=True) == (3, 5)
    assert find(root, ("jobs", 0, "absent")) == (2, 5)
    assert find(root, ("jobs", 7)) == (2, 3)


def test_an_alias_is_the_anchored_value() -> None:
    assert value_of("a: &x {k: v}\nb: *x") == {"a": {"k": "v"}, "b": {"k": "v"}}


def test_an_alias_may_be_a_key() -> None:
    assert value_of("a: &name city\n*name : Rome") == {"a": "city", "city": "Rome"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "m.yaml:2:1: `a` stands here twice; line 1 has it too."),
        ("? [a]\n: b", "m.yaml:1:3: A key must be a name"),
        ("{a: b}: c", "A key must be a name"),
        ("~: c", "A key must be a name"),
        ("<<: {a: b}", "m.yaml:1:1: `<<` merges are not read."),
        ("a: !!int 5", "m.yaml:1:4: `!!int` is a tag"),
        ("a: !secret x", "`!secret` is a tag"),
        ("a: !!map {}", "`!!map` is a tag"),
        ('a: "\\e[31m"', "m.yaml:1:4: The text holds the control character U+001B."),
    ],
)
def test_what_is_refused_without_stopping(text: str, said: str) -> None:
    problems = read_yaml(text, "m.yaml").problems
    assert len(problems) == 1
    assert said in str(problems[0])


def test_reading_goes_on_after_a_repeated_key() -> None:
    tree = read_yaml("a: 1\na: 2\nb: 3\nb: 4", "m.yaml")
    assert len(tree.problems) == 2
    assert tree.root is not None
    assert plain(tree.root) == {"a": "1", "b": "3"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b: c", "Put a text that holds `: ` into quotes"),
        ("a:\n\t- b", "Indent with spaces, not tabs"),
        ("a: 'b", "m.yaml:1:4: This is no valid YAML: found unexpected end of stream. Close the quote"),
        (
            'a: b\nc: ["d,\n  e]\nf: g\n',
            "m.yaml:2:5: This is no valid YAML: found unexpected end of stream. Close",
        ),
        ('a: "b\n---\nc: d', "m.yaml:1:4: This is no valid YAML: found unexpected document indicator. Close"),
        ("a: *nobody", "m.yaml:1:4: `*nobody` names no anchor above it."),
        ("a: &x [*x]", "`*x` holds itself."),
        ("a: 1\n---\nb: 2", "m.yaml:2:1: A second document begins here."),
        ("%NONSENSE\n---\na: 1", "This is no valid YAML"),
    ],
)
def test_what_stops_the_reading_says_where(text: str, said: str) -> None:
    assert said in stopped(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10_000,
        "{a: " * 10_000,
        "- " * 10_000,
        "? " * 10_000,
        "\n".join(" " * n + "a:" for n in range(2000)),
    ],
    ids=["lists", "maps", "dashes", "keys", "lines"],
)
def test_nesting_without_end_is_refused(text: str) -> None:
    assert f"Nested more than {MAX_DEPTH} levels deep." in stopped(text)


def test_nesting_through_aliases_is_refused() -> None:
    lines = ["- &a0 [x]", *(f"- &a{n} [*a{n - 1}]" for n in range(1, 2000))]
    assert "Nested more than" in stopped("\n".join(lines))


def test_nesting_up_to_the_bound_is_read() -> None:
    assert value_of("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None


def test_aliases_that_blow_up_are_refused_before_they_do() -> None:
    lines = ["- &a0 [" + ", ".join("x" * 20) + "]"]
    lines += [f"- &a{n} [" + ", ".join([f"*a{n - 1}"] * 20) + "]" for n in range(1, 12)]
    assert "more than 2,000,000 values" in stopped("\n".join(lines))


def test_many_aliases_of_a_small_value_are_fine() -> None:
    text = "a: &a {k: [x, y]}\nb:\n" + "  - *a\n" * 5000
    value = value_of(text)
    assert isinstance(value, dict) and len(value["b"]) == 5000


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: b")
    assert read_text(file) == "a: b"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("a: b".encode("utf-16"), "The file is UTF-16, not UTF-8."),
        (b"a: b\r\nc: \xe9", ":2:4: Byte 9 (0xE9) is not UTF-8"),
        (b"a: b\nc: \x1bd", ":2:4: The file holds the control character U+001B."),
        (b"a: \xed\xa0\x80", "is not UTF-8"),
    ],
)
def test_bytes_that_are_no_text_are_refused_with_their_place(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "m.yaml"
    file.write_bytes(data)
    with pytest.raises(ManifestError) as caught:
        read_text(file)
    assert said in str(caught.value)


def test_a_file_beyond_reason_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    with file.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(ManifestError, match="is over 64 MB"):
        read_text(file)


def test_a_pipe_is_refused_and_does_not_block(tmp_path: Path) -> None:
    import os

    pipe = tmp_path / "m.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ManifestError, match="no ordinary file"):
        read_text(pipe)


@pytest.mark.parametrize("name", ["a\0b.yaml", "x" * 300 + ".yaml"])
def test_a_name_that_no_file_can_have_is_a_problem(name: str) -> None:
    with pytest.raises(ManifestError, match="can't be read"):
        read_text(Path(name))


def test_position_counts_every_kind_of_line_break() -> None:
    assert position("a\r\nb\rc\nd", 7) == (4, 1)


def test_a_message_shows_no_line_breaks_and_no_megabytes() -> None:
    assert shown("a\nb\u202ec") == "a b c"
    assert shown("x" * 1000) == "x" * 57 + "..."
