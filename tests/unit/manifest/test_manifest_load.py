"""load_manifest: from files to a Manifest, and every problem at once."""

import os
from decimal import Decimal
from pathlib import Path

import pytest

from manifest_runner.errors import ManifestError
from manifest_runner.manifest import Settings, load_manifest, schema_text
from manifest_runner.models import Location, Manifest, Mode, ServiceName, ServiceSettings, Speech

HEAD = "version: 1\ncampaign: c\ndefaults: {image: a.png, sound_file: a.mp3}\n"


class Folder:
    """A folder to write manifests in; files are named relative to it, as a person would."""

    def write(self, name: str, text: str) -> Path:
        Path(name).write_text(text, encoding="utf-8", newline="")
        return Path(name)

    def load(self, text: str, name: str = "m.yaml", settings: Settings | None = None) -> Manifest:
        return load_manifest(self.write(name, text), settings=settings or Settings())

    def problems(self, text: str, name: str = "m.yaml", settings: Settings | None = None) -> list[str]:
        with pytest.raises(ManifestError) as caught:
            self.load(text, name, settings)
        return [str(problem) for problem in caught.value.problems]

    def told(self, text: str, name: str = "m.yaml") -> list[str]:
        """What a person reads, in lines."""
        with pytest.raises(ManifestError) as caught:
            self.load(text, name)
        return str(caught.value).splitlines()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder()


def test_a_manifest_with_everything(folder: Folder) -> None:
    manifest = folder.load(
        """
version: 1
campaign: spring
service: {name: sandbox, base_url: "http://127.0.0.1:9000"}
concurrency: 10
budget_units: 12.50
output: "{mode}/{external_task_id}.mp4"
defaults: {image: a.png, vars: {city: Ghent}, tags: [x]}
jobs:
  - external_task_id: ana
    speech: {text: "Hi {name}", voice_id: v, voice_language: en, voice_speed: 1.2}
    prompt: "smiles in {city}, {campaign}, {row}"
    mode: pro
    watermark_info: {enabled: true}
    callback_url: https://example.com/hook
    vars: {name: Ana}
"""
    )
    assert (manifest.path, manifest.campaign, manifest.concurrency) == (Path("m.yaml"), "spring", 10)
    assert manifest.service == ServiceSettings(name=ServiceName.SANDBOX, base_url="http://127.0.0.1:9000")
    assert manifest.budget_units == Decimal("12.50")
    [job] = manifest.jobs
    assert (job.external_task_id, job.image, job.output) == ("ana", "a.png", "pro/ana.mp4")
    assert job.speech == Speech(text="Hi Ana", voice_id="v", voice_language="en", voice_speed=Decimal("1.2"))
    assert (job.prompt, job.mode, job.watermark) == ("smiles in Ghent, spring, 1", Mode.PRO, True)
    assert (job.callback_url, job.tags, dict(job.vars)) == (
        "https://example.com/hook",
        ("x",),
        {"city": "Ghent", "name": "Ana"},
    )
    assert job.where("prompt") == Location(file="m.yaml", line=12, column=13, json_path="$.jobs[0].prompt")
    assert job.where("speech.text").column == 20
    assert (
        job.where("image")
        == job.location
        == Location(file="m.yaml", line=10, column=5, json_path="$.jobs[0]")
    )


def test_what_is_left_out_has_its_default(folder: Folder) -> None:
    manifest = folder.load("version: 1\njobs: [{image: a.png, audio_id: '1'}]\n", "My rows.yml")
    assert (manifest.campaign, manifest.concurrency, manifest.budget_units) == ("my-rows", 5, None)
    assert manifest.service == ServiceSettings(name=ServiceName.KLING)
    [job] = manifest.jobs
    assert job.external_task_id.startswith("my-rows-")
    assert job.output == f"{job.external_task_id}.mp4"
    assert (job.mode, job.watermark, job.prompt, job.tags) == (Mode.STD, False, None, ())


