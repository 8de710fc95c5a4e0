"""The page of a rehearsal: what a row says stays text, and every address on it leads to a file beside it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import av
import numpy as np
import pytest
from PIL import Image

from manifest_runner.errors import MediaError, NeedsPerson
from manifest_runner.ledger import JobRecord, enrolment, open_ledger, queries
from manifest_runner.models import Job, JobState, Location, Mode, Problem, Speech, utc_now
from manifest_runner.report import posters
from manifest_runner.report.cards import Card, Fate, Material, address, card_of, place_of
from manifest_runner.report.page import Page, counts, groups, visible, write_page
from manifest_runner.report.posters import make_posters

HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</style></title></textarea><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &#x3c;script&#x3e;",
    "right \u202eto left\u202c, \u2066isolated\u2069",
    "bell \x07, NUL \x00, escape \x1b[31m, return \r, half \ud800",
    "<!-- --> ]]> <![CDATA[",
    "w" * 5000,
)
VOID = {"meta", "input", "img", "br", "hr", "link", "source"}


class Outline(HTMLParser):
    """What a browser would see: elements with their attributes, and the text; nesting must come out even."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        pytest.fail("data made a comment")

    def attributes(self, *names: str) -> list[str]:
        return [value or "" for _, found in self.elements for name, value in found.items() if name in names]

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(found)) for tag, found in self.elements]


def job(key: str, text: str = "plain", **fields: object) -> Job:
    given = {
        "image": "a.png",
        "output": f"{key}.mp4",
        "prompt": text,
        "speech": Speech(text=text, voice_id=text, voice_language="en"),
        "vars": {"name": text},
        "tags": (text,),
        "location": Location(file="c.yaml", line=7),
    }
    return Job(external_task_id=key, **{**given, **fields})


def record(key: str, state: JobState = JobState.DONE, **fields: object) -> JobRecord:
    given = {
        "campaign": "c",
        "position": 0,
        "mode": Mode.STD,
        "watermark": False,
        "output": f"{key}.mp4",
        "tags": (),
        "vars": {},
        "units_estimated": None,
        "queued_at": utc_now(),
        "why": None,
        "file": f"{key}.mp4" if state is JobState.DONE else None,
        "watermark_file": None,
        "sha256": None,
        "bytes": None,
        "fetched_at": None,
        "listed": True,
        "line": 7,
        "changed": (),
    }
    return JobRecord(external_task_id=key, state=state, **{**given, **fields})


