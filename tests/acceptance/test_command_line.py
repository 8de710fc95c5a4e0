"""The commands around a run: their help, their JSON, their refusals and exit codes."""

from __future__ import annotations

import json
import time

import pytest

COMMANDS = (
    "init",
    "validate",
    "plan",
    "rehearse",
    "run",
    "retry",
    "listen",
    "adopt",
    "status",
    "report",
    "explain",
    "schema",
    "sandbox",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli, command):
    answer = cli(command, "--help")
    assert answer.returncode == 0
    assert f"Usage: manifest-runner {command}" in answer.stdout


def test_help_names_every_command(cli):
    answer = cli("--help")
    assert answer.returncode == 0
    assert all(f"\n  {command} " in answer.stdout for command in COMMANDS)


@pytest.mark.parametrize("name", ["manifest", "job", "report"])
def test_schemas_are_printed_as_json(cli, name):
    schema = json.loads(cli("schema", name).stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("frobnicate",), "No such command"),
        (("run",), "Missing argument"),
        (("run", "missing.yaml"), "missing.yaml"),
        (("validate", "."), "folder"),
        (("run", "campaign.yaml", "--budget-units", "lots"), "no number of units"),
        (("run", "campaign.yaml", "--budget-units", "1e999999999"), "no number of units"),
        (("report", "campaign.yaml"), "no ledger"),
    ],
)
def test_a_wrong_call_is_a_sentence_and_not_a_traceback(cli, arguments, says):
    cli("init", ".")
    answer = cli(*arguments)
    assert answer.returncode in (2, 4)
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr


def test_plan_before_and_after(cli):
    cli("init", ".")
    before = json.loads(cli("plan", "campaign.yaml", "--json").stdout)
    assert before["counts"] == {"send": 2}
    assert cli("run", "campaign.yaml").returncode == 0
    after = json.loads(cli("plan", "campaign.yaml", "--json").stdout)
    assert (after["counts"], after["steps"]) == ({"skip": 2}, [])
    everything = json.loads(cli("plan", "campaign.yaml", "--json", "--all").stdout)
    assert [step["action"] for step in everything["steps"]] == ["skip", "skip"]
    assert "2 done." in cli("plan", "campaign.yaml", "--concurrency", "auto").stdout
    assert "costs nothing" in cli("plan", "campaign.yaml").stdout
    status = json.loads(cli("status", "campaign.yaml", "--json").stdout)
    assert status["by_state"] == {"done": 2}
    report = json.loads(cli("report", "campaign.yaml", "--json").stdout)
    assert report["totals"]["units_deducted"] == status["units_deducted"]


def test_without_a_key_the_way_out_is_named(cli):
    cli("init", ".")
    answer = cli("run", "campaign.yaml", "--service", "kling", env={})
    assert answer.returncode == 4
    assert "KLING_API_KEY" in answer.stderr
    assert "sandbox" in answer.stderr


def test_a_service_that_is_not_there(cli):
    cli("init", ".")
    started = time.monotonic()
    answer = cli(
        "run",
        "campaign.yaml",
        "--service",
        "kling",
        "--base-url",
        "http://127.0.0.1:9",
        env={"KLING_API_KEY": "canary-key-0123456789"},
    )
    assert answer.returncode == 4
    assert "does not answer" in answer.stderr
    assert "canary" not in answer.stdout + answer.stderr
    assert time.monotonic() - started < 60


def test_a_manifest_cannot_lead_the_key_to_a_stranger(cli, tmp_path):
    cli("init", ".")
    text = (tmp_path / "campaign.yaml").read_text()
    text = text.replace("service: sandbox ", "service: {name: kling, base_url: 'https://keys.example.net'} ")
    (tmp_path / "campaign.yaml").write_text(text)
    answer = cli("run", "campaign.yaml", env={"KLING_API_KEY": "canary-key-0123456789"})
    assert answer.returncode == 2
    assert "keys.example.net" in answer.stderr
    assert "--base-url" in answer.stderr


def test_a_ledger_serves_one_service_only(cli):
    cli("init", ".")
    assert cli("run", "campaign.yaml").returncode == 0
    answer = cli("run", "campaign.yaml", "--service", "kling", env={"KLING_API_KEY": "canary-key-0123456789"})
    assert answer.returncode == 2
    assert "sandbox" in answer.stderr
    assert "--ledger" in answer.stderr


def test_the_budget_is_not_passed(cli, tmp_path):
    cli("init", ".")
    answer = cli("run", "campaign.yaml", "--budget-units", "2.5")
    assert answer.returncode == 5
    report = json.loads((tmp_path / "out" / "first-campaign" / "report.json").read_text())
    assert report["totals"]["by_outcome"] == {"done": 1, "pending": 1}
    assert float(report["totals"]["units_deducted"]) <= 2.5
    assert cli("run", "campaign.yaml", "--budget-units", "50").returncode == 0


def test_an_env_file_cannot_lead_the_environments_key_to_a_stranger(cli, tmp_path):
    cli("init", ".")
    (tmp_path / ".env").write_text("KLING_BASE_URL=https://keys.example.net\n")
    run = ("run", "campaign.yaml", "--service", "kling")
    answer = cli(*run, env={"KLING_API_KEY": "canary-key-0123456789"})
    assert answer.returncode == 2
    assert "keys.example.net" in answer.stderr


def test_a_link_in_the_output_folder_leads_nothing_outside(cli, tmp_path):
    cli("init", ".")
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    out = tmp_path / "out" / "first-campaign"
    out.mkdir(parents=True)
    (out / ".hello-ana.mp4.part").symlink_to(precious)
    (out / "hello-ben.mp4").symlink_to(precious)
    assert cli("run", "campaign.yaml").returncode == 0
    assert precious.read_text() == "mine"
    assert (out / "hello-ana.mp4").stat().st_size > 1000
    assert not (out / "hello-ben.mp4").is_symlink()


@pytest.mark.parametrize(
    "command",
    [("run",), ("retry", "--failed"), ("rehearse",), ("adopt", "--all"), ("listen", "--listen", "0")],
)
def test_a_transport_that_is_none_is_told_before_anything_is_begun(cli, tmp_path, command):
    cli("init", ".")
    before = set(tmp_path.rglob("*"))
    name, *options = command
    answer = cli(name, "campaign.yaml", *options, env={"MANIFEST_RUNNER_TRANSPORT": "carrier-pigeon"})
    assert answer.returncode == 2
    assert "MANIFEST_RUNNER_TRANSPORT is 'carrier-pigeon'" in answer.stderr
    assert "aiohttp or httpx" in answer.stderr
    assert set(tmp_path.rglob("*")) == before