def test_a_csv_alone_takes_its_settings_from_the_command_line(folder: Folder) -> None:
    settings = Settings(
        service=ServiceName.SANDBOX,
        concurrency=7,
        budget_units=Decimal(9),
        output="{city}/{external_task_id}.mp4",
    )
    manifest = folder.load(
        "external_task_id,image,sound_file,city,watermark_info.enabled\n007,a.png,a.mp3,Rome,TRUE\n",
        "Frühling 2026.csv",
        settings,
    )
    assert (manifest.campaign, manifest.concurrency, manifest.budget_units) == (
        "fruhling-2026",
        7,
        Decimal(9),
    )
    assert manifest.service.name is ServiceName.SANDBOX
    [job] = manifest.jobs
    assert (job.external_task_id, job.output, job.watermark) == ("007", "Rome/007.mp4", True)
    assert job.where("watermark_info.enabled").column == "watermark_info.enabled"
    assert job.where("vars.city") == Location(
        file="Frühling 2026.csv", line=2, column="city", json_path="$.jobs[0].vars.city"
    )


def test_the_command_line_wins_over_the_file(folder: Folder) -> None:
    text = HEAD + "concurrency: 3\nbudget_units: '5'\noutput: '{row}.mp4'\njobs: [{external_task_id: a}]\n"
    settings = Settings(
        campaign="other", concurrency=4, budget_units=Decimal(6), output="x/{external_task_id}.mp4"
    )
    manifest = folder.load(text, settings=settings)
    assert (manifest.campaign, manifest.concurrency, manifest.budget_units) == ("other", 4, Decimal(6))
    assert manifest.jobs[0].output == "x/a.mp4"


@pytest.mark.parametrize(
    ("written", "settings", "used"),
    [
        ("sandbox", Settings(), ServiceSettings(name=ServiceName.SANDBOX)),
        ("{name: kling}", Settings(base_url="https://b.com"), ServiceSettings(base_url="https://b.com")),
        ("{name: kling, base_url: 'https://a.com'}", Settings(), ServiceSettings(base_url="https://a.com")),
        (
            "{name: kling, base_url: 'https://a.com'}",
            Settings(service=ServiceName.SANDBOX),
            ServiceSettings(name=ServiceName.SANDBOX),
        ),
        (
            "{name: kling, base_url: 'https://a.com'}",
            Settings(service=ServiceName.KLING),
            ServiceSettings(base_url="https://a.com"),
        ),
    ],
)
def test_a_services_address_goes_with_the_service_it_was_written_for(
    folder: Folder, written: str, settings: Settings, used: ServiceSettings
) -> None:
    assert folder.load(HEAD + f"service: {written}\njobs: [{{}}]\n", settings=settings).service == used


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(concurrency=0), "`concurrency` must be at least 1"),
        (Settings(concurrency=1001), "`concurrency` must be at most 1000"),
        (Settings(budget_units=Decimal(-1)), "`budget_units` must be a plain number"),
        (Settings(budget_units=Decimal("NaN")), "`budget_units` must be a plain number"),
        (Settings(budget_units=Decimal("sNaN")), "`budget_units` must be a plain number"),
        (Settings(base_url="http://example.com"), "must be an https:// address"),
        (Settings(campaign="a/b"), "`campaign` must be 1 to 64 letters"),
        (Settings(campaign="nul"), "`nul` is a name that Windows keeps for a device"),
        (Settings(output="../{external_task_id}.mp4"), "`..` would lead elsewhere"),
        (Settings(output="{nothing}.mp4"), "`{nothing}` names no value"),
        (Settings(output=""), "`output` is empty"),
    ],
)
def test_settings_follow_the_same_rules(folder: Folder, settings: Settings, said: str) -> None:
    [problem] = folder.problems(HEAD + "jobs: [{external_task_id: a}]\n", settings=settings)
    assert said in problem


