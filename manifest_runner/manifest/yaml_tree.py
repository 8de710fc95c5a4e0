"""YAML text -> a tree of text, maps and lists in which every node knows its line and column.

The tree is built from the parser's events and not by PyYAML's own composer: that one recurses, resolves text into
numbers and dates, keeps the last of two equal keys and expands aliases without a bound. Here every scalar stays
text (`no`, `007`, `1e5`, `12:30`); only an empty value, `~` and `null`, written without quotes, mean *not given*.
What ought to be a number is decided later, by the schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml

from manifest_runner.errors import ManifestError
from manifest_runner.manifest.enough import ENOUGH
from manifest_runner.manifest.text import CONTROL, name_of, shown
from manifest_runner.models import Location, Problem

MAX_DEPTH = 32
MAX_NODES = 2_000_000
_TOO_DEEP = (f"Nested more than {MAX_DEPTH} levels deep.", "A manifest needs five.")
_NOT_GIVEN = frozenset({"", "~", "null"})

Plain = str | dict[str, "Plain"] | list["Plain"] | None


@dataclass(slots=True, eq=False)
class Node:
    """A value with its place. `size` and `height` count the nodes below, aliases followed."""

    line: int
    column: int
    value: str | dict[str, Entry] | list[Node] | None = None
    size: int = 1
    height: int = 0
    complete: bool = False  # false while its children are still being read


@dataclass(slots=True, eq=False)
class Entry:
    """One key of a map, with the key's own place."""

    line: int
    column: int
    node: Node


@dataclass(slots=True, eq=False)
class _Open:
    """A map or list whose end has not been met yet."""

    node: Node
    key: tuple[str | None, int, int] | None = (
        None  # a map's key that waits for its value; None: to be skipped
    )


@dataclass(slots=True, eq=False)
class YamlTree:
    """`root` is None for a document without content. `problems` are those that did not stop the reading."""

    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)


def read_yaml(text: str, file: str) -> YamlTree:
    """Reads one YAML document. Raises ManifestError for what makes the rest unreadable."""
    builder = _Builder(file)
    try:
        # libyaml's loader, used for its events alone: nothing is constructed.
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            builder.take(event)
    except yaml.YAMLError as exc:
        raise ManifestError([*builder.tree.problems, _syntax_problem(exc, file)]) from None
    return builder.tree


def plain(node: Node) -> Plain:
    """The values alone, as maps, lists and text. Values that are not given are left out of maps."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain(entry.node) for key, entry in value.items() if entry.node.value is not None}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def find(root: Node, path: tuple[str | int, ...], *, key: bool = False) -> tuple[int, int]:
    """Line and column of what a path leads to, or of the last step that exists; `key` asks for the key's own."""
    node, place = root, (root.line, root.column)
    for step in path:
        if isinstance(node.value, dict) and isinstance(step, str) and step in node.value:
            entry = node.value[step]
            place = (entry.line, entry.column)
            node = entry.node
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            place = (node.line, node.column)
        else:
            return node.line, node.column
    return place if key else (node.line, node.column)


