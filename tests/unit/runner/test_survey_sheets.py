"""A sheet's rows that are done at a glance, against the same rows as jobs, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_survey import Desk

from manifest_runner.ledger import open_ledger
from manifest_runner.manifest import Jobs, load_manifest
from manifest_runner.media import looking
from manifest_runner.models import Job, Manifest, Mode
from manifest_runner.runner.decide import Action
from manifest_runner.runner.plan import Plan
from manifest_runner.runner.survey import survey

HEAD = (
    "version: 1\ncampaign: c\nservice: sandbox\ndefaults: {image: 'https://example.com/a.png', mode: pro}\n"
)
URL = "https://example.com"


class Sheet(Desk):
    """A campaign from a CSV, with some defaults."""

    def write(self, text: str, head: str = HEAD) -> Manifest:
        (self.folder / "rows.csv").write_text(text)
        (self.folder / "c.yaml").write_text(f"{head}jobs: {{from: rows.csv}}\n")
        return load_manifest(self.folder / "c.yaml")

    def surveyed(self, manifest: Manifest) -> Plan:
        with looking(self.folder) as found:
            return self.ledger.read(lambda connection: survey(manifest, found, connection, self.out))

    def both(self, manifest: Manifest) -> tuple[dict[str, tuple[Action, str]], Plan]:
        """What is planned, which is the same row by row."""
        quick, slow = self.surveyed(manifest), self.surveyed(replace(manifest, jobs=tuple(manifest.jobs)))
        told = [
            {step.external_task_id: (step.action, step.why) for step in plan.steps()}
            for plan in (quick, slow)
        ]
        assert told[0] == told[1]
        assert (quick.counts, quick.withdraws, quick.gone) == (slow.counts, slow.withdraws, slow.gone)
        return told[0], quick


@pytest.fixture
def sheet(tmp_path: Path) -> Iterator[Sheet]:
    with open_ledger(tmp_path / "ledger.sqlite3", account="test") as ledger:
        yield Sheet(tmp_path, ledger)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the jobs that were made out of rows."""
    ids: list[str] = []
    real = Jobs.at

    def at(self: Jobs, numbers: range) -> Iterator[Job]:
        for job in real(self, numbers):
            ids.append(job.external_task_id)
            yield job

    monkeypatch.setattr(Jobs, "at", at)
    return ids


ROWS = (
    "external_task_id,image,sound_file,prompt,mode,name\n"
    f"a,{URL}/1.png,{URL}/1.mp3,Hello {{name}},std,Ana\n"
    f"b,,{URL}/2.mp3,,,Bea\n"
    f"c,{URL}/3.png,{URL}/3.mp3,Bye {{name}} {{row}},,Cid\n"
    f"d,,{URL}/4.mp3,,,Dee\n"
)


def all_done(sheet: Sheet, text: str = ROWS, head: str = HEAD) -> Manifest:
    manifest = sheet.write(text, head)
    sheet.enrol(list(manifest.jobs))
    for job in manifest.jobs:
        sheet.fetch(job)
    return manifest


def test_what_is_done_is_not_made_into_jobs(sheet, made):
    manifest = all_done(sheet)
    made.clear()
    assert sheet.surveyed(manifest).counts == {Action.SKIP: 4}
    assert not made


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (f"{URL}/2.mp3", f"{URL}/9.mp3", "audio"),
        (f"{URL}/1.png", f"{URL}/9.png", "image"),
        ("Hello", "Hi", "prompt"),
        (",std,", ",pro,", "mode"),
        ("Cid", "Eve", "prompt"),
    ],
)
def test_an_edited_row_is_held(sheet, made, before, after, changed):
    all_done(sheet)
    edited = sheet.write(ROWS.replace(before, after))
    made.clear()
    told, plan = sheet.both(edited)
    assert plan.counts == {Action.SKIP: 3, Action.HOLD: 1}
    (held,) = [why for action, why in told.values() if action is Action.HOLD]
    assert f"{changed} changed" in held


def test_a_video_that_is_gone_or_another_is_seen(sheet):
    manifest = all_done(sheet)
    (sheet.out / "b.mp4").unlink()
    (sheet.out / "c.mp4").write_bytes(b"another video")
    told, plan = sheet.both(manifest)
    assert (told["b"][0], told["c"][0]) == (Action.FETCH, Action.HOLD)
    assert plan.counts == {Action.SKIP: 2, Action.FETCH: 1, Action.HOLD: 1}


def test_new_rows_among_done_ones_are_sent_and_rows_that_left_are_noticed(sheet):
    all_done(sheet)
    told, plan = sheet.both(sheet.write(ROWS.replace("b,,", "e,,")))
    assert (told["e"][0], plan.withdraws) == (Action.SEND, True)
    assert plan.counts == {Action.SKIP: 3, Action.SEND: 1}


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace("mode: pro", "watermark_info: {enabled: true}"),
        HEAD.replace("mode: pro", "fit: off"),
        HEAD.replace("mode: pro", "preview: {mouth: [1, 2, 3, 4]}"),
        HEAD.replace("mode: pro", "speech: {voice_id: v, voice_language: en}"),
    ],
)
def test_rows_of_another_kind_are_looked_at_one_by_one(sheet, head):
    manifest = sheet.write(ROWS, head)
    assert isinstance(manifest.jobs, Jobs)
    plain = manifest.jobs.sketches(range(4))
    assert (plain is None) is ("speech" not in head)
    sheet.both(manifest)


def test_a_sketch_has_what_the_jobs_have(sheet):
    manifest = sheet.write(ROWS)
    assert isinstance(manifest.jobs, Jobs)
    sketches = manifest.jobs.sketches(range(4))
    assert sketches is not None
    assert {number for sketch in sketches for number in sketch.numbers} == {0, 1, 2, 3}
    for sketch in sketches:
        for number, *fields in zip(*sketch, strict=True):
            job = manifest.jobs[number]
            wanted = [job.external_task_id, job.image, job.sound_file, job.prompt or "", job.mode]
            assert fields == wanted


def test_the_parts_of_a_sketch_are_those_of_the_jobs(sheet):
    manifest = all_done(sheet)
    assert isinstance(manifest.jobs, Jobs)
    with looking(sheet.folder) as found:
        for sketch in manifest.jobs.sketches(range(4)) or ():
            texts = found.plain_parts_texts(sketch.images, sketch.sounds, sketch.prompts, sketch.modes)
            assert texts == [found.parts_text_of(manifest.jobs[number]) for number in sketch.numbers]


def test_media_that_cant_be_used_have_no_plain_parts(tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    with looking(tmp_path) as found:
        assert found.plain_parts_texts(["notes.png"], [f"{URL}/1.mp3"], [""], [Mode.STD]) == [None]