@pytest.mark.parametrize("written", ["'5,50'", "5,50", "5 units"])
def test_a_budget_that_is_no_number_is_told_with_the_right_form(folder: Folder, written: str) -> None:
    [problem] = folder.problems(HEAD + f"budget_units: {written}\njobs: [{{external_task_id: a}}]\n")
    assert 'with a point if it has a fraction, such as "500" or "5.50".' in problem


def test_rows_of_their_own_file_are_told_apart(folder: Folder) -> None:
    folder.write("rows.csv", "external_task_id,prompt,mode\na,Hi {name},std\na,x,fast\n")
    problems = folder.problems(HEAD + "concurrency: 0\njobs: {from: rows.csv}\n")
    assert problems == [
        "m.yaml:4:14: `concurrency` must be at least 1, and this is `0`. Raise it.",
        "rows.csv:2 (column prompt): `{name}` names no value. "
        "There are `{campaign}`, `{external_task_id}`, `{mode}`, `{row}`.",
        "rows.csv:3 (column mode): `mode` must be `std` or `pro`, and this is `fast`. Use one of these.",
        "rows.csv:3 (column external_task_id): The id `a` is already that of the job on "
        "line 2. Give each job an id of its own.",
    ]


def test_rows_lie_beside_the_manifest_and_not_where_one_stands(folder: Folder) -> None:
    Path("sub").mkdir()
    folder.write("sub/rows.csv", "external_task_id\na\n")
    manifest = folder.load(HEAD + "jobs: {from: rows.csv}\n", "sub/m.yaml")
    assert manifest.jobs[0].location.file == str(Path("sub/rows.csv"))


def test_problems_of_the_manifest_are_kept_when_the_rows_can_not_be_read(folder: Folder) -> None:
    problems = folder.problems(HEAD + "concurrency: 0\njobs: {from: rows.csv}\n")
    assert [problem.split(" ")[0] for problem in problems] == ["m.yaml:4:14:", "m.yaml:5:14:"]


def test_bad_rows_leave_no_talk_of_missing_jobs(folder: Folder) -> None:
    assert folder.problems("image,prompt\na\n", "m.csv") == [
        "m.csv:2 (column prompt): The row has 1 cell, the header has 2. Cells are missing."
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("m.xls", "its name ends in `.xls`"),
        ("m.json", "its name ends in `.json`"),
        ("m", "m has no ending."),
    ],
)
def test_other_kinds_of_files_are_refused(folder: Folder, name: str, said: str) -> None:
    [problem] = folder.problems("x", name)
    assert said in problem


def test_a_missing_file_and_a_folder(folder: Folder) -> None:
    with pytest.raises(ManifestError, match=r"There is no file nowhere\.yaml\."):
        load_manifest(Path("nowhere.yaml"))
    with pytest.raises(ManifestError, match=r"\. is a folder\."):
        load_manifest(Path())


@pytest.mark.skipif(os.geteuid() == 0, reason="2026-11-24: root may read everything")
def test_a_file_that_may_not_be_read(folder: Folder) -> None:
    path = folder.write("m.yaml", "version: 1\n")
    path.chmod(0)
    with pytest.raises(ManifestError, match="Permission denied"):
        load_manifest(path)


def test_ids_under_another_name_are_ids_so_that_an_edited_row_is_not_paid_for_twice(folder: Folder) -> None:
    manifest = folder.load("id,image,sound_file\nana,a.png,a.mp3\n", "m.csv")
    assert (manifest.jobs[0].external_task_id, manifest.made_ids) == ("ana", 0)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{id: a}", "`id` is no field: did you mean `external_task_id`? Correct the name."),
        ("{task_id: a}", "`task_id` is no field: did you mean `external_task_id`?"),
        ("{text: Hi}", "`text` is no field: did you mean `speech.text`? Write `speech: {text: ...}`."),
        ("{voice_id: v}", "`voice_id` is no field: did you mean `speech.voice_id`?"),
        ("{watermark: true}", "`watermark` is no field: did you mean `watermark_info.enabled`?"),
        ("{audio: a.mp3}", "`audio` is no field: did you mean `sound_file`?"),
    ],
)
def test_likely_guesses_in_a_yaml_row(folder: Folder, row: str, said: str) -> None:
    assert said in folder.problems(HEAD + f"jobs: [{row}]\n")[0]


