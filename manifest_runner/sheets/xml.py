"""XML of a part, event by event, without anything that XML can be made to do: no document type, so no entities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from xml.parsers import expat

from manifest_runner.sheets.errors import damaged

Start = Callable[[str, Mapping[str, str]], None]


def walk(
    blocks: Iterable[bytes],
    *,
    start: Start,
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Tells of each element by its name, without the prefix where the root has one. Raises SheetError for what is no
    such XML."""
    local: dict[str, str] = {}

    def name_of(name: str) -> str:
        found = local.get(name)
        if found is None:
            found = local[name] = name.rpartition(":")[2]
        return found

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse

    def root(name: str, attributes: Mapping[str, str]) -> None:
        """Whoever writes no prefixes is spared their removal: there may be millions of elements."""
        if ":" in name:
            parser.StartElementHandler = lambda name, attributes: start(name_of(name), attributes)
            parser.EndElementHandler = None if end is None else lambda name: end(name_of(name))
        else:
            parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.StartElementHandler(name, attributes)

    parser.StartElementHandler = root
    if text is not None:
        parser.CharacterDataHandler = text
    try:
        for block in blocks:
            parser.Parse(block, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError):  # LookupError: an encoding that nobody knows
        raise damaged() from None


def attribute(attributes: Mapping[str, str], name: str) -> str | None:
    """The attribute of this name, whatever its prefix."""
    if name in attributes:
        return attributes[name]
    return next((value for key, value in attributes.items() if key.rpartition(":")[2] == name), None)


def _refuse(*_: object) -> None:
    raise damaged()
