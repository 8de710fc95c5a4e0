"""The house rules that a reader relies on: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "manifest_runner"
BASE = {"models", "errors", "disk", "addresses", "bounded_get", "bounded_http", "http_logs"}
MAY_USE = {
    "models": {"models"},
    "errors": {"models"},
    "disk": set(),
    "addresses": set(),
    "bounded_get": {"addresses", "http_logs"},
    "bounded_http": set(),
    "http_logs": set(),
    "sheets": set(),
    "manifest": {*BASE, "sheets"},
    "ledger": BASE,
    "media": BASE,
    "service": BASE,
    "sandbox": BASE,  # nothing of the client: their errors would cancel out
    "report": {*BASE, "ledger", "sheets"},
    "runner": {*BASE, "manifest", "ledger", "media", "service"},
    "cli": {*BASE, "manifest", "ledger", "media", "service", "runner", "report", "sandbox"},
}


def imports_of(path: Path) -> set[str]:
    """The rooms of our own package that this module imports from."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("manifest_runner.")}
    return rooms


@pytest.mark.parametrize("room", sorted(MAY_USE))
def test_imports_go_downward_only(room):
    modules = list((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]
    for module in modules:
        stray = imports_of(module) - MAY_USE[room] - {room}
        assert not stray, f"{module.relative_to(PACKAGE)} imports {sorted(stray)}"


def test_every_room_is_named_here():
    rooms = {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms - {"__init__"} == set(MAY_USE)
