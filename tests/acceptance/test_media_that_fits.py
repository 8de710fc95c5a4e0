"""Media as people have them, through the real command: made to fit, said to be, or refused by row and column."""

from __future__ import annotations

import csv
import json
import wave
from io import BytesIO
from pathlib import Path

import av
import pytest
from PIL import Image

TEXT = "Good morning, Ana. The river is high today. Take the other road."
SPEECH = f'speech: {{text: "{TEXT}", voice_id: v, voice_language: en}}'


def sound(path: Path, seconds: float, *, level: int = 9000, rate: int = 16_000) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        half = (
            level.to_bytes(2, "little", signed=True) * 40 + (-level).to_bytes(2, "little", signed=True) * 40
        )
        out.writeframes(half * int(seconds * rate / 80))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    face = Image.linear_gradient("L").resize((640, 480)).convert("RGB")
    exif = Image.Exif()
    exif[274] = 6
    face.save(tmp_path / "side.jpg", exif=exif)
    face.save(tmp_path / "face.webp")
    face.resize((1200, 320)).save(tmp_path / "wide.png")
    face.resize((200, 200)).save(tmp_path / "small.png")
    sound(tmp_path / "long.wav", 302, rate=8000)
    sound(tmp_path / "short.wav", 1.2)
    sound(tmp_path / "silent.wav", 3, level=0)
    sound(tmp_path / "good.wav", 2.5)
    return tmp_path


def campaign(folder: Path, *rows: str, defaults: str = "") -> None:
    base = f"defaults: {{image: side.jpg, sound_file: good.wav{defaults}}}"
    text = "\n".join(
        [
            "version: 1",
            "service: sandbox",
            "campaign: fit",
            base,
            "jobs:",
            *(f"  - {{{row}}}" for row in rows),
        ]
    )
    (folder / "m.yaml").write_text(text + "\n")


def report(folder: Path) -> dict[str, dict[str, object]]:
    value = json.loads((folder / "out/fit/report.json").read_text())
    return {job["external_task_id"]: job for job in value["jobs"]}


def test_what_would_be_refused_is_made_to_fit_and_told_in_plan_report_and_explain(cli, folder):
    campaign(
        folder,
        "external_task_id: side",
        "external_task_id: webp, image: face.webp, sound_file: short.wav",
        "external_task_id: wide, image: wide.png, fit: {pad: colour}",
    )
    plan = json.loads(cli("plan", "m.yaml", "--json").stdout)
    fitting = {step["external_task_id"]: step["fitting"] for step in plan["steps"]}
    assert fitting["side"] == {"image": "turned upright"}
    assert "padded with silence from 1.2 s to 2 s" in fitting["webp"]["sound_file"]
    assert "image: WebP to JPEG" in cli("plan", "m.yaml").stdout

    ran = cli("run", "m.yaml")
    assert ran.returncode == 0, ran.stderr
    made = report(folder)
    assert made["side"]["fitted"]["image"].startswith("turned upright")
    assert "WebP to JPEG" in made["webp"]["fitted"]["image"]
    assert "sides" in made["wide"]["fitted"]["image"] or "padded" in made["wide"]["fitted"]["image"]
    assert (made["webp"]["units_deducted"], made["webp"]["video_seconds"]) == ("0.8", "2")
    with av.open(str(folder / "out/fit/side.mp4")) as video:
        stream = video.streams.video[0]
        assert stream.height > stream.width, "the portrait stood upright"
    assert "Its image was made to fit: turned upright" in cli("explain", "m.yaml", "side").stdout
    again = cli("run", "m.yaml")
    assert "No create call was made" in again.stdout


def test_with_fit_off_the_same_rows_are_refused(cli, folder):
    campaign(folder, "external_task_id: webp, image: face.webp, sound_file: short.wav", defaults=", fit: off")
    answer = cli("validate", "m.yaml")
    assert answer.returncode == 2
    assert "is a WEBP picture; JPEG or PNG is wanted" in answer.stderr
    assert "lasts 1.2 s; at least 2 s are wanted" in answer.stderr


