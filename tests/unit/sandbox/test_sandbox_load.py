"""A sandbox for trials of load: nothing is rendered, waits and deductions are as ever, and calls are counted."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest
from sandbox_kit import AVATAR, PORTRAIT, Client, base64_text, recording

from manifest_runner.media import probe_video
from manifest_runner.sandbox import start_sandbox
from manifest_runner.sandbox.calls import CALLS_NAME, endpoint
from manifest_runner.sandbox.folders import Folders
from manifest_runner.sandbox.settings import SandboxSettings
from manifest_runner.sandbox.stand_in import make_stand_in


def test_every_task_ends_with_the_same_small_video_and_costs_what_it_always_does(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, previews=False, render_time=0) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            client.created(external_task_id="a")
            long = base64_text(recording(12, rate=8000))
            client.created(external_task_id="b", sound_file=long, watermark_info={"enabled": True})
            client.created(external_task_id="c", prompt="[sandbox:fail]")
            a, b, c = (client.ended(name) for name in "abc")
            urls = [a["task_result"]["videos"][0]["url"]]
            urls += [b["task_result"]["videos"][0][name] for name in ("url", "watermark_url")]
            replies = [client.http.get(url) for url in urls]
    assert len(set(urls)) == 3
    assert len({reply.content for reply in replies}) == 1
    assert replies[0].headers["content-type"] == "video/mp4"
    assert replies[0].headers["etag"].startswith('"')
    assert (a["final_unit_deduction"], b["final_unit_deduction"]) == ("0.8", "4.8")
    assert (c["task_status"], "final_unit_deduction" in c) == ("failed", False)
    (tmp_path / "video.mp4").write_bytes(replies[0].content)
    facts = probe_video(tmp_path / "video.mp4")
    assert (facts.width, facts.height) == (64, 64)


def test_a_task_still_takes_its_time_and_the_time_is_in_the_books(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, previews=False, render_time=0.4) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            began = time.monotonic()
            client.created(external_task_id="a")
            assert client.look("a")["task_status"] == "processing"
            client.ended("a")
            assert time.monotonic() - began >= 0.4
    with sqlite3.connect(tmp_path / "sandbox.sqlite3") as books:
        (took,) = books.execute("SELECT updated_ms - created_ms FROM tasks").fetchone()
    books.close()
    assert took >= 400


def test_the_stand_in_is_not_cleared_away_and_lasts_beyond_a_restart(tmp_path: Path) -> None:
    settings = {"previews": False, "render_time": 0, "retention_days": 0.3 / 86_400}
    with start_sandbox(tmp_path, **settings) as sandbox:  # type: ignore[arg-type]  # of several types
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            for name in ("a", "b"):
                client.created(external_task_id=name)
                url = client.ended(name)["task_result"]["videos"][0]["url"]
                assert client.http.get(url).status_code == 200
                time.sleep(0.8)  # its house is kept several times meanwhile
                assert client.http.get(url).status_code == 404
    assert len(list((tmp_path / "results").iterdir())) == 1


def test_the_stand_in_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    folders.prepare()
    assert make_stand_in(folders) == make_stand_in(folders)


def test_calls_are_counted_by_endpoint_and_answer_when_asked_for(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, slots=1, previews=False, render_time=30, count_calls=True) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            client.created(external_task_id="a")
            assert client.create(external_task_id="b").status_code == 429
            client.look("a")
            client.http.get(f"{AVATAR}/nobody")
            client.http.get(AVATAR, params={"pageSize": 5})
            client.http.get("/results/x.mp4")
            client.http.get("/account/costs", params={"start_time": 1, "end_time": 2})
            client.http.get("/elsewhere", headers={"Authorization": "Bearer wrong"})
    assert json.loads((tmp_path / CALLS_NAME).read_text()) == {
        "create 200": 1,
        "create 429": 1,
        "look-up 200": 1,
        "look-up 404": 1,
        "list 200": 1,
        "result 404": 1,
        "costs 200": 1,
        "other 401": 1,
    }


def test_calls_are_not_counted_unless_asked_for(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, previews=False) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            client.http.get(AVATAR)
    assert not (tmp_path / CALLS_NAME).exists()


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", AVATAR, "create"),
        ("GET", AVATAR, "list"),
        ("GET", f"{AVATAR}/an/id", "look-up"),
        ("POST", "/v1/audio/tts", "speech"),
        ("GET", f"{AVATAR}s", "other"),
    ],
)
def test_ids_and_tokens_are_no_part_of_what_is_counted(method: str, path: str, name: str) -> None:
    assert endpoint(method, path) == name


def test_media_that_somebody_took_away_are_kept_anew(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, previews=False, render_time=0) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            client.created(external_task_id="a")
            client.created(external_task_id="b")  # they are at hand now
            portrait = next((tmp_path / "media").glob("image-*"))
            kept = portrait.read_bytes()
            portrait.unlink()
            client.created(external_task_id="c", image=PORTRAIT)
            assert portrait.read_bytes() == kept


def test_settings_reach_a_process_of_its_own(tmp_path: Path) -> None:
    settings = SandboxSettings(
        state=tmp_path, previews=False, count_calls=True, access_key="a", secret_key="b"
    )
    assert SandboxSettings.from_json(settings.to_json()) == settings
