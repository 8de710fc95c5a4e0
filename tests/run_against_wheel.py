"""Run the acceptance tests against the installed wheel, from a folder where the source tree can't be imported."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        where = subprocess.run(
            [sys.executable, "-c", "import manifest_runner; print(manifest_runner.__file__)"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        if "site-packages" not in where:
            print(f"The wheel is not what is imported: {where}", file=sys.stderr)
            return 1
        command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", folder]
        command += ["-p", "no:cacheprovider", "-W", "error", "-n", "2", str(TESTS / "acceptance")]
        return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
