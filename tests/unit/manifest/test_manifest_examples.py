"""Every manifest in examples/: the valid ones load, the invalid ones say what their .expect file says."""

from pathlib import Path

import pytest

from manifest_runner.errors import ManifestError
from manifest_runner.manifest import load_manifest

EXAMPLES = Path(__file__).parents[3] / "examples"
KINDS = {".yaml", ".csv", ".tsv"}
VALID = sorted(path for path in (EXAMPLES / "valid").iterdir() if path.suffix in KINDS)
INVALID = sorted(path for path in (EXAMPLES / "invalid").iterdir() if path.suffix in KINDS)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_valid_examples_load(path: Path) -> None:
    assert load_manifest(path).jobs


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.name)
def test_invalid_examples_say_what_is_wrong_and_where(path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    said = str(caught.value)
    expected = path.with_name(path.name + ".expect").read_text(encoding="utf-8").splitlines()
    missing = [line for line in expected if line not in said]
    assert expected and not missing, said


def test_no_message_repeats_a_value_that_may_be_secret() -> None:
    with pytest.raises(ManifestError) as caught:
        load_manifest(EXAMPLES / "invalid" / "top-level.yaml")
    assert "never-shown-value" not in str(caught.value)
