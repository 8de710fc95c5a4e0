"""`python -m manifest_runner.sandbox`: the sandbox as `run` starts it, told everything by its parent.

Settings come in the environment (they hold keys, which an argument list would show to everybody), one line of
JSON on stdout says where it listens, and the end of stdin is the end of the parent: the sandbox follows it.
"""

from __future__ import annotations

import json
import os
import sys

from manifest_runner.errors import ManifestRunnerError
from manifest_runner.sandbox.process import SETTINGS_VARIABLE
from manifest_runner.sandbox.serve import serve
from manifest_runner.sandbox.settings import SandboxSettings


def main() -> int:
    settings = os.environ.pop(SETTINGS_VARIABLE, None)
    try:
        if settings is None:
            sys.stderr.write(
                "This is started by `run`. To serve a sandbox yourself: manifest-runner sandbox\n"
            )
            return 2
        serve(SandboxSettings.from_json(settings), ready=_say_ready, stop_when=_parent_is_gone)
    except ManifestRunnerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _say_ready(base_url: str) -> None:
    sys.stdout.write(json.dumps({"base_url": base_url}) + "\n")
    sys.stdout.flush()


def _parent_is_gone() -> None:
    """Block until stdin ends. Read unbuffered: a thread inside a buffered read would upset the interpreter's end."""
    while os.read(0, 4096):
        pass


if __name__ == "__main__":
    sys.exit(main())