@pytest.mark.parametrize(
    "head",
    [
        "output: '{text}.mp4'",
        "defaults: {output: '{text}.mp4'}",
        "defaults: {prompt: 'in {text}'}",
        "defaults: {speech: {text: 'Hi {text}', voice_id: v, voice_language: en}}",
    ],
)
def test_a_column_that_a_template_of_the_manifest_names_is_a_var(folder: Folder, head: str) -> None:
    sound = "" if "speech" in head else ",sound_file"
    folder.write("rows.csv", f"external_task_id,image,text{sound}\na,a.png,x{sound and ',a.mp3'}\n")
    [job] = folder.load(f"version: 1\n{head}\njobs: {{from: rows.csv}}\n").jobs
    assert dict(job.vars) == {"text": "x"}
    if sound:
        [problem] = folder.problems("version: 1\njobs: {from: rows.csv}\n")
        assert "did you mean `speech.text`?" in problem


def test_a_column_that_the_command_lines_output_names_is_a_var(folder: Folder) -> None:
    settings = Settings(output="{text}.mp4")
    [job] = folder.load("external_task_id,image,sound_file,text\na,a,a,x\n", "m.csv", settings).jobs
    assert job.output == "x.mp4"


@pytest.mark.parametrize(
    "head",
    ["defaults: x", "defaults: {speech: x, prompt: [y]}", "output: {a: b}\ndefaults: {speech: {text: [z]}}"],
)
def test_templates_that_are_no_texts_use_no_column(folder: Folder, head: str) -> None:
    folder.write("rows.csv", "external_task_id,image,sound_file,text\na,a,a,x\n")
    assert (
        "did you mean `speech.text`?"
        in folder.problems(f"version: 1\n{head}\njobs: {{from: rows.csv}}\n")[-1]
    )


def test_a_manifest_knows_how_many_ids_were_made(folder: Folder) -> None:
    rows = "external_task_id,image,sound_file\na,a.png,a.mp3\n,b.png,a.mp3\n,c.png,a.mp3\n"
    assert folder.load(rows, "m.csv").made_ids == 2
    assert folder.load(HEAD + "jobs: [{external_task_id: a}]\n").made_ids == 0


@pytest.mark.parametrize(
    ("name", "start", "said"),
    [
        (
            "m.csv",
            b"PK\x03\x04\x14\x00\xe9\x00",
            "This is an Excel workbook, or another office document. Name it as what it is",
        ),
        ("m.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", "This is an Excel workbook"),
        ("m.yaml", b"\x89PNG\r\n\x1a\n", "This is a picture. Name the manifest"),
        ("a.jpg", b"\xff\xd8\xff\xe0", "This is a picture."),
        ("a.webp", b"RIFF\x10\x00\x00\x00WEBPVP8 ", "This is a picture."),
        ("a.mp3", b"ID3\x03\x00\x00", "This is a recording."),
        ("a.mp3", b"\xff\xfb\x90\x64", "This is a recording."),
        ("a.wav", b"RIFF\x24\xff\x00\x00WAVEfmt ", "This is a recording."),
        ("a.m4a", b"\x00\x00\x00\x1cftypM4A ", "This is a recording."),
        ("a.mp4", b"\x00\x00\x00\x1cftypisom", "This is a video."),
        ("a.pdf", b"%PDF-1.7\n\xe2\xe3", "This is a PDF document."),
        ("m.csv.gz", b"\x1f\x8b\x08\x00", "This is a compressed file. Unpack it first."),
        ("l.sqlite3", b"SQLite format 3\x00\x10", "This is a database."),
    ],
)
def test_another_kind_of_file_in_a_manifests_place_is_named(
    folder: Folder, name: str, start: bytes, said: str
) -> None:
    Path(name).write_bytes(start + bytes(range(256)))
    with pytest.raises(ManifestError) as caught:
        load_manifest(Path(name))
    [problem] = caught.value.problems
    assert str(problem).startswith(f"{name}: {said}")


