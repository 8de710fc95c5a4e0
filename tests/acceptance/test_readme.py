"""What the README tells people to type works, and what it names exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from workbooks import row, sheet, text, xlsx

from manifest_runner import errors
from manifest_runner.cli.main import COMMANDS
from manifest_runner.manifest import load_manifest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def shell_lines() -> list[str]:
    lines = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
    return [line.partition("#")[0].strip() for line in lines if line.partition("#")[0].strip()]


def test_the_commands_of_a_first_campaign_run_in_their_order(cli):
    commands = [shlex.split(line)[1:] for line in shell_lines() if line.startswith("manifest-runner")]
    first = [command for command in commands if any("my-campaign" in word for word in command)]
    in_order = ["init", "validate", "plan", "rehearse", "run", "status", "explain", "retry", "report"]
    assert [command[0] for command in first] == in_order
    for command in first:
        answer = cli(*command)
        assert answer.returncode == 0, (command, answer.stderr)


def test_its_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [target for line in shell_lines() if line.startswith("make ") for target in line.split()[1:]]
    assert {"demo", "test"} <= set(targets)
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_its_manifests_are_some(tmp_path):
    """The whole one, and the parts of others, each with what it lacks."""
    whole, beside, matrix = (block for kind, block in BLOCKS if kind == "yaml")
    (tmp_path / "m.yaml").write_text(whole, encoding="utf-8")
    assert len(load_manifest(tmp_path / "m.yaml").jobs) == 2
    cells = [text("A3", "ID"), text("B3", "Bild"), text("C3", "Ton"), text("D3", "Text"), text("E3", "Kunde")]
    row_of_one = [text("A4", "a"), text("B4", "a.png"), text("D4", "Hi"), text("E4", "Acme")]
    title = row(1, text("A1", "Spring launch"))
    spring = {"Spring": sheet(title, row(3, *cells), row(4, *row_of_one)), "Notes": sheet(title)}
    (tmp_path / "spring.xlsx").write_bytes(xlsx(spring))
    voice = "defaults: {speech: {voice_id: v, voice_language: en}}\n"
    (tmp_path / "m.yaml").write_text(f"version: 1\n{voice}{beside}", encoding="utf-8")
    (job,) = load_manifest(tmp_path / "m.yaml").jobs
    assert (job.image, job.speech.text, job.vars["client"]) == ("a.png", "Hi", "Acme")
    (tmp_path / "m.yaml").write_text(
        f"version: 1\n{matrix}jobs: [{{external_task_id: hello}}]\n", encoding="utf-8"
    )
    ids = [job.external_task_id for job in load_manifest(tmp_path / "m.yaml").jobs]
    assert f"A row `hello` becomes {', '.join(f'`{one}`' for one in ids)}." in README


def test_every_option_it_names_is_in_a_help_text(cli):
    option = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
    helps = [cli("--help").stdout, *(cli(name, "--help").stdout for name in COMMANDS)]
    ours = "\n".join(line for line in README.splitlines() if "-m benchmarks." not in line)
    assert set(option.findall(ours)) <= set(option.findall("".join(helps)))


def test_its_exit_codes_are_those_of_the_errors():
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")]
    pipe_closed = 141  # 128 and the number of SIGPIPE, as a shell would say it
    assert table == {0, pipe_closed, *(kind.exit_code for kind in kinds)}


@pytest.mark.parametrize("place", re.findall(r"`((?:examples|manifest_runner)/[\w./-]*)`", README))
def test_every_place_it_names_is_there(place):
    assert (ROOT / place).exists() or place.startswith("examples/out")
