"""A manifest as it is rehearsed: it reaches nobody, and each preview has a place of its own."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from manifest_runner.ledger import JobRecord
from manifest_runner.models import Job, JobState, Manifest, Mode, ServiceName, ServiceSettings, utc_now
from manifest_runner.runner.rehearsal import places_in_the_way, rehearsed, with_places_of_their_own


def job(key: str, output: str | None = None, **fields: object) -> Job:
    return Job(external_task_id=key, image="a.png", audio_id="1", output=output or f"{key}.mp4", **fields)


def done(key: str, file: str, **fields: object) -> JobRecord:
    given = {"campaign": "c", "position": 0, "state": JobState.DONE, "mode": Mode.STD, "watermark": False}
    given |= {
        "output": file,
        "tags": (),
        "vars": {},
        "units_estimated": None,
        "queued_at": utc_now(),
        "why": None,
    }
    given |= {"file": file, "watermark_file": None, "sha256": None, "bytes": None, "fetched_at": None}
    given |= {"listed": True, "line": None, "changed": ()}
    return JobRecord(external_task_id=key, **{**given, **fields})


def outputs(jobs: list[Job], records: list[JobRecord]) -> list[str]:
    return [one.output for one in with_places_of_their_own(jobs, records)]


def test_it_reaches_nobody():
    real = Manifest(
        path=Path("c.yaml"),
        campaign="c",
        jobs=(job("a", callback_url="https://example.com/"), job("b")),
        service=ServiceSettings(name=ServiceName.KLING, base_url="https://example.com"),
        budget_units=Decimal(1),
    )
    played = rehearsed(real, concurrency=7)
    assert [one.callback_url for one in played.jobs] == [None, None]
    assert (played.service, played.budget_units, played.concurrency) == (
        ServiceSettings(name=ServiceName.SANDBOX),
        None,
        7,
    )
    assert (played.path, played.campaign, played.jobs[1]) == (real.path, real.campaign, real.jobs[1])


@pytest.mark.parametrize("output", ["rehearsal/a.mp4", "Rehearsal/x/a.mp4"])
def test_its_own_folder_is_not_for_videos(output):
    (problem,) = places_in_the_way(
        [job("a", output), job("b", "rehearsal.mp4"), job("c", "x/rehearsal/c.mp4")]
    )
    assert problem.job == "a"


def test_a_row_keeps_its_output_where_nobody_else_has_it():
    jobs = [job("a"), job("b"), job("c", "x/c.mp4")]
    assert outputs(jobs, []) == ["a.mp4", "b.mp4", "x/c.mp4"]
    assert outputs(jobs, [done("a", "a.mp4"), done("gone", "gone.mp4")]) == ["a.mp4", "b.mp4", "x/c.mp4"]


def test_a_row_that_takes_the_place_of_another_gets_one_beside_it():
    old = done("old", "x/Hello.mp4")
    assert outputs([job("new", "x/hello.mp4")], [old]) == ["x/hello~2.mp4"]
    again = [old, done("new", "x/hello~2.mp4")]
    assert outputs([job("new", "x/hello.mp4")], again) == ["x/hello~2.mp4"], "it stays where it is"
    assert outputs([job("newer", "x/hello.mp4")], again) == ["x/hello~3.mp4"]
    assert outputs([job("old", "x/Hello.mp4"), job("other", "x/hello~2.mp4")], [old]) == [
        "x/Hello.mp4",
        "x/hello~2.mp4",
    ]


def test_nor_is_the_place_of_what_comes_with_a_video_taken():
    old = done("old", "a.mp4", watermark_file="a.watermark.mp4", captions_file="a.srt")
    assert outputs([job("b", "a.watermark.mp4")], [old]) == ["a.watermark~2.mp4"]
    jobs = [job("b", "a.mp4"), job("c", "a~2.mp4")]
    assert outputs(jobs, [old]) == ["a~3.mp4", "a~2.mp4"], "not that of a row of the manifest either"