def test_a_text_that_begins_like_another_kind_of_file_is_a_text(folder: Folder) -> None:
    assert folder.load("ID3,external_task_id,image,sound_file\nx,a,a,a\n", "m.csv").jobs


ESCAPES = "\x1b]0;pwn\x07\u202e\u2066\u200b\x9b31m\x85\u2028"


def test_nothing_in_a_manifest_reaches_a_terminal_as_more_than_text(folder: Folder) -> None:
    quoted = "".join(f"\\u{ord(sign):04x}" for sign in ESCAPES)
    for text in (
        f'version: 1\njobs: {{from: "x{quoted}.csv"}}\n',
        f'version: 1\n"k{quoted}": 1\njobs: [{{"k{quoted}": 1}}]\n',
        HEAD
        + f'jobs: [{{external_task_id: "a{quoted}", vars: {{"n{quoted}": [1]}}, prompt: "{{n{quoted}}}"}}]\n',
        HEAD
        + f'jobs: [{{external_task_id: a, output: "x/{quoted}/.mp4", tags: ["{quoted}", "{quoted}"]}}]\n',
        f"version: 1\njobs: !x{quoted} []\n",
    ):
        for problem in folder.problems(text):
            assert problem.isprintable()


@pytest.mark.parametrize("heading", ["evil\nError: your key leaked", "evil\x85", "e\u202evil"])
def test_no_heading_of_a_sheet_breaks_a_message_in_two(folder: Folder, heading: str) -> None:
    text = f'external_task_id,image,sound_file,"{heading}"\na,a,a,x/y\n'
    problems = folder.problems(text, "m.csv", Settings(output=f"{{{heading}}}.mp4"))
    assert all(problem.isprintable() for problem in problems)
    with pytest.raises(ManifestError) as caught:
        load_manifest(Path("m.csv"), settings=Settings(output=f"{{{heading}}}.mp4"))
    location = caught.value.problems[0].location
    assert f"{location.json_path} {location.column}".isprintable()


def test_a_long_value_named_often_takes_no_room(folder: Folder) -> None:
    jobs = f"jobs: [{{external_task_id: a, prompt: '{'{v}' * 800}', vars: {{v: {'x' * 1000}}}}}]\n"
    [problem] = folder.problems(HEAD + jobs)
    assert "Filled in, the text has more than 100,000 characters." in problem


@pytest.mark.parametrize("rows", ["{}", "x", "{tags: [{}]}", "{external_task_id: a, mode: x}"])
def test_of_many_problems_the_first_are_told_and_the_rest_are_not_looked_for(
    folder: Folder, rows: str
) -> None:
    told = folder.told("version: 1\njobs:\n" + f"  - {rows}\n" * 5000)
    assert told[0].startswith("At least 1,000 problems in the manifest, in ")
    assert told[1].startswith("m.yaml, lines 3-")
    assert len(told) <= 3


def test_of_fewer_problems_the_rest_is_counted(folder: Folder) -> None:
    assert folder.told("image,prompt\n" + "a\n" * 250, "m.csv") == [
        "250 problems in the manifest, in 250 rows.",
        "m.csv, lines 2-251 (column prompt): The row has 1 cell, the header has 2. Cells are missing.",
    ]


def test_lines_that_differ_are_told_up_to_a_screenful_or_two_and_the_rest_is_counted(folder: Folder) -> None:
    rows = "".join(f"a{number},x.png,x.mp3,m{number}\n" for number in range(250))
    told = folder.told("external_task_id,image,sound_file,mode\n" + rows, "m.csv")
    assert len(told) == 102
    assert told[-1] == "... and 150 more."


