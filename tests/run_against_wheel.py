"""The installed wheel, from a folder where the source tree can't be imported: is it whole, and does it work?

Whole: it has every file of the source tree as it is there, and every import in it, those inside functions too, finds
what it names in an environment that has the wheel's own dependencies and no more. It works: the acceptance tests that
go through all commands and whole campaigns. `make test` runs every acceptance test, against the source tree.
"""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent
SOURCES = {
    "manifest_runner": ".",
    "schemas": "_schemas",
}  # folders of the source tree, and where the package has them
EXTRAS = {"pillow_heif"}  # what is imported only where somebody has installed it
ACCEPTANCE = (
    "test_command_line.py",
    "test_examples.py",
    "test_first_campaign.py",
    "test_listen.py",
    "test_readme.py",
    "test_schema_only.py",
)


def main() -> int:
    package = Path(importlib.import_module("manifest_runner").__file__ or "").parent
    if "site-packages" not in package.parts:
        print(f"The wheel is not what is imported: {package}", file=sys.stderr)
        return 1
    if wrong := [*missing_files(package), *missing_imports(package)]:
        print(*wrong, sep="\n", file=sys.stderr)
        return 1
    program = Path(sys.executable).with_name("manifest-runner")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, "--version"], cwd=folder, check=True)
        command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", folder]
        command += ["-p", "no:cacheprovider", "-W", "error", "-n", "3", "--dist", "worksteal"]
        command += [str(TESTS / "acceptance" / name) for name in ACCEPTANCE]
        return subprocess.run(command, cwd=folder, check=False).returncode


def missing_files(package: Path) -> Iterator[str]:
    for folder, place in SOURCES.items():
        source = TESTS.parent / folder
        for path in sorted(source.rglob("*")):
            there = package / place / path.relative_to(source)
            if path.is_file() and path.suffix != ".pyc":
                if not there.is_file():
                    yield f"The wheel lacks {there}"
                elif there.read_bytes() != path.read_bytes():
                    yield f"The wheel has another {there} than the source tree"


def missing_imports(package: Path) -> Iterator[str]:
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        itself = [] if path.stem == "__main__" else [(name, ())]  # that one would begin to work
        for module, names in [*itself, *_imports(path)]:
            if module in EXTRAS:
                continue
            try:
                imported = importlib.import_module(module)
                for one in names:
                    if not hasattr(imported, one):
                        importlib.import_module(f"{module}.{one}")
            except ImportError as error:
                yield f"{name} can't be used: {error}"


def _imports(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each import statement that runs: the module, and what is taken from it."""
    tree = ast.parse(path.read_bytes())
    checked_alone = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in checked_alone:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", tuple(alias.name for alias in node.names)


if __name__ == "__main__":
    sys.exit(main())
