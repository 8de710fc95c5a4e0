"""A rehearsal: every preview on a page beside its row, nothing spent, nothing real opened, written or called."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

SPOKEN = "speech: {text: Good morning to all of you, voice_id: oversea_male1, voice_language: en}"
ROW = "  - {external_task_id: ID, image: assets/portrait.png, " + SPOKEN + "}\n"
REAL = ("ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm", "ledger.sqlite3.rescue")


@pytest.fixture
def folder(cli, tmp_path: Path) -> Path:
    cli("init", ".")
    return tmp_path


def write(folder: Path, *rows: str, head: str = "service: kling\n") -> None:
    text = "version: 1\ncampaign: c\n" + head + "jobs:\n" + "".join(rows)
    (folder / "c.yaml").write_text(text, encoding="utf-8")


def row(key: str, extra: str = "", image: str = "assets/portrait.png") -> str:
    return (
        ROW.replace("ID", key)
        .replace("assets/portrait.png", image)
        .replace("}\n", f"{f', {extra}' if extra else ''}}}\n")
    )


class Page(HTMLParser):
    """What stands on a page: its elements, its addresses, its text, and the rows in their order."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.rows: list[tuple[str, str]] = []  # class and heading
        self.text = ""
        self._heading = False
        self.feed((folder / "index.html").read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.attributes |= found.keys()
        self.addresses += [value for name, value in found.items() if name in ("src", "href", "poster")]
        self.ids |= {found["id"]} if "id" in found else set()
        if tag == "article":
            self.rows.append((found["class"], ""))
        self._heading = (tag == "h2" and bool(self.rows)) or (self._heading and tag == "bdi")

    def handle_endtag(self, tag):
        self._heading = self._heading and tag != "h2"

    def handle_data(self, data):
        self.text += data
        if self._heading:
            self.rows[-1] = (self.rows[-1][0], self.rows[-1][1] + data)

    def prove_addresses(self) -> None:
        """Each leads to a row of the page, or to a file that lies beside it."""
        for one in self.addresses:
            there = one[1:] in self.ids if one.startswith("#") else (self.folder / unquote(one)).is_file()
            assert there, one


def page(folder: Path) -> Page:
    found = Page(folder / "out" / "c" / "rehearsal")
    found.prove_addresses()
    return found


def jobs(folder: Path) -> dict[str, dict]:
    report = json.loads((folder / "out" / "c" / "rehearsal" / "report.json").read_text(encoding="utf-8"))
    return {job["external_task_id"]: job for job in report["jobs"]}


def previews(folder: Path) -> dict[str, tuple[int, bytes]]:
    place = folder / "out" / "c" / "rehearsal"
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in place.rglob("*.mp4")}


def everything_real(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file that is not of the rehearsal's, as it is now."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "rehearsal" not in path.relative_to(folder).parts
    }