def test_lines_far_apart_are_named_up_to_a_few(folder: Folder) -> None:
    rows = ("a,x.png,x.mp3,fast\n" + "b,x.png,x.mp3,std\n") * 20
    found = folder.told("note,image,sound_file,mode\n" + rows, "m.csv")
    [line] = [line for line in found if "(column mode)" in line]
    assert line.startswith("m.csv, lines 2, 4, 6, 8, ")
    assert " and more, 20 in all (column mode): " in line


@pytest.mark.parametrize(
    ("text", "name", "settings", "campaign"),
    [
        (HEAD + "jobs: [{mode: x}]\n", "m.yaml", Settings(), "c"),
        ("version: 1\ncampaign: spring\njobs: [{mode: x}]\n", "m.yaml", Settings(), "spring"),
        ("version: 1\ncampaign: a/../b\njobs: [{mode: x}]\n", "m.yaml", Settings(), "m"),
        ("image,prompt\na\n", "rows.csv", Settings(), "rows"),
        ("image,prompt\na\n", "rows.csv", Settings(campaign="spring"), "spring"),
        ("image,prompt\na\n", "rows.csv", Settings(campaign="a/../../b"), None),
        ("image,prompt\na\n", "rows.csv", Settings(campaign="nul"), None),
    ],
)
def test_whose_problems_they_are_is_told_where_it_can_be_read(
    folder: Folder, text: str, name: str, settings: Settings, campaign: str | None
) -> None:
    with pytest.raises(ManifestError) as caught:
        folder.load(text, name, settings)
    assert caught.value.campaign == campaign


@pytest.mark.parametrize("line", ["- !t x\n", "<<: x\n", "? [a]\n: b\n"])
def test_a_file_of_things_that_yaml_here_has_not_is_soon_put_down(folder: Folder, line: str) -> None:
    assert folder.told(line * 3000 + "\t: {{{")[0].startswith("At least 1,000 problems")


def test_a_thousand_unknown_names_are_told_in_part(folder: Folder) -> None:
    told = folder.told(HEAD + "jobs: [{}]\n" + "".join(f"k{number}: 1\n" for number in range(3000)))
    assert len(told) == 102
    assert "`k0` is no field." in told[1]


@pytest.mark.parametrize("text", ["# nothing\n", "---\n", "~\n", ""])
def test_an_empty_manifest(folder: Folder, text: str) -> None:
    [problem] = folder.problems(text)
    assert "The manifest is empty." in problem


def test_a_manifest_that_is_a_text(folder: Folder) -> None:
    [problem] = folder.problems("hello\n")
    assert "must be a map of names and values, and this is a text" in problem


def test_a_row_that_is_no_map_does_not_hide_the_others(folder: Folder) -> None:
    problems = folder.problems(HEAD + "jobs:\n  - a\n  -\n  - {mode: x}\n")
    assert [problem.split(" ")[0] for problem in problems] == ["m.yaml:5:5:", "m.yaml:6:4:", "m.yaml:7:12:"]
    assert "there is nothing" in problems[1]


def test_several_problems_of_one_row_are_all_found(folder: Folder) -> None:
    problems = folder.problems(
        "version: 1\njobs:\n  - {mode: x, prompt: '{y}', output: ../a.mp4, extra: 1}\n"
    )
    found = " ".join(problems)
    for said in (
        "`mode` must be",
        "`{y}` names no value",
        "would lead elsewhere",
        "`extra` is no field",
        "`image` is missing",
        "no sound",
    ):
        assert said in found
    assert len(problems) == 6


def test_a_bad_default_is_told_once_and_blames_no_row(folder: Folder) -> None:
    text = "version: 1\ndefaults: {image: 'data:x', sound_file: a.mp3, mode: [x]}\njobs:\n" + "  - {}\n" * 3
    problems = folder.problems(text)
    assert [problem.split(" ")[1] for problem in problems] == ["`defaults.image`", "`defaults.mode`"]


