"""Names in braces: what is filled in, what is refused, and that nothing else is possible."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifest_runner.manifest.templates import (
    MOST_FILLED,
    Part,
    TemplateError,
    UnknownNames,
    _parse_sign_by_sign,
    expand,
    mentioned,
    names_in,
    parse,
)


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("plain", "plain"),
        ("", ""),
        ("Hello {name}!", "Hello Ana!"),
        ("{name}{name}", "AnaAna"),
        ("{ name }", "Ana"),
        ("{First name}", "Bo"),
        ("{{name}}", "{name}"),
        ("{{{name}}}", "{Ana}"),
        ("{{}}", "{}"),
        ("{a.b[0]!r:>9}", "odd"),
        ("{braces}", "{name}"),
    ],
)
def test_what_is_filled_in(template: str, filled: str) -> None:
    values = {"name": "Ana", "First name": "Bo", "a.b[0]!r:>9": "odd", "braces": "{name}"}
    assert expand(template, values) == filled


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a } b", "a `}` without a `{`"),
        ("a { b", "a `{` that is not closed"),
        ("{", "a `{` that is not closed"),
        ("{a{b}}", "a `{` that is not closed"),
        ("{}", "a `{}` without a name"),
        ("{  }", "a `{}` without a name"),
        ("{{}", "a `}` without a `{`"),
    ],
)
def test_templates_that_can_not_be_read(template: str, said: str) -> None:
    with pytest.raises(TemplateError, match="There is") as caught:
        expand(template, {"a": "x", "b": "y"})
    assert said in str(caught.value)
    assert caught.value.mend.startswith("Write") or caught.value.mend.startswith("Name")


@pytest.mark.parametrize("name", ["x", "name.__class__", "name!r", "name:>9", "0", "name[0]"])
def test_there_is_no_way_to_anything_but_a_name(name: str) -> None:
    with pytest.raises(UnknownNames) as caught:
        expand(f"{{{name}}}", {"name": "Ana"})
    assert caught.value.names == (name,)


def test_all_unknown_names_are_found_in_order_and_once() -> None:
    with pytest.raises(UnknownNames) as caught:
        expand("{b} {a} {name} {b}", {"name": "Ana"})
    assert caught.value.names == ("b", "a")


def test_a_result_is_bounded_before_it_is_made() -> None:
    assert len(expand("{v}" * 10, {"v": "x" * (MOST_FILLED // 10)})) == MOST_FILLED
    with pytest.raises(TemplateError, match="more than 100,000 characters"):
        expand("{v}" * 10 + "x", {"v": "x" * (MOST_FILLED // 10)})
    with pytest.raises(TemplateError, match="more than"):
        expand("{v}" * 1000, {"v": "x" * 10_000_000})  # 10 GB, were it made


def test_names_that_stand_in_braces() -> None:
    assert mentioned({"a", "b c", "d"}, ["x {a} }{", "{ b c }", "d"]) == {"a", "b c"}
    assert mentioned(set(), ["{a}"]) == set()


@given(st.text())
def test_a_text_with_its_braces_doubled_comes_out_as_it_was(text: str) -> None:
    assert expand(text.replace("{", "{{").replace("}", "}}"), {}) == text


@given(st.text(alphabet="{}ab "))
def test_every_text_is_filled_in_or_refused(text: str) -> None:
    try:
        names = names_in(text)
    except TemplateError:
        return
    assert isinstance(expand(text, dict.fromkeys(names, "v")), str)


@given(st.text("{} ab%", max_size=14))
def test_a_template_read_at_once_is_what_it_is_sign_by_sign(template: str) -> None:
    def read(way: Callable[[str], tuple[Part, ...]]) -> object:
        try:
            return way(template)
        except TemplateError as exc:
            return str(exc)

    assert read(parse) == read(_parse_sign_by_sign)
