"""`fit`, `captions` and `preview`: what they mean in YAML and in a sheet, from the defaults and from the row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from manifest_runner.errors import ManifestError
from manifest_runner.manifest import load_manifest
from manifest_runner.models import Box, Fit, FitMode, Job, Pad

HEAD = "version: 1\nservice: sandbox\n"
OFF, AUTO = FitMode.OFF, FitMode.AUTO


def jobs_of(folder: Path, text: str, name: str = "m.yaml") -> Sequence[Job]:
    (folder / name).write_text(text)
    return load_manifest(folder / name).jobs


def one(folder: Path, row: str, defaults: str = "") -> Job:
    base = "{image: a.png, sound_file: a.mp3" + (f", {defaults}" if defaults else "") + "}"
    (job,) = jobs_of(folder, f"{HEAD}defaults: {base}\njobs:\n  - {{external_task_id: a{row}}}\n")
    return job


def refusal(folder: Path, row: str, defaults: str = "") -> str:
    with pytest.raises(ManifestError) as refused:
        one(folder, row, defaults)
    return str(refused.value)


@pytest.mark.parametrize(
    ("row", "defaults", "fit"),
    [
        ("", "", Fit()),
        (", fit: auto", "", Fit()),
        (", fit: off", "", Fit(OFF)),
        (", fit: {mode: off}", "", Fit(OFF)),
        (", fit: {trim: true, pad: blur}", "", Fit(AUTO, True, Pad.BLUR)),
        ("", "fit: off", Fit(OFF)),
        (", fit: auto", "fit: off", Fit()),
        (", fit: off", "fit: {pad: colour}", Fit(OFF, False, Pad.COLOUR)),
        (", fit: {trim: true}", "fit: {pad: colour}", Fit(AUTO, True, Pad.COLOUR)),
        (", fit: {trim: false}", "fit: {trim: true}", Fit()),
    ],
)
def test_fit_is_a_word_or_more_and_joined_with_the_defaults(tmp_path, row, defaults, fit):
    assert one(tmp_path, row, defaults).fit == fit


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (", fit: no", "`fit` must be `auto` or `off`, and this is `no`"),
        (", fit: true", "`fit` must be `auto` or `off`"),
        (", fit: [off]", "`fit` must be"),
        (", fit: {trim: perhaps}", "`fit.trim` must be true or false"),
        (", fit: {pad: grey}", "`fit.pad` must be `blur` or `colour`"),
        (", fit: {crop: true}", "`crop` is no field"),
        (", preview: {mouth: [1, 2, 3]}", "`preview.mouth` must list 4 values, and lists 3"),
        (", preview: {mouth: [1, 2, 3, 4, 5]}", "`preview.mouth` must list 4 values, and lists 5"),
        (", preview: {mouth: [1, 2, x, 4]}", "`preview.mouth[3]` must be a whole number"),
        (", preview: {mouth: [1, 2, -3, 4]}", "`preview.mouth[3]` must be at least 0"),
        (", captions: vtt", "`captions` must be `srt` or `none`"),
        (", captions: srt", "There is no text to make captions of"),
    ],
)
def test_what_can_be_meant_by_nobody_is_refused_at_its_place(tmp_path, row, words):
    said = refusal(tmp_path, row)
    assert words in said
    assert "m.yaml:5:" in said


def test_captions_come_with_speech_and_a_default_of_them_harms_no_recording(tmp_path):
    speech = ", speech: {text: Hello, voice_id: v, voice_language: en}"
    assert one(tmp_path, f"{speech}, captions: srt").captions
    assert one(tmp_path, speech, "captions: srt").captions
    assert not one(tmp_path, f"{speech}, captions: none", "captions: srt").captions
    assert not one(tmp_path, "", "captions: srt").captions


def test_a_sheet_has_a_column_for_each(tmp_path):
    sheet = (
        "external_task_id,image,sound_file,fit,fit.trim,fit.pad,preview.mouth\n"
        "a,a.png,x.wav,off,,,\n"
        'b,a.png,x.wav,,true,colour,"310, 440, 120, 50"\n'
        "c,a.png,x.wav,auto,false,blur,310 440 120 50\n"
        "d,a.png,x.wav,,,,\n"
    )
    jobs = jobs_of(tmp_path, sheet, "rows.csv")
    mouth = Box(310, 440, 120, 50)
    assert [job.fit for job in jobs] == [
        Fit(OFF),
        Fit(AUTO, True, Pad.COLOUR),
        Fit(AUTO, False, Pad.BLUR),
        Fit(),
    ]
    assert [job.mouth for job in jobs] == [None, mouth, mouth, None]


def test_none_of_them_makes_another_id(tmp_path):
    row = "image: a.png, speech: {text: Hello, voice_id: v, voice_language: en}"
    plain = jobs_of(tmp_path, f"{HEAD}campaign: c\njobs:\n  - {{{row}}}\n")
    more = "fit: {pad: blur}, captions: srt, preview: {mouth: [1, 2, 3, 4]}"
    assert jobs_of(tmp_path, f"{HEAD}campaign: c\njobs:\n  - {{{row}, {more}}}\n")[0].external_task_id == (
        plain[0].external_task_id
    )