def test_defaults_that_name_two_sounds_are_told_once(folder: Folder) -> None:
    text = "version: 1\ndefaults: {image: a.png, sound_file: a, audio_id: '1'}\njobs:\n"
    [problem] = folder.problems(text + "  - {external_task_id: a}\n  - {external_task_id: b}\n")
    assert problem.startswith("m.yaml:2:51: The job names both `sound_file` and `audio_id`.")


def test_defaults_that_are_no_map(folder: Folder) -> None:
    [problem] = folder.problems("version: 1\ndefaults: x\njobs: [{image: a, audio_id: '1'}]\n")
    assert "`defaults` must be a map" in problem


def test_bad_vars_bring_no_talk_of_names(folder: Folder) -> None:
    [problem] = folder.problems(HEAD + "jobs: [{external_task_id: a, prompt: '{x}', vars: [x]}]\n")
    assert "`vars` must be a map" in problem


def test_a_prompt_is_measured_filled_in(folder: Folder) -> None:
    text = HEAD + f"jobs: [{{external_task_id: a, prompt: '{{x}}{{x}}', vars: {{x: {'y' * 1251}}}}}]\n"
    [problem] = folder.problems(text)
    assert "`prompt` has 2,502 characters; at most 2,500 are allowed." in problem


def test_speech_is_measured_filled_in(folder: Folder) -> None:
    speech = f"speech: {{text: '{{x}}', voice_id: v, voice_language: en}}, vars: {{x: {'y' * 1001}}}"
    [problem] = folder.problems(HEAD + f"jobs: [{{external_task_id: a, {speech}}}]\n")
    assert "`speech.text` has 1,001 characters" in problem


def test_a_text_template_in_speech_can_be_wrong(folder: Folder) -> None:
    text = HEAD + "jobs: [{external_task_id: a, speech: {text: '{x', voice_id: v, voice_language: en}}]\n"
    [problem] = folder.problems(text)
    assert "m.yaml:4:45: There is a `{` that is not closed." in problem


def test_an_empty_prompt_puts_the_default_aside(folder: Folder) -> None:
    text = "version: 1\ndefaults: {image: a, audio_id: '1', prompt: x}\njobs:\n"
    text += "  - {external_task_id: a, prompt: ''}\n  - {external_task_id: b, prompt: }\n"
    first, second = folder.load(text).jobs
    assert (first.prompt, second.prompt) == (None, "x")


def test_an_output_may_come_wholly_from_a_var(folder: Folder) -> None:
    text = HEAD + "jobs: [{external_task_id: a, output: '{file}', vars: {file: x.mp4}}]\n"
    assert folder.load(text).jobs[0].output == "x.mp4"


@pytest.mark.parametrize("value", ["a/b", "..\\\\b"])
def test_a_value_can_not_add_folders_to_an_output(folder: Folder, value: str) -> None:
    text = HEAD + f'jobs: [{{external_task_id: a, output: "x/{{v}}.mp4", vars: {{v: "{value}"}}}}]\n'
    [problem] = folder.problems(text)
    assert "The value of `v` holds a slash" in problem


def test_a_watermarked_copy_takes_a_path_too(folder: Folder) -> None:
    text = (
        HEAD
        + "jobs:\n  - {external_task_id: a, watermark_info: {enabled: true}}\n  - {external_task_id: a.watermark}\n"
    )
    [problem] = folder.problems(text)
    assert (
        "The output `a.watermark.mp4` is the same file as `a.watermark.mp4` of the job on line 5." in problem
    )


def test_a_column_may_hide_a_built_in_name_and_does_so_in_every_row(folder: Folder) -> None:
    text = "external_task_id,image,sound_file,campaign,prompt\na,a,a,spring,in {campaign}\nb,b,b,,in {campaign}\n"
    [problem] = folder.problems(text, "m.csv")
    assert "m.csv:3 (column campaign)" in problem
    assert "this job has no value for `campaign`" in problem
    assert folder.load("\n".join(text.splitlines()[:2]), "m.csv").jobs[0].prompt == "in spring"