class _Builder:
    """Takes events one by one and keeps the open maps and lists on a stack of its own (no recursion)."""

    def __init__(self, file: str) -> None:
        self.tree = YamlTree()
        self._file = file
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._nodes = 0

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.MappingStartEvent():
                self._open(event, {})
            case yaml.SequenceStartEvent():
                self._open(event, [])
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close(event)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._stop(event, "A second document begins here.", "Keep one manifest in a file.")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        node = self._node(event)
        text = event.value
        if event.style or text not in _NOT_GIVEN:  # a style is a kind of quotes
            node.value = text
        if bad := CONTROL.search(text):  # an escape such as "\0" passes the check of the raw file
            self._complain(_place_of(event), f"The text holds {name_of(bad[0])}.", "Remove it.")
        node.complete = True
        self._place(node, event)

    def _alias(self, event: yaml.AliasEvent) -> None:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            raise self._stop(
                event, f"`*{shown(event.anchor or '')}` names no anchor above it.", "Write it with `&` above."
            )
        if not node.complete:
            raise self._stop(event, f"`*{shown(event.anchor or '')}` holds itself.", "Write the value out.")
        self._place(node, event)

    def _open(self, event: yaml.CollectionStartEvent, empty: dict[str, Entry] | list[Node]) -> None:
        node = self._node(event)
        node.value = empty
        self._stack.append(_Open(node))
        if len(self._stack) > MAX_DEPTH:
            raise self._too_deep(event)

    def _close(self, event: yaml.Event) -> None:
        node = self._stack.pop().node
        node.complete = True
        self._place(node, event)

    def _node(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> Node:
        """A new node; its anchor is known from here on, and its tag is refused."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._too_many(event)
        node = Node(*_place_of(event))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        if event.tag is not None:
            self._complain(
                _place_of(event), f"`{_shown_tag(event.tag)}` is a tag, and tags are not read.", "Remove it."
            )
        return node

    def _place(self, node: Node, event: yaml.Event) -> None:
        """Puts a finished node where it belongs: the root, a list's next item, a map's key or value."""
        if not self._stack:
            self.tree.root = node
            return
        parent = self._stack[-1]
        if isinstance(parent.node.value, dict) and parent.key is None:
            parent.key = self._key(node, parent.node.value, event)
            return
        target = parent.node
        target.size += node.size
        target.height = max(target.height, node.height + 1)
        if target.size > MAX_NODES:
            raise self._too_many(event)
        if len(self._stack) + target.height > MAX_DEPTH + 1:
            raise self._too_deep(event)
        if isinstance(target.value, list):
            target.value.append(node)
        elif isinstance(target.value, dict) and parent.key is not None:
            name, line, column = parent.key
            parent.key = None
            if name is not None:
                target.value[name] = Entry(line, column, node)

    def _key(self, node: Node, siblings: dict[str, Entry], event: yaml.Event) -> tuple[str | None, int, int]:
        # an alias stands elsewhere than the value it names
        line, column = _place_of(event) if isinstance(event, yaml.AliasEvent) else (node.line, node.column)
        if not isinstance(node.value, str):
            self._complain(
                (line, column), "A key must be a name, and this one is not.", "Write `name: value`."
            )
            return None, line, column
        name = node.value
        if name == "<<":
            self._complain(
                (line, column), "`<<` merges are not read.", "Put what jobs share under `defaults`."
            )
            return None, line, column
        if name in siblings:
            first = siblings[name].line
            self._complain(
                (line, column),
                f"`{shown(name)}` stands here twice; line {first} has it too.",
                "Keep one of them.",
            )
            return None, line, column
        return name, line, column

    def _complain(self, place: tuple[int, int], what: str, mend: str) -> None:
        self.tree.problems.append(self._problem(place, what, mend))
        if len(self.tree.problems) >= ENOUGH:
            raise ManifestError(self.tree.problems)

    def _stop(self, event: yaml.Event, what: str, mend: str) -> ManifestError:
        return ManifestError([*self.tree.problems, self._problem(_place_of(event), what, mend)])

    def _too_deep(self, event: yaml.Event) -> ManifestError:
        return self._stop(event, *_TOO_DEEP)

    def _too_many(self, event: yaml.Event) -> ManifestError:
        return self._stop(
            event,
            f"The file holds more than {MAX_NODES:,} values, aliases followed.",
            "Split it, or write aliases out.",
        )

    def _problem(self, place: tuple[int, int], what: str, mend: str) -> Problem:
        location = Location(file=self._file, line=place[0], column=place[1])
        return Problem(location=location, what=what, mend=mend)


def _place_of(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


_HINTS = (
    ("mapping values are not allowed", "Put a text that holds `: ` into quotes, and check the indentation."),
    (
        "cannot start any token",
        "Indent with spaces, not tabs, and put a text that begins with a sign into quotes.",
    ),
    ("unexpected end of stream", "Close the quote that is opened here."),
    ("unexpected document indicator", "Close the quote that is opened here."),
    ("could not find expected ':'", "Write `name: value`, with a space after the colon."),
    ("did not find expected", "Check the indentation and that brackets, braces and quotes are closed."),
)


def _syntax_problem(exc: yaml.YAMLError, file: str) -> Problem:
    """libyaml's complaint in a sentence, with a way out where we know one."""
    mark = getattr(exc, "problem_mark", None)
    said = str(getattr(exc, "problem", None) or getattr(exc, "reason", None) or "it can't be parsed")
    mend = next((hint for words, hint in _HINTS if words in said), "Check the line and the one above it.")
    began = getattr(exc, "context_mark", None)
    if getattr(exc, "context", None) == "while scanning a quoted scalar":
        mark = began  # the parser gives up at the end of the file, far from the quote that is never closed
    location = Location(file=file)
    if mark is not None:
        location = Location(file=file, line=mark.line + 1, column=mark.column + 1)
    if "maximum nesting depth" in said:  # libyaml from 0.2.6 on counts brackets too, before it hands them out
        return Problem(location=location, what=_TOO_DEEP[0], mend=_TOO_DEEP[1])
    if began is not None and mark is not None and began.line != mark.line:
        said += f", in what begins on line {began.line + 1}"
    return Problem(location=location, what=f"This is no valid YAML: {said}.", mend=mend)


def _shown_tag(tag: str) -> str:
    return shown(tag.replace("tag:yaml.org,2002:", "!!"))
