"""`validate --schema-only`: the manifest alone."""

from __future__ import annotations

import json
import subprocess
import sys

SHEET = "external_task_id,image,sound_file,mode\na,nowhere.png,nowhere.mp3,std\n"


def test_media_are_not_looked_at_and_it_says_so(cli, tmp_path):
    (tmp_path / "m.csv").write_text(SHEET)
    assert cli("validate", "m.csv").returncode == 2
    answer = cli("validate", "m.csv", "--schema-only")
    assert answer.returncode == 0
    assert answer.stdout.splitlines() == [
        "m.csv is valid: campaign m, 1 job; its media were not looked at.",
        "The service: kling, which is paid; --service sandbox is local and free.",
    ]
    value = json.loads(cli("validate", "m.csv", "--schema-only", "--json").stdout)
    assert value == {
        "valid": True,
        "campaign": "m",
        "jobs": 1,
        "problems": [],
        "warnings": [],
        "schema_only": True,
    }


def test_what_is_wrong_with_the_manifest_is_told_as_ever(cli, tmp_path):
    (tmp_path / "m.csv").write_text(SHEET + "b,nowhere.png,nowhere.mp3,fast\n")
    answer = cli("validate", "m.csv", "--schema-only")
    assert answer.returncode == 2
    assert "m.csv:3 (column mode)" in answer.stderr
    assert "nowhere" not in answer.stderr
    value = json.loads(cli("validate", "m.csv", "--schema-only", "--json").stdout)
    assert (value["valid"], [problem["line"] for problem in value["problems"]]) == (False, [3])


def test_ids_that_are_made_are_noticed_without_media(cli, tmp_path):
    (tmp_path / "m.csv").write_text(SHEET.replace("\na,", "\n,"))
    assert "1 job has no external_task_id" in cli("validate", "m.csv", "--schema-only").stdout


def test_what_reads_media_is_not_even_loaded(tmp_path):
    (tmp_path / "m.csv").write_text(SHEET)
    code = (
        "import sys\nfrom manifest_runner.cli.main import main\n"
        "sys.argv = ['manifest-runner', 'validate', 'm.csv', '--schema-only']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('av', 'PIL', 'jsonschema', 'pandas', 'httpx') if name in sys.modules])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines()[-1] == "[]"
