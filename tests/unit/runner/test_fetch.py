"""Bringing videos home, over a real socket onto a real disk: broken streams, wrong files, links, and what is kept."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from canaries import CANARY
from plan_kit import ListedPlan
from result_server import (
    ETAG,
    Asked,
    ResultServer,
    envelope,
    names_in,
    plain,
    rendered,
    result,
    silence,
    small_video,
)

from manifest_runner.errors import FetchError, NeedsPerson
from manifest_runner.ledger import open_ledger, queries
from manifest_runner.models import JobState, Manifest, ServiceStatus
from manifest_runner.runner import fetch as fetch_module
from manifest_runner.runner.decide import Action
from manifest_runner.runner.fetch import TRIES, Fetcher
from manifest_runner.runner.options import RunOptions, Service
from manifest_runner.runner.run import carry_out
from manifest_runner.runner.step import Step
from manifest_runner.service import ApiKey, AvatarClient, open_result
from manifest_runner.service import download as download_module
from manifest_runner.service import retry as retry_module

TASK = "870123456789012345"
VIDEO, OTHER = small_video(90), small_video(200)
HALF = len(VIDEO) // 2
HTML = plain(200, b"<!DOCTYPE html><title>Sign in</title>", **{"content-type": "video/mp4"})


class Desk:
    """A fetcher with everything it needs, for one rendered job."""

    def __init__(self, server: ResultServer, ledger, client: AvatarClient, folder: Path) -> None:
        self.server, self.ledger, self.client, self.folder = server, ledger, client, folder
        self.received: list[int] = []
        self.count = self.received.append

    async def fetch(
        self,
        *answers,
        marked=(),
        output: str = "welcome.mp4",
        videos: list[dict[str, str]] | None = None,
        wanted: bool = True,
    ) -> None:
        """`answers` are what the video's address gives, `marked` what that of its watermarked version does."""
        attempt = rendered(self.ledger, "welcome", TASK, output=output, watermark=bool(marked) and wanted)
        self.server.files |= {"/v.mp4": list(answers)} if answers else {}
        self.server.files |= {"/w.mp4": list(marked)} if marked else {}
        if videos is None:
            videos = [{"id": "1", "url": f"{self.server.url}/v.mp4"}]
            videos[0] |= {"watermark_url": f"{self.server.url}/w.mp4"} if marked else {}
        self.server.put(TASK, "succeed", videos=videos)
        await self.fetcher.fetch(attempt, output, None)

    @property
    def fetcher(self) -> Fetcher:
        return Fetcher(
            ledger=self.ledger,
            client=self.client,
            open_result=partial(open_result, base_url=self.server.url),
            folder=self.folder,
            received=self.count,
        )

    @property
    def job(self):
        return self.ledger.read(queries.job, "welcome")

    def holds(self, *names: str) -> bool:
        return names_in(self.folder) == sorted(names)

    def put(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(fetch_module, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(retry_module, "_FIRST_SECONDS", 0.001)
    with open_ledger(tmp_path / "ledger.sqlite3", account="test") as ledger:
        async with ResultServer() as server, AvatarClient(server.url, ApiKey(CANARY)) as client:
            yield Desk(server, ledger, client, tmp_path / "out")


def ranges(desk: Desk) -> list[str | None]:
    return [asked.headers.get("range") for asked in desk.server.downloads()]


# -- the plain way ----------------------------------------------------------------------------------------------------


async def test_a_video_comes_home(desk):
    await desk.fetch(result(VIDEO))
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO
    assert desk.holds("welcome.mp4"), "nothing else is left in the folder"
    job = desk.job
    assert (job.state, job.file, job.watermark_file) == (JobState.DONE, "welcome.mp4", None)
    assert (job.sha256, job.bytes) == (hashlib.sha256(VIDEO).hexdigest(), len(VIDEO))
    assert job.attempt.video_seconds == Decimal("1.000")
    assert sum(desk.received) == len(VIDEO)
    assert "authorization" not in desk.server.downloads()[0].headers


async def test_folders_of_the_output_are_made(desk):
    await desk.fetch(result(VIDEO), output="de/spring/welcome.mp4")
    assert (desk.folder / "de/spring/welcome.mp4").read_bytes() == VIDEO
    assert desk.job.file == "de/spring/welcome.mp4"


async def test_the_watermarked_version_goes_beside_it(desk):
    await desk.fetch(result(VIDEO), marked=[result(OTHER)], output="de/welcome.mp4")
    assert (desk.folder / "de/welcome.mp4").read_bytes() == VIDEO
    assert (desk.folder / "de/welcome.watermark.mp4").read_bytes() == OTHER
    assert desk.holds("de", "de/welcome.mp4", "de/welcome.watermark.mp4")
    assert (desk.job.file, desk.job.watermark_file) == ("de/welcome.mp4", "de/welcome.watermark.mp4")
    assert desk.job.sha256 == hashlib.sha256(VIDEO).hexdigest()


# -- streams that break -----------------------------------------------------------------------------------------------


async def test_a_cut_answer_goes_on_where_it_ended(desk):
    await desk.fetch(result(VIDEO, until=HALF), result(VIDEO))
    assert ranges(desk) == [None, f"bytes={HALF}-"]
    assert desk.server.downloads()[1].headers["if-range"] == ETAG
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO
    assert (desk.job.state, desk.job.sha256) == (JobState.DONE, hashlib.sha256(VIDEO).hexdigest())
    assert sum(desk.received) == len(VIDEO), "no byte came twice"
    assert desk.holds("welcome.mp4")


async def test_cut_again_and_again(desk):
    stops = [200, 700, 1000, HALF]
    await desk.fetch(*(result(VIDEO, until=stop) for stop in stops), result(VIDEO))
    assert ranges(desk) == [None, *(f"bytes={stop}-" for stop in stops)]
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO


async def test_a_connection_lost_before_any_answer(desk):
    await desk.fetch(result(VIDEO, until=HALF), silence, result(VIDEO))
    assert ranges(desk) == [None, f"bytes={HALF}-", f"bytes={HALF}-"]
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO


async def test_without_progress_a_fresh_address_is_the_better_try(desk):
    await desk.fetch(result(VIDEO, until=HALF), silence, silence, result(VIDEO))
    assert ranges(desk) == [None, *[f"bytes={HALF}-"] * 2, None]
    assert desk.server.look_ups == [TASK] * 2
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO


async def test_one_download_is_not_gone_on_with_without_end(desk, monkeypatch):
    """A stream that brings a little more each time: a bound on its resumes, and one on the tries, and no more."""
    monkeypatch.setattr(fetch_module, "RESUMES", 2)

    def a_byte_more(asked: Asked) -> bytes:
        start = int(asked.headers.get("range", "bytes=0-")[6:-1])
        return result(VIDEO, until=start + 1)(asked)

    with pytest.raises(FetchError, match=f"of {len(VIDEO)} bytes|broke off"):
        await desk.fetch(a_byte_more)
    assert ranges(desk) == [None, "bytes=1-", "bytes=2-"] * TRIES
    assert desk.job.state is JobState.RENDERED
    assert desk.holds()


@pytest.mark.parametrize("etag", [None, 'W/"v1"'], ids=["none", "weak"])
async def test_without_a_tag_to_trust_it_starts_again(desk, etag):
    await desk.fetch(result(VIDEO, etag=etag, until=HALF), result(VIDEO, etag=etag))
    assert ranges(desk) == [None, None]
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO


@pytest.mark.parametrize("new_tag", ['"v2"', None, ETAG], ids=["other tag", "no tag", "same tag, other size"])
async def test_a_result_that_changed_in_between_is_never_mixed(desk, new_tag):
    assert len(OTHER) != len(VIDEO)
    await desk.fetch(result(VIDEO, until=HALF), result(OTHER, etag=new_tag))
    assert (desk.folder / "welcome.mp4").read_bytes() == OTHER
    assert desk.job.sha256 == hashlib.sha256(OTHER).hexdigest()
    assert desk.holds("welcome.mp4")


async def test_a_shorter_file_leaves_no_end_of_the_longer_one(desk):
    short, long = sorted([VIDEO, OTHER], key=len)
    await desk.fetch(result(long, until=len(long) - 1), result(short, etag='"v2"'))
    assert (desk.folder / "welcome.mp4").read_bytes() == short


async def test_what_an_earlier_run_left_is_not_gone_on_with(desk):
    desk.put(".welcome.mp4.part", b"x" * 2 * len(VIDEO))
    await desk.fetch(result(VIDEO))
    assert ranges(desk) == [None]
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO
    assert desk.holds("welcome.mp4")


async def test_a_stream_that_never_comes_to_its_end(desk):
    with pytest.raises(FetchError, match=f"{HALF} of {len(VIDEO)} bytes|broke off"):
        await desk.fetch(result(VIDEO, etag=None, until=HALF))
    assert desk.job.state is JobState.RENDERED
    assert not (desk.folder / "welcome.mp4").exists()


# -- what is no video -------------------------------------------------------------------------------------------------


async def test_a_page_under_a_videos_name_is_tried_again_and_never_kept(desk):
    with pytest.raises(FetchError, match=r"not the video: .*does not start like one") as caught:
        await desk.fetch(HTML)
    assert not caught.value.expired
    assert len(desk.server.downloads()) == TRIES
    assert desk.job.state is JobState.RENDERED
    assert desk.holds()


async def test_each_new_try_asks_for_a_fresh_address(desk):
    await desk.fetch(plain(403), HTML, plain(404), result(VIDEO))
    assert desk.server.look_ups == [TASK] * 4
    assert desk.job.state is JobState.DONE
    assert desk.holds("welcome.mp4")


async def test_a_cut_video_of_unknown_size_is_found_out(desk):
    """Without a length a broken stream looks like a whole one; only the file itself tells."""

    def until_closed(asked) -> bytes:
        return b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n" + VIDEO[:HALF]

    await desk.fetch(until_closed, result(VIDEO))
    assert len(desk.server.downloads()) == 2
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/v.mp4", "https://169.254.169.254/latest", "file:///etc/passwd", "https://"]
)
async def test_an_address_that_must_not_be_fetched_from(desk, url):
    with pytest.raises(FetchError):
        await desk.fetch(videos=[{"id": "1", "url": url}])
    assert desk.job.state is JobState.RENDERED
    assert desk.holds()


async def test_the_person_is_told_and_the_job_stays_rendered(desk):
    """The whole run: one problem, in the ledger too, and the next run fetches without paying again."""
    attempt = rendered(desk.ledger, "welcome", TASK)
    desk.server.files["/v.mp4"] = [HTML]
    desk.server.put(TASK, "succeed", videos=[{"id": "1", "url": f"{desk.server.url}/v.mp4"}])
    step = Step(
        external_task_id="welcome", action=Action.FETCH, why="paid", output="welcome.mp4", record=desk.job
    )
    run = partial(
        carry_out,
        Manifest(path=desk.folder.parent / "m.yaml", campaign="c", jobs=()),
        ledger=desk.ledger,
        service=Service(base_url=desk.server.url, credentials=ApiKey(CANARY)),
        folder=desk.folder,
        options=RunOptions(),
    )
    outcome = await run(ListedPlan(step))
    (problem,) = outcome.problems
    assert problem.startswith("welcome: what the service sent is not the video")
    assert (desk.job.state, f"welcome: {desk.job.why}") == (JobState.RENDERED, problem)
    assert desk.holds()

    desk.server.files["/v.mp4"] = [result(VIDEO)]
    outcome = await run(ListedPlan(step))
    assert (outcome.problems, outcome.stopped, outcome.create_calls) == ([], None, 0)
    assert (desk.job.state, desk.job.attempt.attempt_id) == (JobState.DONE, attempt.attempt_id)


# -- results that are gone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 410])
async def test_gone_at_every_try_is_expired(desk, status):
    await desk.fetch(plain(status))
    assert desk.job.state is JobState.EXPIRED
    assert f"HTTP {status}" in desk.job.why
    assert "paid" in desk.job.why
    assert (len(desk.server.downloads()), len(desk.server.look_ups)) == (TRIES, TRIES)
    assert desk.holds()


async def test_a_task_without_videos_is_expired(desk):
    await desk.fetch(videos=[])
    assert desk.job.state is JobState.EXPIRED
    assert len(desk.server.look_ups) == TRIES


async def test_a_task_the_service_no_longer_knows_is_expired(desk):
    desk.server.look_up_trouble[TASK] = envelope(None, code=1203, status=404)
    await desk.fetch()
    assert desk.job.state is JobState.EXPIRED
    assert "no longer knows" in desk.job.why


async def test_gone_once_in_between_is_not_expired(desk):
    """Only when nothing but "gone" was said is the job given up."""
    with pytest.raises(FetchError):
        await desk.fetch(plain(404), HTML, plain(404))
    assert len(desk.server.downloads()) == TRIES
    assert desk.job.state is JobState.RENDERED


async def test_a_service_that_does_not_answer_expires_nothing(desk):
    desk.server.look_up_trouble[TASK] = plain(404, b"<html>no such host</html>")
    with pytest.raises(FetchError, match="could not be asked for the video's address"):
        await desk.fetch()
    assert desk.job.state is JobState.RENDERED


# -- what already lies there ------------------------------------------------------------------------------------------


async def test_somebody_elses_file_is_kept_aside(desk):
    desk.put("welcome.mp4", b"cut by hand, three days of work")
    await desk.fetch(result(VIDEO))
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO
    assert (desk.folder / "welcome.kept-1.mp4").read_bytes() == b"cut by hand, three days of work"
    assert desk.holds("welcome.mp4", "welcome.kept-1.mp4")


async def test_what_was_kept_before_is_kept_too(desk):
    desk.put("welcome.kept-1.mp4", b"first")
    desk.put("welcome.kept-2.mp4", b"second")
    desk.put("welcome.mp4", b"third")
    await desk.fetch(result(VIDEO))
    kept = [(desk.folder / f"welcome.kept-{number}.mp4").read_bytes() for number in (1, 2, 3)]
    assert kept == [b"first", b"second", b"third"]


async def test_the_same_video_is_not_kept_twice(desk):
    """As after a crash between the rename and its record in the ledger."""
    desk.put("welcome.mp4", VIDEO)
    await desk.fetch(result(VIDEO))
    assert desk.job.state is JobState.DONE
    assert desk.holds("welcome.mp4")


async def test_a_file_is_left_alone_while_there_is_nothing_better(desk):
    desk.put("welcome.mp4", b"an earlier one")
    with pytest.raises(FetchError):
        await desk.fetch(HTML)
    assert (desk.folder / "welcome.mp4").read_bytes() == b"an earlier one"
    assert desk.holds("welcome.mp4")


async def test_a_link_at_the_final_name_is_moved_not_followed(desk, tmp_path):
    outside = tmp_path / "precious.mp4"
    outside.write_bytes(b"precious")
    desk.folder.mkdir()
    (desk.folder / "welcome.mp4").symlink_to(outside)
    await desk.fetch(result(VIDEO))
    assert outside.read_bytes() == b"precious"
    assert not (desk.folder / "welcome.mp4").is_symlink()
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO
    assert (desk.folder / "welcome.kept-1.mp4").is_symlink()


async def test_a_link_in_place_of_the_part_is_not_written_through(desk, tmp_path):
    outside = tmp_path / "precious.mp4"
    outside.write_bytes(b"precious")
    desk.folder.mkdir()
    (desk.folder / ".welcome.mp4.part").symlink_to(outside)
    await desk.fetch(result(VIDEO))
    assert outside.read_bytes() == b"precious"
    assert desk.holds("welcome.mp4")


@pytest.mark.parametrize("output", ["de/welcome.mp4", "de/spring/welcome.mp4"])
async def test_a_link_that_leaves_the_output_folder_is_refused(desk, tmp_path, output):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    desk.folder.mkdir()
    (desk.folder / "de").symlink_to(outside, target_is_directory=True)
    with pytest.raises(FetchError, match="leads outside the output folder"):
        await desk.fetch(result(VIDEO), output=output)
    assert names_in(outside) == [], "no folder either"
    assert desk.job.state is JobState.RENDERED
    assert desk.server.downloads() == [], "nothing is downloaded that has no place to go"


async def test_a_link_that_stays_inside_is_followed(desk):
    (desk.folder / "german").mkdir(parents=True)
    (desk.folder / "de").symlink_to("german", target_is_directory=True)
    await desk.fetch(result(VIDEO), output="de/welcome.mp4")
    assert (desk.folder / "german/welcome.mp4").read_bytes() == VIDEO


# -- disks that do not take it ----------------------------------------------------------------------------------------


async def test_a_folder_that_is_a_file_needs_a_person(desk):
    desk.folder.write_bytes(b"I am a file")
    with pytest.raises(NeedsPerson, match=r"can't be written under .*out") as caught:
        await desk.fetch(result(VIDEO))
    assert "run the same command again" in caught.value.mend
    assert desk.job.state is JobState.RENDERED


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_says_so(desk, number):
    def full(size: int) -> None:
        raise OSError(
            number, "as the disk would say"
        )  # from beside the write, which can't be made to fail here

    desk.count = full
    with pytest.raises(NeedsPerson, match="is full") as caught:
        await desk.fetch(result(VIDEO))
    assert "what was paid is fetched then" in caught.value.mend
    assert desk.job.state is JobState.RENDERED
    assert not (desk.folder / "welcome.mp4").exists()


async def test_the_freshest_description_at_hand_saves_a_look_up(desk):
    attempt = rendered(desk.ledger, "welcome", TASK)
    desk.server.files["/v.mp4"] = [result(VIDEO)]
    desk.server.put(TASK, "succeed", videos=[{"id": "1", "url": f"{desk.server.url}/v.mp4"}])
    task = await desk.client.get(TASK)
    assert task.status is ServiceStatus.SUCCEED
    await desk.fetcher.fetch(attempt, "welcome.mp4", task)
    assert desk.server.look_ups == [TASK], "the one of this test"
    assert desk.job.state is JobState.DONE


# -- what only looks as if it were gone -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 429, 451, 500, 503])
async def test_a_gateways_refusal_is_not_an_expired_video(desk, status):
    with pytest.raises(FetchError, match=f"HTTP {status}") as caught:
        await desk.fetch(plain(status, b"<html>Blocked by policy</html>"))
    assert not caught.value.expired
    assert desk.job.state is JobState.RENDERED
    assert len(desk.server.downloads()) == TRIES


@pytest.mark.parametrize(
    "url",
    ["https://cdn.example/视频.mp4", "https://cdn.example/" + "x" * 9000, ""],
    ids=["unreadable", "long", "empty"],
)
async def test_an_address_that_is_of_no_use_is_not_an_expired_video(desk, url):
    with pytest.raises(FetchError, match="no usable address"):
        await desk.fetch(videos=[{"id": "1", "url": url}])
    assert desk.job.state is JobState.RENDERED


@pytest.mark.parametrize("status", ["processing", "failed", "on_hold"])
async def test_a_task_that_is_no_longer_said_to_have_succeeded_is_not_an_expired_video(desk, status):
    attempt = rendered(desk.ledger, "welcome", TASK)
    desk.server.put(TASK, status)
    with pytest.raises(FetchError, match=f"now says '{status}'"):
        await desk.fetcher.fetch(attempt, "welcome.mp4", None)
    assert desk.job.state is JobState.RENDERED


async def test_an_expired_result_that_turns_up_is_kept(desk):
    await desk.fetch(plain(404))
    assert desk.job.state is JobState.EXPIRED
    desk.server.files["/v.mp4"] = [result(VIDEO)]
    await desk.fetcher.fetch(desk.job.attempt, "welcome.mp4", None)
    assert desk.job.state is JobState.DONE
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO


@pytest.mark.parametrize(("trouble", "gone"), [(plain(404), True), (HTML, False)], ids=["gone", "page"])
@pytest.mark.parametrize("state", [JobState.DONE, JobState.EXPIRED])
async def test_a_fetch_once_more_that_fails_leaves_the_job_what_it_was(desk, state, trouble, gone):
    await desk.fetch(result(VIDEO) if state is JobState.DONE else plain(404))
    before, events = desk.job, desk.ledger.read(queries.events_of, "welcome")
    assert before.state is state
    desk.server.files["/v.mp4"] = [trouble]
    with pytest.raises(FetchError) as caught:
        await desk.fetcher.fetch(before.attempt, "welcome.mp4", None)
    assert caught.value.expired is gone, "whoever asked learns whether the service still has it"
    assert desk.job == before
    assert desk.ledger.read(queries.events_of, "welcome") == events


async def test_a_video_that_was_deleted_here_is_fetched_once_more(desk):
    await desk.fetch(result(VIDEO))
    (desk.folder / "welcome.mp4").unlink()
    desk.server.files["/v.mp4"] = [result(OTHER)]
    await desk.fetcher.fetch(desk.job.attempt, "welcome.mp4", None)
    assert (desk.folder / "welcome.mp4").read_bytes() == OTHER
    assert (desk.job.state, desk.job.sha256) == (JobState.DONE, hashlib.sha256(OTHER).hexdigest())


async def test_an_attempt_that_is_of_no_job_can_not_be_fetched(desk):
    attempt = rendered(desk.ledger, "welcome", TASK)
    with pytest.raises(ValueError, match="attempt welcome has no job"):
        await desk.fetcher.fetch(attempt._replace(external_task_id="other"), "welcome.mp4", None)
    assert desk.server.asked == []


# -- the watermarked copy ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [plain(404), plain(500), HTML], ids=["gone", "trouble", "page"])
async def test_a_copy_that_does_not_come_leaves_the_video_that_is_here(desk, trouble):
    with pytest.raises(FetchError, match="the video is here, but not its watermarked copy"):
        await desk.fetch(result(VIDEO), marked=[trouble])
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO
    assert desk.holds("welcome.mp4")
    assert (desk.job.state, desk.job.file, desk.job.watermark_file) == (JobState.DONE, "welcome.mp4", None)
    assert desk.job.sha256 == hashlib.sha256(VIDEO).hexdigest()
    assert len(desk.server.downloads("/v.mp4")) == 1
    assert len(desk.server.downloads("/w.mp4")) == TRIES


async def test_a_copy_that_comes_at_a_later_try(desk):
    await desk.fetch(result(VIDEO), marked=[plain(404), HTML, result(OTHER)])
    assert (desk.job.file, desk.job.watermark_file) == ("welcome.mp4", "welcome.watermark.mp4")
    assert len(desk.server.downloads("/v.mp4")) == 1
    assert desk.server.look_ups == [TASK] * 3, "a fresh address for each try"


async def test_a_copy_that_was_not_asked_for_is_not_fetched(desk):
    await desk.fetch(result(VIDEO), marked=[result(OTHER)], wanted=False)
    assert desk.holds("welcome.mp4")
    assert desk.job.watermark_file is None
    assert desk.server.downloads("/w.mp4") == []


# -- what lies in the way ---------------------------------------------------------------------------------------------


async def test_a_pipe_at_the_final_name_is_kept_aside_unread(desk):
    desk.folder.mkdir()
    os.mkfifo(desk.folder / "welcome.mp4")
    other_end = os.open(
        desk.folder / "welcome.mp4", os.O_RDWR
    )  # a fetch that reads it can be let go by closing
    try:
        async with asyncio.timeout(5):
            await desk.fetch(result(VIDEO))
    finally:
        os.close(other_end)
    assert (desk.folder / "welcome.kept-1.mp4").is_fifo()
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO


async def test_a_folder_at_the_final_name_is_kept_aside(desk):
    desk.put("welcome.mp4/notes.txt", b"three days of work")
    await desk.fetch(result(VIDEO))
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO
    assert (desk.folder / "welcome.kept-1.mp4/notes.txt").read_bytes() == b"three days of work"


@pytest.mark.parametrize("output", ["/abs/welcome.mp4", "../welcome.mp4", "a/../../welcome.mp4", "."])
async def test_a_ledgers_path_that_leads_outside_is_refused(desk, output):
    with pytest.raises(FetchError, match="leads outside"):
        await desk.fetch(result(VIDEO), output=output)
    assert not desk.folder.exists(), "it is refused before anything is made"


async def test_a_file_where_a_folder_belongs_is_that_jobs_trouble(desk):
    desk.folder.mkdir()
    (desk.folder / "de").write_bytes(b"mine")
    with pytest.raises(FetchError, match="is no folder"):
        await desk.fetch(result(VIDEO), output="de/welcome.mp4")
    assert (desk.folder / "de").read_bytes() == b"mine"


# -- sizes ------------------------------------------------------------------------------------------------------------


def endless(asked: Asked) -> bytes:
    """With a tag, so that nothing but its size keeps the download from being gone on with."""
    head = f"HTTP/1.1 200 X\r\nconnection: close\r\netag: {ETAG}\r\n\r\n"
    return head.encode() + VIDEO[:4000] + bytes(50_000)


@pytest.mark.parametrize("answer", [endless, result(bytes(10_000))], ids=["no length", "length given"])
async def test_too_large_is_downloaded_once_and_leaves_no_part(desk, monkeypatch, answer):
    monkeypatch.setattr(download_module, "LARGEST_RESULT", 5000)
    with pytest.raises(FetchError, match=r"any video|no video of this service"):
        await desk.fetch(answer)
    assert len(desk.server.downloads()) == 1
    assert names_in(desk.folder) == []


@pytest.mark.parametrize("grows", [False, True])
async def test_a_weak_tag_resumes_nothing(desk, grows):
    stops = iter(range(HALF, len(VIDEO)))
    stop = (lambda: next(stops)) if grows else (lambda: HALF)
    with pytest.raises(FetchError):
        await desk.fetch(lambda asked: result(VIDEO, etag='W/"v1"', until=stop())(asked))  # noqa: PLW0108
    assert len(desk.server.downloads()) == TRIES


async def test_a_place_that_leads_outside_is_not_asked_for_five_times(desk, tmp_path):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    desk.folder.mkdir()
    (desk.folder / "de").symlink_to(outside, target_is_directory=True)
    with pytest.raises(FetchError):
        await desk.fetch(result(VIDEO), output="de/welcome.mp4")
    assert len(desk.server.look_ups) == 1


async def test_an_expired_result_leaves_no_part(desk):
    await desk.fetch(result(VIDEO, until=HALF), plain(410))
    assert desk.job.state is JobState.EXPIRED
    assert names_in(desk.folder) == []


async def test_the_rest_of_a_file_of_another_size_is_not_put_behind(desk):
    def wrong_total(asked):
        start, size = int(asked.headers["range"][6:-1]), len(VIDEO) + 10
        rest = VIDEO[start:] + bytes(10)
        head = f"HTTP/1.1 206 X\r\netag: {ETAG}\r\nconnection: close\r\ncontent-length: {len(rest)}\r\n"
        return f"{head}content-range: bytes {start}-{size - 1}/{size}\r\n\r\n".encode() + rest

    await desk.fetch(result(VIDEO, until=HALF), wrong_total, result(VIDEO))
    assert (desk.folder / "welcome.mp4").read_bytes() == VIDEO
