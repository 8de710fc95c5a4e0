"""The whole contract over real sockets, against a sandbox in its own process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import httpx
import pytest
from sandbox_kit import AVATAR, PORTRAIT, Client, base64_text, picture, recording, refusal

from manifest_runner.sandbox import start_sandbox


@pytest.fixture(scope="module")
def finished(client: Client) -> dict:
    """A finished task with a watermark."""
    client.created(external_task_id="finished / one", watermark_info={"enabled": True})
    return client.ended("finished%20%2F%20one")


def test_a_created_task_is_answered_in_the_page_s_form(client: Client) -> None:
    before = time.time_ns() // 1_000_000
    body = client.create(external_task_id="form").json()
    assert (body["code"], body["message"], bool(body["request_id"])) == (0, "SUCCEED", True)
    data = body["data"]
    assert set(data) == {"task_id", "task_status", "task_info", "created_at", "updated_at"}
    assert (data["task_status"], data["task_info"]) == ("submitted", {"external_task_id": "form"})
    assert len(data["task_id"]) == 18
    assert before <= data["created_at"] <= time.time_ns() // 1_000_000


def test_a_task_is_found_by_either_id_and_ends_with_a_video(client: Client, finished: dict) -> None:
    assert client.look(finished["task_id"]) == finished
    assert finished["task_status"] == "succeed"
    assert finished["final_unit_deduction"] == "0.8"
    assert finished["watermark_info"] == {"enabled": True}
    assert finished["updated_at"] >= finished["created_at"]
    (video,) = finished["task_result"]["videos"]
    assert video["duration"] == "2"
    plain, marked = httpx.get(video["url"]), httpx.get(video["watermark_url"])
    assert plain.headers["content-type"] == "video/mp4"
    assert plain.content != marked.content


def test_the_video_is_what_was_ordered(client: Client, tmp_path: Path) -> None:
    task = client.ended(
        client.created(
            image=base64_text(picture(480, 320, "JPEG")), sound_file=base64_text(recording(2.6, "mp3"))
        )
    )
    path = tmp_path / "result.mp4"
    path.write_bytes(httpx.get(task["task_result"]["videos"][0]["url"]).content)
    assert "watermark_url" not in task["task_result"]["videos"][0]
    with av.open(str(path)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (1080, 720)
        assert len(container.streams.audio) == 1
        assert abs(container.duration / av.time_base - 2.6) < 0.1


def test_the_list_is_newest_first_in_pages(client: Client) -> None:
    ids = [client.created() for _ in range(3)]
    listed = client.http.get(AVATAR, params={"pageSize": 3}).json()["data"]
    assert [task["task_id"] for task in listed] == ids[::-1]
    second = client.http.get(AVATAR, params={"pageNum": 2, "pageSize": 2}).json()["data"]
    assert second[0]["task_id"] == ids[0]
    assert client.http.get(AVATAR, params={"pageNum": 1000, "pageSize": 500}).json()["data"] == []


REFUSED_QUERIES = [
    ("GET", f"{AVATAR}?pageNum=0", (400, 1201)),
    ("GET", f"{AVATAR}?pageNum=1001", (400, 1201)),
    ("GET", f"{AVATAR}?pageSize=0", (400, 1201)),
    ("GET", f"{AVATAR}?pageSize=501", (400, 1201)),
    ("GET", f"{AVATAR}/unknown", (404, 1203)),
    ("GET", f"{AVATAR}/", (404, 1203)),
    ("GET", "/", (404, 1203)),
    ("GET", "/v1/videos/avatar", (404, 1203)),
    ("DELETE", AVATAR, (404, 1202)),
    ("POST", f"{AVATAR}/some-id", (404, 1202)),
    ("GET", "/v1/audio/tts", (404, 1202)),
    ("GET", "/results/unknown.mp4", (404, 1203)),
    ("GET", "/results/..%2Fsandbox.sqlite3", (404, 1203)),
    ("POST", "/results/unknown.mp4", (404, 1202)),
]


@pytest.mark.parametrize(("method", "path", "expected"), REFUSED_QUERIES)
def test_what_is_not_there_is_said_in_an_envelope(
    client: Client, method: str, path: str, expected: tuple[int, int]
) -> None:
    assert refusal(client.http.request(method, path)) == expected


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"image=1", "application/x-www-form-urlencoded"),
        (b" " * (40 * 1024 * 1024 + 1), "application/json"),
    ],
    ids=["empty", "cut", "a form", "over 40 MB"],
)
def test_a_body_that_is_no_json_is_a_bad_request(client: Client, content: bytes, kind: str) -> None:
    assert refusal(client.http.post(AVATAR, content=content, headers={"Content-Type": kind})) == (400, 1200)


def test_json_needs_no_declaration_and_may_name_its_characters(client: Client) -> None:
    body = client.http.build_request("POST", AVATAR, json={"image": PORTRAIT}).content
    plain = client.http.post(AVATAR, content=body)
    assert refusal(plain) == (400, 1201)
    named = client.http.post(
        AVATAR, content=body, headers={"Content-Type": "application/json; charset=utf-8"}
    )
    assert refusal(named) == (400, 1201)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"image": base64_text(picture(200, 300))}, "image is 200 x 300"),
        ({"image": base64_text(b"text")}, "image"),
        ({"image": base64_text(b"\0" * (10 * 1024 * 1024 + 1))}, "image is larger than 10 MB"),
        ({"sound_file": base64_text(recording(1))}, "sound_file lasts 1.000 s"),
        ({"sound_file": base64_text(recording(301, rate=4000))}, "sound_file lasts more than 300 s"),
        ({"sound_file": base64_text(b"\0" * (5 * 1024 * 1024 + 1))}, "sound_file is larger than 5 MB"),
        ({"sound_file": None, "audio_id": "179548592863500000"}, "audio_id is unknown"),
        ({"prompt": "x" * 2501}, "prompt"),
    ],
)
def test_media_that_break_a_rule_are_refused_by_name(client: Client, fields: dict, named: str) -> None:
    reply = client.create(**fields)
    assert refusal(reply) == (400, 1201)
    assert named in reply.json()["message"]


def test_an_id_is_taken_once_even_after_a_failure(client: Client) -> None:
    client.created(external_task_id="once", prompt="please [sandbox:fail]")
    failed = client.ended("once")
    assert failed["task_status"] == "failed"
    assert "content risk control" in failed["task_status_msg"]
    assert not {"final_unit_deduction", "task_result"} & set(failed)
    again = client.create(external_task_id="once")
    assert refusal(again) == (400, 1201)
    assert "external_task_id already exists" in again.json()["message"]
    assert client.look("once") == failed


def test_of_many_at_once_with_one_id_one_wins(client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: client.create(external_task_id="race"), range(8)))
    assert sorted(reply.status_code for reply in replies) == [200] + [400] * 7


def test_a_refusal_can_be_rehearsed_and_makes_nothing(client: Client) -> None:
    assert refusal(client.create(prompt="[sandbox:refuse]", external_task_id="refused")) == (400, 1301)
    assert refusal(client.http.get(f"{AVATAR}/refused")) == (404, 1203)


@pytest.mark.parametrize(
    "mouth", [[300, 0, 21, 10], [0, 395, 10, 6], [5, 5, 10**6, 1], [0, 0, 0, 5], "mouth"]
)
def test_a_mouth_that_is_no_part_of_the_picture_is_refused(client: Client, mouth: object) -> None:
    reply = client.create(external_task_id="no-mouth", preview={"mouth": mouth})
    assert refusal(reply) == (400, 1201)
    assert "preview.mouth" in reply.json()["message"]
    assert refusal(client.http.get(f"{AVATAR}/no-mouth")) == (404, 1203)


def test_a_mouth_up_to_the_picture_s_edge_is_taken_and_shows_another_video(client: Client) -> None:
    plain, boxed = (
        client.ended(client.created(preview=preview)) for preview in (None, {"mouth": [200, 300, 120, 100]})
    )
    videos = [httpx.get(task["task_result"]["videos"][0]["url"]).content for task in (plain, boxed)]
    assert videos[0] != videos[1]


SPEECH = "Hello there, and welcome to everybody who has found the way here today."  # over 2 s at any speed


def test_speech_becomes_a_video(client: Client) -> None:
    body = {"text": SPEECH, "voice_id": "v", "voice_language": "en", "voice_speed": 9}
    first, second = (client.http.post("/v1/audio/tts", json=body).json()["data"] for _ in range(2))
    assert (first["task_status"], first["final_unit_deduction"]) == ("succeed", "0.05")
    (audio,), (other,) = first["task_result"]["audios"], second["task_result"]["audios"]
    assert audio["id"] != other["id"]
    assert audio["duration"] == other["duration"]
    sound = httpx.get(audio["url"])
    assert sound.headers["content-type"] == "audio/mpeg"
    assert sound.content == httpx.get(other["url"]).content
    task = client.ended(client.created(sound_file=None, audio_id=audio["id"]))
    assert float(task["task_result"]["videos"][0]["duration"]) >= float(audio["duration"])


def test_a_speech_too_short_for_a_video_is_refused_there(client: Client) -> None:
    body = {"text": "Hi", "voice_id": "v", "voice_language": "en"}
    audio = client.http.post("/v1/audio/tts", json=body).json()["data"]["task_result"]["audios"][0]
    reply = client.create(sound_file=None, audio_id=audio["id"])
    assert refusal(reply) == (400, 1201)
    assert "audio_id lasts" in reply.json()["message"]
    assert refusal(client.http.post("/v1/audio/tts", json={**body, "text": ""})) == (400, 1201)


def test_the_account_shows_its_pack_once_a_second(client: Client) -> None:
    path = "/account/costs"
    time.sleep(1)
    data = client.http.get(path, params={"start_time": 1, "end_time": 2}).json()["data"]
    (pack,) = data["resource_pack_subscribe_infos"]
    assert data["code"] == 0
    assert "-50Con-" in pack["resource_pack_name"]
    assert 0 < pack["remaining_quantity"] < pack["total_quantity"]
    hasty = client.http.get(path, params={"start_time": 1, "end_time": 2})
    assert refusal(hasty) == (429, 1302)
    assert hasty.headers["retry-after"] == "1"
    for wrong in ({}, {"start_time": 5}, {"start_time": 5, "end_time": 4}):
        time.sleep(1.02)
        assert refusal(client.http.get(path, params=wrong)) == (400, 1201)


def test_a_result_can_be_fetched_in_ranges_by_whoever_knows_its_name(finished: dict) -> None:
    url = finished["task_result"]["videos"][0]["url"]
    whole = httpx.get(url)
    size, etag = len(whole.content), whole.headers["etag"]
    head = httpx.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(size), b"")
    part = httpx.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{size}"
    rest = httpx.get(url, headers={"Range": f"bytes={size - 10}-", "If-Range": etag})
    assert (rest.status_code, rest.content) == (206, whole.content[-10:])
    assert httpx.get(url, headers={"Range": "bytes=-10"}).content == whole.content[-10:]
    changed = httpx.get(url, headers={"Range": "bytes=100-199", "If-Range": '"another"'})
    assert (changed.status_code, len(changed.content)) == (200, size)
    beyond = httpx.get(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


def test_links_build_on_the_host_that_was_asked_unless_it_is_a_stranger_s(
    client: Client, finished: dict
) -> None:
    def host_of(header: str) -> str:
        reply = client.http.get(f"{AVATAR}/{finished['task_id']}", headers={"Host": header})
        return httpx.URL(reply.json()["data"]["task_result"]["videos"][0]["url"]).netloc.decode()

    own = client.http.base_url.netloc.decode()
    port = client.http.base_url.port
    assert host_of(f"localhost:{port}") == f"localhost:{port}"
    assert host_of("evil.example") == own


def test_answers_stay_quick_while_videos_are_rendered(client: Client) -> None:
    pictures = [base64_text(picture(400 + 2 * step, 400)) for step in range(4)]
    sound = base64_text(recording(4))
    ids = [client.created(image=image, sound_file=sound) for image in pictures]
    times = []
    while client.look(ids[-1])["task_status"] != "succeed":
        started = time.perf_counter()
        client.http.get(AVATAR)
        times.append(time.perf_counter() - started)
        time.sleep(0.02)
    assert len(times) > 20
    assert sorted(times)[len(times) // 2] < 0.05


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Client]:
    with start_sandbox(tmp_path, slots=2, render_time=0.8) as sandbox:
        client = Client(sandbox.base_url, sandbox.environment)
        with client.http:
            yield client


def test_a_slot_is_held_until_the_task_ends(narrow: Client) -> None:
    first = narrow.created(external_task_id="a", prompt="[sandbox:fail]")
    narrow.created(external_task_id="b")
    full = narrow.create(external_task_id="c")
    assert refusal(full) == (429, 1303)
    assert "parallel task over resource pack limit" in full.json()["message"]
    assert refusal(narrow.create(external_task_id="a")) == (400, 1201)
    assert refusal(narrow.http.get(f"{AVATAR}/c")) == (404, 1203)
    ended = narrow.ended(first)
    assert ended["updated_at"] - ended["created_at"] >= 800
    narrow.created(external_task_id="c")


def test_an_image_by_url_at_a_private_address_is_refused(narrow: Client) -> None:
    for url in ("http://127.0.0.1:9/a.png", "http://localhost:9/a.png", "http://[::1]:9/a.png"):
        reply = narrow.create(image=url)
        assert refusal(reply) == (400, 1201)
        assert "image leads to a private address" in reply.json()["message"]