def test_a_made_id_stays_whatever_is_not_paid_for_changes(folder: Folder) -> None:
    rows = [
        "{prompt: x}",
        "{prompt: x, tags: [a]}",
        "{prompt: '{v}', vars: {v: x}}",
        "{prompt: x, output: other.mp4, callback_url: 'https://a.com'}",
        "{prompt: x, mode: std, watermark_info: {enabled: false}, image: a.png}",
    ]
    ids = {folder.load(HEAD + f"jobs: [{row}]\n").jobs[0].external_task_id for row in rows}
    assert len(ids) == 1


@pytest.mark.parametrize(
    "row",
    ["{prompt: y}", "{prompt: x, mode: pro}", "{prompt: x, image: b.png}", "{prompt: x, audio_id: '1'}"],
)
def test_a_made_id_changes_with_what_is_paid_for(folder: Folder, row: str) -> None:
    first = folder.load(HEAD + "jobs: [{prompt: x}]\n").jobs[0]
    other = folder.load(HEAD + f"jobs: [{row}]\n").jobs[0]
    assert first.external_task_id != other.external_task_id


def test_a_made_id_is_the_same_however_a_voice_speed_is_written(folder: Folder) -> None:
    def made(speed: str) -> str:
        speech = f"speech: {{text: x, voice_id: v, voice_language: en{speed}}}"
        return folder.load(HEAD + f"jobs: [{{{speech}}}]\n").jobs[0].external_task_id

    assert made("") == made(", voice_speed: 1") == made(", voice_speed: 1.0") != made(", voice_speed: 1.1")


def test_a_manifest_of_another_version_is_judged_by_nothing_else(folder: Folder) -> None:
    assert folder.problems("version: 7\njobs: 5\nwhat: ever\n") == [
        "m.yaml:1:10: `version` 7 is not known here. This program reads `version` 1."
    ]


def test_a_problem_names_the_job_where_it_is_known(folder: Folder) -> None:
    with pytest.raises(ManifestError) as caught:
        folder.load(HEAD + "jobs: [{external_task_id: a, mode: x}, {mode: y}]\n")
    assert [problem.job for problem in caught.value.problems] == ["a", None]


def test_ten_thousand_rows_load_whole_and_in_order(folder: Folder) -> None:
    rows = "".join(f"  - {{external_task_id: j{number}, prompt: 'Hi {{row}}'}}\n" for number in range(10_000))
    jobs = folder.load(HEAD + "jobs:\n" + rows).jobs
    assert len(jobs) == 10_000
    assert (jobs[-1].external_task_id, jobs[-1].prompt, jobs[-1].location.line) == (
        "j9999",
        "Hi 10000",
        10_004,
    )


def test_of_many_names_some_are_listed(folder: Folder) -> None:
    names = ", ".join(f"n{number:02}: x" for number in range(30))
    [problem] = folder.problems(
        HEAD + f"jobs: [{{external_task_id: a, prompt: '{{n}}', vars: {{{names}}}}}]\n"
    )
    assert problem.endswith("`{n15}`, `{n16}` and more.")


def test_a_hostile_list_of_tags_is_refused_without_comparing_each_with_each(folder: Folder) -> None:
    maps = ", ".join(
        f"{{a{number}: b}}" for number in range(3000)
    )  # compared pairwise, this takes many seconds
    problems = folder.problems(HEAD + f"jobs: [{{external_task_id: a, tags: [{maps}]}}]\n")
    assert "`tags[1]` must be text, and this is a map." in problems[0]
    assert len(problems) == 3000


def test_the_schemas_can_be_printed() -> None:
    assert '"title": "A manifest"' in schema_text("manifest")
