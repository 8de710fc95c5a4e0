"""Whatever the bytes: a manifest loads, or ManifestError says why. Nothing else ever comes out."""

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifest_runner.errors import ManifestError
from manifest_runner.manifest import load_manifest
from manifest_runner.manifest.csv_places import cells_in
from manifest_runner.manifest.csv_rows import _records

EXAMPLES = Path(__file__).parents[3] / "examples"
SEEDS = {
    suffix: [
        path.read_bytes()
        for folder in ("valid", "invalid")
        for path in sorted((EXAMPLES / folder).glob(f"*{suffix}"))
    ]
    for suffix in (".yaml", ".csv")
}
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PIECES = [
    b"version: 1\n", b"jobs:\n", b"  - ", b"defaults: ", b"speech: ", b"{", b"}", b"[", b"]", b": ", b", ", b"\n",
    b"&a ", b"*a ", b"~", b"''", b'"', b"!!str ", b"<<: ", b"? ", b"- ", b"| ", b"> ", b"#", b"%", b"---\n", b"...\n",
    b"image", b"sound_file: a", b"external_task_id: ", b"vars: ", b"output: ", b"prompt: ", b"{x}", b"from: m.yaml",
    b"mode: std", b"tags: ", b"\t", b"\x00", b"\xff", "\u2028".encode(), b"1e999", b"true",
]  # fmt: skip


def load_or_refuse(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        manifest = load_manifest(path)
    except ManifestError as exc:
        assert exc.problems
        assert all("\n" not in str(problem) for problem in exc.problems)
    else:
        assert manifest.jobs
        assert len({job.external_task_id for job in manifest.jobs}) == len(manifest.jobs)
        assert all(".." not in job.output.split("/") and job.output.endswith(".mp4") for job in manifest.jobs)


@pytest.mark.parametrize("suffix", [".yaml", ".csv"])
@FUZZ
@given(data=st.binary(max_size=300))
def test_any_bytes(tmp_path: Path, suffix: str, data: bytes) -> None:
    load_or_refuse(tmp_path / f"m{suffix}", data)


@pytest.mark.parametrize("suffix", [".yaml", ".csv"])
@FUZZ
@given(data=st.text(max_size=300))
def test_any_text(tmp_path: Path, suffix: str, data: str) -> None:
    load_or_refuse(tmp_path / f"m{suffix}", data.encode())


@FUZZ
@given(text=st.text('ab",;\n\r ', max_size=30), delimiter=st.sampled_from(",;"))
def test_the_cells_that_places_are_told_of_are_those_that_are_read(text: str, delimiter: str) -> None:
    try:
        read = [(record.text, record.cells) for record in _records(text.encode(), "m.csv", delimiter)]
    except ManifestError as exc:
        (place,) = (problem.location for problem in exc.problems)
        lines = io.StringIO(text, newline="").readlines()
        assert place.line and isinstance(place.column, int) and lines[place.line - 1][place.column - 1] == '"'
    else:
        for written, cells in read:
            assert [cell.length for cell in cells_in(written, 1, delimiter)] == [len(cell) for cell in cells]


@FUZZ
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40))
def test_yaml_put_together_from_its_pieces(tmp_path: Path, pieces: list[bytes]) -> None:
    load_or_refuse(tmp_path / "m.yaml", b"".join(pieces))


@pytest.mark.parametrize("suffix", [".yaml", ".csv"])
@FUZZ
@given(choice=st.data())
def test_examples_with_a_piece_cut_out_or_put_in(tmp_path: Path, suffix: str, choice: st.DataObject) -> None:
    data = choice.draw(st.sampled_from(SEEDS[suffix]))
    start = choice.draw(st.integers(0, len(data)))
    end = choice.draw(st.integers(start, min(len(data), start + 20)))
    piece = choice.draw(st.sampled_from(PIECES) | st.binary(max_size=4))
    load_or_refuse(tmp_path / f"m{suffix}", data[:start] + piece + data[end:])


VALUES = st.recursive(
    st.sampled_from(["", "~", "a", "a.png", "true", "1", "-1", "1.5", "data:x", "{x}", "{", "std", "x.mp4"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(
            lambda items: "[" + ", ".join(f"{quote(item)}" for item in items) + "]"
        )
        | st.dictionaries(
            st.sampled_from(["text", "voice_id", "enabled", "x", "from", "name"]), inner, max_size=3
        ).map(lambda items: "{" + ", ".join(f"{key}: {quote(value)}" for key, value in items.items()) + "}")
    ),
    max_leaves=5,
)
FIELDS = ["image", "sound_file", "audio_id", "speech", "prompt", "mode", "watermark_info", "callback_url"]
FIELDS += ["external_task_id", "output", "tags", "vars"]
TOP = ["campaign", "service", "concurrency", "budget_units", "output", "defaults"]


def quote(value: str) -> str:
    return f"'{value}'" if value in ("{x}", "{", "") else value


def block(fields: dict[str, str], indent: str) -> str:
    return "".join(f"{indent}{name}: {quote(value)}\n" for name, value in fields.items())


@FUZZ
@given(
    top=st.dictionaries(st.sampled_from(TOP), VALUES, max_size=3),
    defaults=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4),
    rows=st.lists(
        st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=1, max_size=5), min_size=1, max_size=3
    ),
)
def test_any_value_in_any_field(
    tmp_path: Path, top: dict[str, str], defaults: dict[str, str], rows: list[dict[str, str]]
) -> None:
    text = "version: 1\n" + block(top, "")
    if "defaults" not in top and defaults:
        text += "defaults:\n" + block(defaults, "  ")
    text += "jobs:\n" + "".join("  -\n" + block(row, "    ") for row in rows)
    load_or_refuse(tmp_path / "m.yaml", text.encode())