@contextmanager
def ear() -> Iterator[tuple[str, list[object]]]:
    """An address, and whoever knocked there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        heard: list[object] = []
        yield f"http://127.0.0.1:{server.getsockname()[1]}", heard
        server.setblocking(False)
        with suppress(BlockingIOError):
            heard.append(server.accept()[1])


def test_every_row_is_on_the_page_with_its_preview_or_its_reason(cli, folder):
    write(
        folder,
        row("one", "vars: {first_name: Ana}, tags: [vip]"),
        row("refused", "prompt: '[sandbox:refuse]'"),
        row("missing", image="assets/nowhere.png"),
        row("no-picture", image="campaign.yaml"),
        row("fails", "prompt: '[sandbox:fail]'"),
    )
    answer = cli("rehearse", "c.yaml", env={})
    assert answer.returncode == 3, answer.stderr
    assert "1 preview of 5 rows; 3 rows sent to the sandbox now. No unit was spent." in answer.stdout
    assert "2 can't be sent, 1 refused, 1 failed" in answer.stdout

    shown = page(folder)
    assert shown.rows == [
        ("there", "one"),
        ("refused", "refused"),
        ("unusable", "missing"),
        ("unusable", "no-picture"),
        ("failed", "fails"),
    ]
    for words in (
        "Refused (1301)",
        "nowhere.png",
        "c.yaml:7",
        "Can't be sent (1201)",
        "{first_name}",
        "Ana",
        "vip",
    ):
        assert words in shown.text
    assert "Good morning to all of you" in shown.text
    assert sum(one.startswith("posters/") for one in shown.addresses) == 1
    outcomes = {key: job["outcome"] for key, job in jobs(folder).items()}
    assert outcomes == {
        "one": "done",
        "refused": "rejected",
        "missing": "pending",
        "no-picture": "pending",
        "fails": "failed",
    }
    assert "1301" in jobs(folder)["refused"]["message"]
    assert "nowhere.png" in jobs(folder)["missing"]["message"]


def test_again_makes_only_what_changed(cli, folder):
    write(folder, row("one"), row("two"))
    assert cli("rehearse", "c.yaml").returncode == 0
    before = previews(folder)
    again = cli("rehearse", "c.yaml")
    assert again.returncode == 0
    assert "nothing was left to make" in again.stdout
    assert "sandbox (free)" not in again.stderr, "no sandbox was started"
    assert previews(folder) == before

    write(folder, row("one"), row("two", "prompt: Gently, mode: pro"))
    assert cli("rehearse", "c.yaml").returncode == 0
    after = previews(folder)
    assert after["one.mp4"] == before["one.mp4"]
    assert after["two.mp4"][1] != before["two.mp4"][1]
    assert {key: job["attempts"] for key, job in jobs(folder).items()} == {"one": 1, "two": 2}


def test_a_row_that_is_mended_is_made(cli, folder):
    write(folder, row("one", image="assets/nowhere.png"), row("two", "prompt: '[sandbox:refuse]'"))
    assert cli("rehearse", "c.yaml").returncode == 3
    write(folder, row("one"), row("two"))
    assert cli("rehearse", "c.yaml").returncode == 0
    assert [fate for fate, _ in page(folder).rows] == ["there", "there"]
    (folder / "assets" / "portrait.png").unlink()
    assert cli("rehearse", "c.yaml").returncode == 3, "the previews are of a picture that is gone"
    assert [fate for fate, _ in page(folder).rows] == ["unusable", "unusable"]
    assert jobs(folder)["one"]["changed"] == ["image"]


def test_nothing_real_is_touched(cli, folder):
    write(folder, row("one"), head="service: sandbox\n")
    assert cli("run", "c.yaml").returncode == 0
    before = everything_real(folder)
    assert any("one.mp4" in name for name in before)
    assert cli("rehearse", "c.yaml").returncode == 0
    assert everything_real(folder) == before
    write(folder, row("one", "prompt: Gently"), row("two"), head="service: sandbox\n")
    before = everything_real(folder)
    assert cli("rehearse", "c.yaml").returncode == 0
    assert everything_real(folder) == before
    assert "1 to send" in cli("plan", "c.yaml").stdout, "for the run, the rehearsal has made nothing"


def test_the_real_ledger_is_not_even_opened(cli, folder):
    write(folder, row("one"))
    (folder / ".manifest-runner").mkdir()
    for name in REAL:
        (folder / ".manifest-runner" / name).write_bytes(b"no ledger at all")
    before = everything_real(folder)
    assert cli("rehearse", "c.yaml").returncode == 0
    assert everything_real(folder) == before


def test_no_key_is_read_and_no_address_is_called(cli, folder):
    with ear() as (url, heard):
        keys = {"KLING_API_KEY": "canary-api-0123456789", "KLING_ACCESS_KEY": "canary-access-0123456789"}
        keys |= {"KLING_SECRET_KEY": "canary-secret-0123456789", "KLING_BASE_URL": url}
        (folder / ".env").write_text(f"KLING_BASE_URL={url}\nKLING_API_KEY=canary-other-0123456789\n")
        head = f"service: {{name: kling, base_url: '{url}'}}\n"
        write(folder, row("one", f"callback_url: '{url}/hook'"), head=head)
        answer = cli("rehearse", "c.yaml", "--service", "kling", "--base-url", url, env=keys)
        assert answer.returncode == 0, answer.stderr
        assert "1 row names a callback_url" in answer.stderr
        assert "--base-url is not used" in answer.stderr
    assert heard == []


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ("100", "The budget of 100 units would do"),
        ("2", "The budget of 2 units would stop the real run after about 1 of 2 videos"),
        ("1", "The budget of 1 units would stop the real run before the first of 2 videos"),
        (None, "No budget is set"),
    ],
)
def test_the_budget_stops_no_rehearsal_and_is_spoken_of(cli, folder, budget, says):
    head = "service: kling\n" + (f"budget_units: '{budget}'\n" if budget else "")
    write(folder, row("one"), row("two", "mode: std, prompt: Gently"), head=head)
    answer = cli("rehearse", "c.yaml")
    assert answer.returncode == 0
    assert says in answer.stdout
    assert "A real run that sends 2 rows, with none of them done yet, would cost " in answer.stdout
    assert "For the 2 previews the sandbox has deducted " in answer.stdout
    assert says in page(folder).text


def test_hostile_texts_are_only_text(cli, folder):
    evil = "</dd></article><script>alert(1)</script><img src=x onerror=alert(1)> \\u202E '\\\" {{ 7*7 }} javascript:x"
    name = "a #1 50% it's javascript;x ünï.mp4"
    rows = [
        f'  - external_task_id: one\n    image: assets/portrait.png\n    output: "{name}"\n    prompt: "{evil}"\n'
        f'    tags: ["<b>x</b>"]\n    vars: {{k: "{evil}"}}\n'
        f'    speech: {{text: "{evil}", voice_id: oversea_male1, voice_language: en}}\n'
    ]
    write(folder, *rows)
    assert cli("rehearse", "c.yaml").returncode == 0
    shown = page(folder)
    assert not shown.tags & {"script", "img", "iframe", "object", "link", "base", "b", "svg"} - {"b"}
    assert not any(name.startswith("on") for name in shown.attributes)
    assert "<script>alert(1)</script>" in shown.text and "⟨U+202E⟩" in shown.text
    assert not any(":" in one for one in shown.addresses)


def test_a_row_that_takes_the_place_of_another_does_not_stop_the_rehearsal(cli, folder):
    """Rows get other ids while a campaign is rehearsed; the real ledger has never heard of the earlier ones."""
    write(folder, row("one", "output: hello.mp4"))
    assert cli("rehearse", "c.yaml").returncode == 0
    for _ in range(2):
        write(folder, row("other", "output: hello.mp4, prompt: Gently"))
        assert cli("rehearse", "c.yaml").returncode == 0
        assert [name for _, name in page(folder).rows] == ["other"]
        assert jobs(folder)["other"]["file"] == "hello~2.mp4"
    write(folder, row("one", "output: hello.mp4"))
    again = cli("rehearse", "c.yaml")
    assert (again.returncode, "nothing was left to make" in again.stdout) == (0, True)


def test_without_its_sandbox_everything_is_made_anew(cli, folder):
    """Somebody made room on the disk: the ledger alone would ask for sounds that nobody has."""
    write(folder, row("one"))
    assert cli("rehearse", "c.yaml").returncode == 0
    (sandbox,) = (folder / ".manifest-runner" / "rehearsal").glob("sandbox-*")
    shutil.rmtree(sandbox)
    write(folder, row("one"), row("two", "prompt: Gently"))
    answer = cli("rehearse", "c.yaml")
    assert answer.returncode == 0, answer.stdout
    assert "made anew" in answer.stderr
    assert "2 rows sent to the sandbox now" in answer.stdout
    assert not list((folder / "out").rglob("*.kept-*.mp4")), "the same previews, made once more"


def test_the_ledger_of_the_lost_sandbox_is_kept(cli, folder):
    write(folder, row("one"))
    assert cli("rehearse", "c.yaml").returncode == 0
    place = folder / ".manifest-runner" / "rehearsal"
    shutil.rmtree(*place.glob("sandbox-*"))
    assert cli("rehearse", "c.yaml").returncode == 0
    with closing(sqlite3.connect(place / "ledger.kept-1.sqlite3")) as kept:
        assert kept.execute("SELECT count(*) FROM attempts").fetchone() == (1,)


def test_a_ledger_that_says_not_whose_it_is_is_left_alone(cli, folder):
    write(folder, row("one"))
    assert cli("rehearse", "c.yaml", "--ledger", "own.sqlite3").returncode == 0
    with closing(sqlite3.connect(folder / "own.sqlite3")) as ledger:
        ledger.execute("DELETE FROM meta WHERE key = 'account'")
        ledger.commit()
    shutil.rmtree(*folder.glob("sandbox-*"))
    answer = cli("rehearse", "c.yaml", "--ledger", "own.sqlite3")
    assert answer.returncode == 2
    assert "does not say whose" in answer.stderr
    with closing(sqlite3.connect(folder / "own.sqlite3")) as ledger:
        assert ledger.execute("SELECT count(*) FROM attempts").fetchone() == (1,)


def test_a_persons_own_page_is_kept_aside(cli, folder):
    write(folder, row("one"))
    own = folder / "out/c/rehearsal/index.html"
    own.parent.mkdir(parents=True)
    own.write_text("<title>mine</title>")
    for _ in range(2):
        assert cli("rehearse", "c.yaml").returncode == 0
    assert [path.read_text() for path in own.parent.glob("*.kept-*")] == ["<title>mine</title>"]
    page(folder)


def test_a_planted_ledger_links_no_page_as_captions(cli, folder):
    write(folder, row("one"))
    assert cli("rehearse", "c.yaml").returncode == 0
    (folder / "out/c/rehearsal/evil.html").write_text("<script>alert(1)</script>")
    with closing(sqlite3.connect(folder / ".manifest-runner/rehearsal/ledger.sqlite3")) as ledger:
        ledger.execute("UPDATE jobs SET captions_file = 'evil.html', watermark_file = 'evil.html'")
        ledger.commit()
    cli("rehearse", "c.yaml")
    assert not any("evil" in one for one in page(folder).addresses)


def test_no_signature_or_password_of_a_url_is_written_into_files(cli, folder):
    urls = (
        "https://ana:hush@example.net/a.png?sig=hush",
        "https://example.net:port/a.png?sig=hush",
        "https://ana:hu/sh@example.net/a.png#hush",
    )
    write(folder, *(row(f"row-{number}", image=f"'{url}'") for number, url in enumerate(urls)))
    assert cli("rehearse", "c.yaml").returncode == 3
    for name in ("index.html", "problems.csv", "report.json", "report.csv"):
        text = (folder / "out/c/rehearsal" / name).read_text(encoding="utf-8")
        assert "hush" not in text, name
        assert "hu/sh" not in text, name
        assert name.startswith("report") or "example.net" in text


def test_a_ledger_of_runs_is_not_rehearsed_with(cli, folder):
    write(folder, row("one"), head="service: sandbox\n")
    assert cli("run", "c.yaml").returncode == 0
    before = everything_real(folder)
    answer = cli("rehearse", "c.yaml", "--ledger", ".manifest-runner/ledger.sqlite3")
    assert answer.returncode == 2
    assert "that of the real runs" in answer.stderr
    assert everything_real(folder) == before
    other = folder / "other.sqlite3"
    (folder / ".manifest-runner" / "ledger.sqlite3").rename(other)
    whole = other.read_bytes()
    answer = cli("rehearse", "c.yaml", "--ledger", "other.sqlite3")
    assert answer.returncode == 2
    assert "not of rehearsals" in answer.stderr
    assert other.read_bytes() == whole
    assert cli("rehearse", "c.yaml", "--ledger", "own.sqlite3", "--out", "o").returncode == 0
    assert (folder / "o" / "rehearsal" / "index.html").is_file()
    answer = cli("run", "c.yaml", "--ledger", "own.sqlite3")
    assert answer.returncode == 2, "nor is a run with one of rehearsals"


@pytest.mark.parametrize(
    "link", ["out/first-campaign/rehearsal", ".manifest-runner/rehearsal", "out", ".manifest-runner"]
)
def test_links_lead_a_rehearsal_nowhere_else(cli, tmp_path, link):
    cli("init", "campaign")
    victim = tmp_path / "victim"
    victim.mkdir()
    place = tmp_path / "campaign" / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(victim)
    answer = cli("rehearse", "campaign/campaign.yaml")
    assert answer.returncode == 2
    assert "outside" in answer.stderr
    assert list(victim.iterdir()) == []


@pytest.mark.parametrize(
    ("link", "to"),
    [("out/c/rehearsal", "."), ("out/c/rehearsal", "../../assets"), (".manifest-runner/rehearsal", ".")],
)
def test_links_inside_lead_no_preview_onto_a_real_video(cli, folder, link, to):
    write(folder, row("one"), head="service: sandbox\n")
    assert cli("run", "c.yaml").returncode == 0
    place = folder / link
    place.symlink_to(to)
    before = everything_real(folder)
    answer = cli("rehearse", "c.yaml")
    assert answer.returncode == 2
    assert f"{place.name}" in answer.stderr and " leads to " in answer.stderr
    assert everything_real(folder) == before


def test_a_video_that_belongs_into_the_rehearsals_folder_is_refused(cli, folder):
    write(folder, row("one", "output: Rehearsal/one.mp4"))
    answer = cli("rehearse", "c.yaml")
    assert answer.returncode == 2
    assert "c.yaml:5" in answer.stderr
    assert not (folder / "out").exists()


def test_a_manifest_that_is_wrong_is_refused_as_always(cli, folder):
    write(folder, row("one").replace("image", "imaeg"))
    answer = cli("rehearse", "c.yaml")
    assert answer.returncode == 2
    assert "did you mean" in answer.stderr


def test_json_is_all_that_is_on_standard_output(cli, folder):
    write(folder, row("one"))
    answer = cli("rehearse", "c.yaml", "--json")
    assert json.loads(answer.stdout)["totals"]["by_outcome"] == {"done": 1}
    assert "index.html" in answer.stderr


def test_interrupted_it_goes_on_where_it_was(cli, folder):
    prompts = {f"row-{number}": f"p{number}" for number in range(6)}
    write(folder, *(row(key, f"prompt: {prompt}, mode: pro") for key, prompt in prompts.items()))
    command = [sys.executable, "-m", "manifest_runner.cli", "rehearse", "c.yaml", "--concurrency", "2"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    ) as run:
        until = time.monotonic() + 60
        while len(previews(folder)) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    before = previews(folder)
    assert 2 <= len(before) < 6
    assert {fate for fate, _ in page(folder).rows} == {"there", "waiting"}

    under_way = [key for key, job in jobs(folder).items() if job["outcome"] == "running"]
    prompts.update(dict.fromkeys(under_way, "edited"))
    write(folder, *(row(key, f"prompt: {prompt}, mode: pro") for key, prompt in prompts.items()))
    assert cli("rehearse", "c.yaml").returncode == 0, "what was under way is made once more as it is now"
    after = previews(folder)
    assert {f"{key}.mp4" for key in prompts} <= after.keys()
    assert all(after[name][1] == content for name, (_, content) in before.items())
    assert {key: job["attempts"] for key, job in jobs(folder).items()} == {
        key: 2 if key in under_way else 1 for key in prompts
    }


def test_a_mouth_that_is_pointed_at_makes_the_preview_anew(cli, folder):
    write(folder, row("a"))
    assert cli("rehearse", "c.yaml").returncode == 0
    before = previews(folder)["a.mp4"]
    write(folder, row("a", "preview: {mouth: [300, 440, 130, 60]}"))
    again = cli("rehearse", "c.yaml")
    assert again.returncode == 0, again.stderr
    assert previews(folder)["a.mp4"][1] != before[1]
    assert "1 row sent to the sandbox now" in again.stdout