def test_what_cannot_be_mended_is_told_by_row_and_column_and_listed_for_whoever_mends_it(cli, folder):
    rows = [f"r{number},small.png,good.wav,Town {number}" for number in range(30)]
    sheet = [
        "external_task_id,image,sound_file,town",
        *rows,
        "ok,side.jpg,good.wav,Ulm",
        "long,side.jpg,long.wav,Rom",
    ]
    (folder / "rows.csv").write_text("\n".join(sheet) + "\n")
    for command in ("validate", "plan", "run"):
        answer = cli(command, "rows.csv", "--service", "sandbox")
        assert answer.returncode == 2
        assert "30 rows: image smaller than 300 px (the first: rows.csv:2 (column image))" in answer.stderr
        assert (
            "1 row: recording longer than 300 s (the first: rows.csv:33 (column sound_file))" in answer.stderr
        )
        assert "rows.csv:2 (column image)" in answer.stderr
        assert "out/rows/problems.csv" in answer.stderr
    with (folder / "out/rows/problems.csv").open(encoding="utf-8-sig", newline="") as file:
        listed = list(csv.DictReader(file))
    assert [row["external_task_id"] for row in listed] == [*(f"r{number}" for number in range(30)), "long"]
    assert {listed[0]["line"], listed[0]["columns"], listed[0]["var.town"]} == {"2", "image", "Town 0"}
    assert "fit.trim: true" in listed[-1]["what to do"]

    (folder / "rows.csv").write_text("\n".join([sheet[0], sheet[-2]]) + "\n")
    assert cli("validate", "rows.csv", "--service", "sandbox").returncode == 0
    assert not (folder / "out/rows/problems.csv").exists()


def test_a_recording_without_a_sound_is_taken_and_told(cli, folder):
    campaign(folder, "external_task_id: a, sound_file: silent.wav")
    answer = cli("validate", "m.yaml")
    assert answer.returncode == 0
    assert "'silent.wav' has no sound that can be heard" in answer.stdout
    value = json.loads(cli("validate", "m.yaml", "--json").stdout)
    assert [warning["kind"] for warning in value["warnings"]] == ["recording without a sound"]


def test_captions_lie_beside_the_video_and_are_made_again_when_they_are_gone(cli, folder):
    campaign(folder, f"external_task_id: a, {SPEECH}, captions: srt", f"external_task_id: b, {SPEECH}")
    assert cli("run", "m.yaml").returncode == 0
    captions = folder / "out/fit/a.srt"
    text = captions.read_text(encoding="utf-8")
    assert text.startswith("1\n00:00:0")
    assert "The river is high today." in text.replace("\n", " ")
    assert not (folder / "out/fit/b.srt").exists()
    assert report(folder)["a"]["captions_file"] == "a.srt"

    captions.write_text("my own words")
    assert cli("run", "m.yaml").returncode == 0
    assert captions.read_text() == "my own words", "a file that is there is not written again"
    captions.unlink()
    again = cli("run", "m.yaml")
    assert "No create call was made" in again.stdout
    assert captions.read_text(encoding="utf-8") == text


def test_nobodys_file_is_overwritten_by_captions(cli, folder):
    (folder / "out/fit").mkdir(parents=True)
    (folder / "out/fit/a.srt").write_text("somebody's")
    campaign(folder, f"external_task_id: a, {SPEECH}, captions: srt")
    assert cli("run", "m.yaml").returncode == 0
    assert (folder / "out/fit/a.kept-1.srt").read_text() == "somebody's"


def test_a_mouth_is_shown_to_the_sandbox_in_the_picture_as_it_is_sent(cli, folder):
    campaign(folder, "external_task_id: a, image: face.webp, preview: {mouth: [300, 300, 90, 40]}")
    assert cli("run", "m.yaml").returncode == 0
    campaign(folder, "external_task_id: b, image: face.webp, preview: {mouth: [630, 470, 90, 400]}")
    assert cli("run", "m.yaml").returncode == 0, (
        "what reaches beyond a picture that is made to fit is cut off"
    )