def cards(folder: Path, text: str) -> list[Card]:
    """A row of every fate, with `text` wherever a person or a service can put one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("one.mp4", "two.mp4"):
        (folder / name).write_bytes(b"video")
    material = Material(
        image=text, sound=text, units_estimated="2 to 3", fitting={"image": text}, output=text, notes=[text]
    )
    problem = Problem(location=Location(file=text, line=3), what=text, mend=text, kind=text)
    rows = [
        (record("one"), material),
        (record("two", changed=("prompt", text)), material),
        (record("three", JobState.REJECTED, why=text), material),
        (record("four", JobState.FAILED, why=text), material),
        (record("five", JobState.PENDING, why=text), material),
        (None, Material(image=text, problems=[problem], code=1201)),
    ]
    return [
        card_of(number, job(f"j{number}", text), known, given, folder=folder, posters={})
        for number, (known, given) in enumerate(rows, start=1)
    ]


def written(folder: Path, text: str) -> str:
    page = Page(
        campaign=text, manifest=text, made_at="now", costs=[text], notices=[text], cards=cards(folder, text)
    )
    return write_page(page, folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_adds_an_element_an_attribute_or_an_address(tmp_path, text):
    plain, hostile = (
        Outline(written(tmp_path / "plain", "plain")),
        Outline(written(tmp_path / "hostile", text)),
    )
    assert hostile.shape == plain.shape
    names = ("src", "href", "poster", "id", "class", "style", "content")
    assert hostile.attributes(*names) == plain.attributes(*names)
    assert not any(tag == "script" or name.startswith("on") for tag, found in hostile.shape for name in found)


def test_what_hides_or_steers_is_shown_by_its_number(tmp_path):
    text = written(tmp_path, "a\u202eb\x00c\x1bd\ud800e\nf")
    assert "a⟨U+202E⟩b⟨U+0000⟩c⟨U+001B⟩d⟨U+D800⟩e\nf" in text
    assert visible("שלום, 한국어 👩‍🚀 é") == "שלום, 한국어 👩‍🚀 é", "text of people stays"


def test_everything_of_a_row_is_there(tmp_path):
    shown = Outline(written(tmp_path, "Grüße, 'Ana' & \"Ben\"")).text
    assert shown.count("Grüße, 'Ana' & \"Ben\"") > 50
    for words in (
        "c.yaml:7",
        "Refused",
        "Failed",
        "Can't be sent (1201)",
        "Not made yet",
        "2 to 3",
        "{name}",
    ):
        assert words in shown


def test_its_policy_lets_nothing_in_but_its_own_style(tmp_path):
    html = written(tmp_path, "x")
    (policy,) = re.findall(r'Content-Security-Policy"\s+content="([^"]*)"', html)
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src &#39;sha256-{digest}&#39;" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in html.replace("http-equiv", "").replace("https", "http")
    assert "url(" not in style and "@import" not in style


@pytest.mark.parametrize(
    "name",
    [
        "plain.mp4",
        "a b #1 100% ?x=y&z;.mp4",
        "ünï 한국.mp4",
        'it\'s "q" <b>.mp4',
        "sub/javascript:alert(1).mp4",
        "+.mp4",
    ],
)
def test_addresses_lead_to_their_files_whatever_they_are_called(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"video")
    (tmp_path / f"{name}.jpg").write_bytes(b"picture")
    card = card_of(
        1,
        job("one"),
        record("one", file=name, sha256="a"),
        Material(image="i"),
        folder=tmp_path,
        posters={"a": f"{name}.jpg"},
    )
    html = write_page(
        Page(campaign="c", manifest="m", made_at="now", costs=[], notices=[], cards=[card]), tmp_path
    ).read_text(encoding="utf-8")
    found = [one for one in Outline(html).attributes("src", "href", "poster") if not one.startswith("#")]
    assert len(found) == 3
    for one in found:
        assert (tmp_path / unquote(one)).is_file()
        assert not re.search(r"[^A-Za-z0-9_.~/%-]", one), "no scheme, query or fragment"


def test_a_ledger_leads_to_no_file_elsewhere(tmp_path):
    folder = tmp_path / "rehearsal"
    folder.mkdir()
    (tmp_path / "outside.mp4").write_bytes(b"secret")
    (folder / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    for file in (
        "../outside.mp4",
        str(tmp_path / "outside.mp4"),
        "link.mp4",
        "loop.mp4",
        "nul\0.mp4",
        "",
        "no.mp4",
    ):
        assert place_of(file, folder) is None
        assert address(file, folder, ".mp4") is None
    lost = card_of(1, job("one"), record("one"), Material(image="i"), folder=folder, posters={})
    assert (lost.fate, lost.video) == (Fate.WAITING, None)


def test_only_what_is_what_its_link_says_is_linked(tmp_path):
    for name in ("one.mp4", "evil.html", "evil.svg", "evil.mp4.html", "one.srt"):
        (tmp_path / name).write_bytes(b"<script>")

    def links(**files: str) -> tuple[str | None, ...]:
        card = card_of(
            1, job("one"), record("one", **files), Material(image="i"), folder=tmp_path, posters={}
        )
        return card.video, card.watermark, card.captions

    assert links(watermark_file="evil.html", captions_file="evil.svg") == ("one.mp4", None, None)
    assert links(watermark_file="one.srt", captions_file="one.mp4") == ("one.mp4", None, None)
    assert links(watermark_file="one.mp4", captions_file="one.srt") == ("one.mp4", "one.mp4", "one.srt")
    assert links(file="evil.mp4.html") == (None, None, None)


def test_a_page_of_somebody_else_is_kept_aside(tmp_path):
    written(tmp_path, "ours")
    second = written(tmp_path, "ours again")
    assert not list(tmp_path.glob("*.kept-*"))
    (tmp_path / "index.html").write_text("mine")
    assert written(tmp_path, "ours again") == second
    assert (tmp_path / "index.kept-1.html").read_text() == "mine"
    (tmp_path / "index.html").unlink()
    (tmp_path / "index.html").mkdir()
    with pytest.raises(NeedsPerson, match="a folder has its name"):
        written(tmp_path, "x")


def test_rows_with_the_same_reason_are_told_together(tmp_path):
    why = [("too dark", 3), ("too loud", 1)]
    rows = [
        card_of(
            number,
            job(f"j{number}"),
            record("x", JobState.REJECTED, why=text),
            Material(image="i"),
            folder=tmp_path,
            posters={},
        )
        for number, text in enumerate((text for text, times in why for _ in range(times)), start=1)
    ]
    assert [(group.reason, group.cards) for group in groups(rows)] == why
    assert counts(rows) == [(Fate.REFUSED, "refused", 4)]


def test_problems_of_a_kind_are_told_together(tmp_path):
    rows = [
        card_of(
            number,
            job(f"j{number}"),
            None,
            Material(
                image="i",
                problems=[Problem(location=Location(file="c"), what=f"{number}.png is 9 px", kind="small")],
            ),
            folder=tmp_path,
            posters={},
        )
        for number in range(1, 60)
    ]
    (group,) = groups(rows)
    assert (group.cards, len(group.shown), group.reason) == (59, 30, "small. The first: 1.png is 9 px")


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    before = written(tmp_path, "before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(NeedsPerson, match="No space left"):
        written(tmp_path, "after")
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == before
    assert not list(tmp_path.glob(".*.part"))


def test_a_real_record_makes_a_card(tmp_path):
    """The fields of the ledger's own records, not of those above."""
    with open_ledger(tmp_path / "ledger.sqlite3", account="rehearsal") as ledger:
        row = job("one")
        ledger.write_now(
            enrolment.enrol, "c", [enrolment.Enrolment(job=row, position=0, units_estimated=None)]
        )
        known = ledger.read(queries.job, "one")
    card = card_of(1, row, known, Material(image="i"), folder=tmp_path, posters={})
    assert (card.fate, card.text, card.place) == (Fate.WAITING, "plain", "c.yaml:7")


