"""`matrix:` and `{name|otherwise}`: what a few lines make of a few rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifest_runner.errors import ManifestError
from manifest_runner.manifest import load_manifest
from manifest_runner.models import Manifest

HEAD = "version: 1\ncampaign: c\n"


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str, rows: str | None = None) -> Manifest:
    Path("m.yaml").write_text(HEAD + text, encoding="utf-8")
    if rows is not None:
        Path("rows.csv").write_text(rows, encoding="utf-8")
    return load_manifest(Path("m.yaml"))


def problems(text: str, rows: str | None = None) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load(text, rows)
    return [str(problem) for problem in caught.value.problems]


PORTRAITS = "matrix:\n  image: [assets/ana.png, assets/Ben B.png, c.png]\n  language: [en, de, fr, es]\n"


def test_three_portraits_and_four_languages_make_twelve_jobs() -> None:
    manifest = load(
        f'{PORTRAITS}defaults: {{prompt: "In {{language}}"}}\njobs: [{{external_task_id: hi, audio_id: x}}]\n'
    )
    ids = [job.external_task_id for job in manifest.jobs]
    assert len(ids) == 12
    assert ids[:5] == ["hi-ana-en", "hi-ana-de", "hi-ana-fr", "hi-ana-es", "hi-ben-b-en"]
    assert ids[8] == "hi-c-png-en"
    assert (manifest.jobs[1].image, manifest.jobs[1].prompt) == ("assets/ana.png", "In de")


def test_of_a_sheet_each_row_is_multiplied() -> None:
    rows = "external_task_id,sound_file,city\na,a.mp3,Rome\nb,b.mp3,\n"
    manifest = load(
        f'{PORTRAITS}output: "{{language}}/{{image_name|x}}{{external_task_id}}.mp4"\n'
        "defaults: {vars: {image_name: y}}\njobs: {from: rows.csv}\n",
        rows,
    )
    assert len(manifest.jobs) == 24
    assert manifest.jobs[12].external_task_id == "b-ana-en"
    assert manifest.jobs[12].location.line == 3
    assert manifest.jobs[0].output == "en/ya-ana-en.mp4"
    assert dict(manifest.jobs[0].vars) == {"image_name": "y", "city": "Rome", "language": "en"}


def test_an_entry_may_say_more_and_goes_before_the_row() -> None:
    text = (
        "matrix:\n"
        "  voice:\n"
        "    - {label: en, speech: {voice_id: v1, voice_language: en}, tags: [en], vars: {hello: Hello}}\n"
        "    - {label: own, sound_file: own.mp3}\n"
        'defaults: {image: a.png, speech: {text: "{hello|Hi} {name}"}}\n'
        "jobs: [{external_task_id: x, speech: {voice_id: v0}, vars: {name: Bo}}]\n"
    )
    first, second = load(text).jobs
    assert first.speech is not None
    assert (first.speech.text, first.speech.voice_id, first.tags) == ("Hello Bo", "v1", ("en",))
    assert (second.external_task_id, second.sound_file, second.speech) == ("x-own", "own.mp3", None)
    assert dict(second.vars) == {"name": "Bo", "voice": "own"}


def test_rows_without_an_id_get_one_made_of_what_they_ask_for() -> None:
    ids = {
        job.external_task_id
        for job in load(f'{PORTRAITS}defaults: {{prompt: "{{language}}"}}\njobs: [{{audio_id: x}}]\n').jobs
    }
    assert len(ids) == 12 and all(one.startswith("c-") for one in ids)


def test_more_jobs_than_are_usual_must_be_meant() -> None:
    rows = "external_task_id,sound_file\n" + "".join(f"r{n},a.mp3\n" for n in range(100))
    text = f"{PORTRAITS}jobs: {{from: rows.csv}}\n"
    assert problems(text, rows) == [
        "m.yaml:3:1: The matrix makes 1,200 jobs (100 x 3 x 4); 1,000 are the most. If that is meant, say so: "
        "`matrix_limit: 1200`."
    ]
    assert len(load(f"matrix_limit: 1200\n{text}", rows).jobs) == 1200


def test_places_lead_to_the_matrix_or_to_the_row() -> None:
    assert problems(
        "matrix: {size: [{label: a, output: ../x.mp4}]}\ndefaults: {image: a.png}\n"
        "jobs: [{external_task_id: x, audio_id: y, priority: high}]\n"
    ) == [
        "m.yaml:3:36: The output path `../x.mp4` can't be used: `..` would lead elsewhere. Name the folders below the "
        "output folder only.",
        "m.yaml:5:53: `priority` must be a whole number, and this is `high`. Correct it.",
    ]


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ("{image: []}", "`matrix.image`"),
        ("{image: a.png}", "`matrix.image` must be a list"),
        ("{mode: [std, prp]}", "`mode` must be `std` or `pro`"),
        ("{x: [{label: a b}]}", "`matrix.x[1].label` must be 1 to 32 letters"),
        ("{x: [{external_task_id: a}]}", "`external_task_id` is no field"),
        ("{x: [[a]]}", "`matrix.x[1]` must be"),
        ("{x: [a, a]}", "The id `j-a` is already that of the job on line 4"),
    ],
)
def test_a_faulty_matrix_is_told(matrix: str, said: str) -> None:
    text = f"matrix: {matrix}\njobs: [{{external_task_id: j, image: a.png, audio_id: y}}]\n"
    assert any(said in problem for problem in problems(text))


def test_rows_that_are_no_rows_are_told_as_ever() -> None:
    assert any("must be a map" in problem for problem in problems(f"{PORTRAITS}jobs: [3, {{speech: 4}}]\n"))


def test_outputs_that_collide_are_told() -> None:
    text = f"{PORTRAITS}output: x.mp4\njobs: [{{external_task_id: j, audio_id: y}}]\n"
    assert len([problem for problem in problems(text) if "is the same file as" in problem]) == 11


# -- {name|otherwise} ------------------------------------------------------------------------------------------------


def test_what_stands_behind_the_bar_is_taken_where_the_cell_is_empty() -> None:
    rows = "external_task_id,image,audio_id,first_name\n" + "".join(
        f"r{n},a.png,x,{'Ana' if n % 2 else ''}\n" for n in range(30)
    )
    manifest = load(
        'defaults: {prompt: "Hello { first_name | my friend}!{{x|y}}"}\njobs: {from: rows.csv}\n', rows
    )
    assert {job.prompt for job in manifest.jobs} == {"Hello  my friend!{x|y}", "Hello Ana!{x|y}"}


def test_it_may_be_nothing() -> None:
    rows = "external_task_id,image,audio_id,title\na,a.png,x,\n"
    assert (
        load('defaults: {prompt: "Dear {title|}Ana"}\njobs: {from: rows.csv}\n', rows).jobs[0].prompt
        == "Dear Ana"
    )


def test_a_name_that_nobody_has_a_value_for_is_a_slip_all_the_same() -> None:
    rows = "external_task_id,image,audio_id,first_name\na,a.png,x,Ana\n"
    (said,) = problems('defaults: {prompt: "{frist_name|you}"}\njobs: {from: rows.csv}\n', rows)
    assert "`{frist_name}` names no value." in said
    (said,) = problems('defaults: {prompt: "{|you}"}\njobs: {from: rows.csv}\n', rows)
    assert "There is no name before the `|`" in said