def test_bad_media_of_one_row_do_not_hide_those_of_another(cli, folder):
    hostile = {
        "empty.png": b"",
        "cut.jpg": (folder / "side.jpg").read_bytes()[:900],
        "page.mp3": b"<html>404</html>",
        "list.mp3": b"#EXTM3U\nfile:///etc/passwd\n",
    }
    for name, data in hostile.items():
        (folder / name).write_bytes(data)
    film = BytesIO()
    with av.open(film, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 64
        frame = av.VideoFrame.from_image(Image.new("RGB", (64, 64)))
        for _ in range(5):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (folder / "film.mp3").write_bytes(film.getvalue())
    campaign(
        folder,
        *(f"external_task_id: {name.replace('.', '-')}, image: {name}" for name in ("empty.png", "cut.jpg")),
        *(
            f"external_task_id: {name.replace('.', '-')}, sound_file: {name}"
            for name in ("page.mp3", "list.mp3", "film.mp3")
        ),
        "external_task_id: good",
    )
    answer = cli("validate", "m.yaml", "--json")
    problems = {problem["job"]: problem for problem in json.loads(answer.stdout)["problems"]}
    assert set(problems) == {"empty-png", "cut-jpg", "page-mp3", "list-mp3", "film-mp3"}
    assert "an empty file" in problems["empty-png"]["what"]
    assert "damaged or cut off" in problems["cut-jpg"]["what"]
    assert "web page" in problems["page-mp3"]["what"]
    assert "a playlist" in problems["list-mp3"]["what"]
    assert "is a video" in problems["film-mp3"]["what"]
    assert "Traceback" not in answer.stderr


def test_one_look_finds_what_is_wrong_with_the_rows_and_with_their_media(cli, folder):
    campaign(
        folder,
        "external_task_id: a, mode: ultra",
        "external_task_id: b, image: small.png",
        "external_task_id: c",
    )
    answer = cli("validate", "m.yaml")
    assert answer.returncode == 2
    assert "`mode` must be `std` or `pro`" in answer.stderr
    assert "'small.png' is 200 x 200 pixels" in answer.stderr
    assert answer.stderr.startswith("Error: 2 problems")


def test_a_row_that_is_refused_by_its_own_wish_is_told_so(cli, folder):
    campaign(folder, "external_task_id: a, image: face.webp, fit: off")
    assert "say `fit: off`" in cli("validate", "m.yaml").stderr


def test_a_voice_that_can_hardly_speak_the_text_is_told(cli, folder):
    speech = "speech: {text: 早上好，安娜, voice_id: v, voice_language: en}"
    campaign(folder, f"external_task_id: a, {speech}", f"external_task_id: b, {SPEECH}")
    said = cli("plan", "m.yaml").stdout
    assert "1 row has a Chinese text for an English voice" in said


def test_nothing_is_spoken_for_a_video_that_the_budget_cannot_pay(cli, folder):
    rows = [f"external_task_id: r{number}, {SPEECH.replace('Ana', str(number))}" for number in range(3)]
    campaign(folder, *rows)
    ran = cli("run", "m.yaml", "--budget-units", "0.8")
    assert ran.returncode == 5
    assert "text-to-speech" not in ran.stdout
    assert "The budget of 0.8 units has no room for job r" in ran.stderr


def test_an_address_of_this_machine_is_no_use_to_a_service_and_told_before(cli, folder):
    campaign(folder, "external_task_id: a, sound_file: 'http://127.0.0.1:9/a.mp3'")
    answer = cli("validate", "m.yaml")
    assert answer.returncode == 2
    assert "an address of this machine or its network" in answer.stderr


def test_captions_are_of_the_text_that_the_video_says(cli, folder):
    other = SPEECH.replace("Good morning", "Good evening")
    campaign(folder, f"external_task_id: a, {SPEECH}, captions: srt")
    assert cli("run", "m.yaml").returncode == 0
    captions = folder / "out/fit/a.srt"
    assert "Good morning" in captions.read_text(encoding="utf-8")

    campaign(folder, f"external_task_id: a, {other}, captions: srt")
    captions.unlink()
    assert cli("run", "m.yaml").returncode == 3
    assert not captions.exists(), "the video still says the old text"
    assert cli("run", "m.yaml", "--retry", "changed").returncode == 0
    assert "Good evening" in captions.read_text(encoding="utf-8")

    campaign(folder, f"external_task_id: a, {SPEECH}, captions: srt")
    assert cli("run", "m.yaml").returncode == 0, "it goes back to the video that is paid"
    assert "Good morning" in captions.read_text(encoding="utf-8")