def test_posters_are_made_once_and_tidied(tmp_path):
    video = tmp_path / "one.mp4"
    film(video)
    (tmp_path / "text.mp4").write_bytes(b"no video")
    names = {"a" * 64: video, "b" * 64: tmp_path / "text.mp4", "../../x": video}
    found = make_posters(names, tmp_path)
    assert found == {"a" * 64: f"posters/{'a' * 32}.jpg"}
    poster = tmp_path / found["a" * 64]
    with Image.open(poster) as picture:
        assert (picture.format, picture.size) == ("JPEG", (640, 320))
        assert picture.getpixel((320, 160))[0] > 200, "of a third into it, where it is red"
    before = poster.stat().st_mtime_ns
    (tmp_path / "posters" / "mine.jpg").write_bytes(b"mine")
    assert make_posters(names, tmp_path) == found
    assert poster.stat().st_mtime_ns == before
    assert make_posters({}, tmp_path) == {}
    assert [path.name for path in (tmp_path / "posters").iterdir()] == ["mine.jpg"]


def test_a_video_that_had_better_not_be_opened_has_no_poster(tmp_path):
    video = tmp_path / "one.mp4"
    film(video)

    def check(path: Path) -> None:
        assert path == video
        raise MediaError("It claims too much.")

    assert make_posters({"a" * 64: video}, tmp_path, check=check) == {}
    assert make_posters({"a" * 64: tmp_path / "gone.mp4"}, tmp_path, check=Path.stat) == {}
    assert make_posters({"a" * 64: video}, tmp_path, check=Path.stat) != {}


def test_frames_that_are_too_large_are_not_decoded(tmp_path, monkeypatch):
    video = tmp_path / "one.mp4"
    film(video)
    monkeypatch.setattr(posters, "_MOST_PIXELS", 1280 * 640 - 1)
    assert make_posters({"a" * 64: video}, tmp_path) == {}


@pytest.mark.parametrize(
    ("limit", "value", "brightness"),
    [("_SECONDS", 60.0, 100), ("_SECONDS", -1.0, 0), ("_MOST_PACKETS", 4, 30)],
    ids=["no limit", "time", "packets"],
)
def test_a_poster_is_of_what_is_found_in_reasonable_time(limit, value, brightness, tmp_path, monkeypatch):
    video = tmp_path / "one.mp4"
    film(video, brightening=True)
    monkeypatch.setattr(posters, limit, value)
    [found] = make_posters({"a" * 64: video}, tmp_path).values()
    with Image.open(tmp_path / found) as picture:
        assert abs(picture.getpixel((320, 160))[0] - brightness) < 12


def test_a_codec_of_still_pictures_is_not_decoded(tmp_path):
    video = tmp_path / "one.mp4"
    with av.open(str(video), "w", format="mov") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgb24"
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert make_posters({"a" * 64: video}, tmp_path) == {}


def test_posters_do_not_follow_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "posters").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NeedsPerson, match="link"):
        make_posters({}, tmp_path / "out")


def film(path: Path, *, brightening: bool = False) -> None:
    """Three seconds: black, red, black; or brightening from one only key frame on."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 1280, 640, "yuv420p"
        if brightening:
            stream.codec_context.gop_size = 100
            stream.options = {"sc_threshold": "1000000000"}
        for number in range(30):
            picture = np.zeros((640, 1280, 3), np.uint8)
            picture[..., 0] = 255 * (10 <= number < 20)
            if brightening:
                picture[:] = 10 * min(number, 10)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
