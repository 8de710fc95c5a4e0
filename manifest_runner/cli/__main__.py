"""`python -m manifest_runner.cli`."""

from manifest_runner.cli.main import run_and_exit

run_and_exit()
