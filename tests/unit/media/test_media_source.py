from __future__ import annotations

import base64
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from media_kit import picture

from manifest_runner.errors import MediaError
from manifest_runner.media import Base64Source, FileSource, UrlSource, parse_reference
from manifest_runner.media.opening import opened, sha256_of


def read(source: FileSource | Base64Source, folder: Path, max_bytes: int = 10**9) -> bytes:
    with opened(source, folder, max_bytes) as file:
        return file.read()


LONG = base64.b64encode(picture()).decode()
NOBODY = 65_534
LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="2026-11-24: looks at /proc, which Linux alone has"
)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("a.png", FileSource("a.png")),
        ("  a.png \n", FileSource("a.png")),
        ("assets/with space.png", FileSource("assets/with space.png")),
        ("/absolute/a.png", FileSource("/absolute/a.png")),
        ("../a.png", FileSource("../a.png")),
        ("Ünïcode/画像.png", FileSource("Ünïcode/画像.png")),
        ("C:\\pictures\\a.png", FileSource("C:\\pictures\\a.png")),
        ("A" * 99, FileSource("A" * 99)),
        ("A" * 100, Base64Source("A" * 100)),
        ("A" * 101, FileSource("A" * 101)),  # no whole groups of four
        ("A" * 96 + ".png", FileSource("A" * 96 + ".png")),
        ("A" * 96 + "-__-", FileSource("A" * 96 + "-__-")),  # the URL-safe alphabet is not the service's
        ("./" + "A" * 102, FileSource("./" + "A" * 102)),
        ("A/" * 50, Base64Source("A/" * 50)),
        ("A" * 98 + "==", Base64Source("A" * 98 + "==")),
        ("A" * 97 + "===", FileSource("A" * 97 + "===")),
        ("A" * 60 + "\n" + "A" * 60 + "\n", Base64Source("A" * 120)),
        ("A" * 98 + "\n\n", FileSource("A" * 98)),
        ("https://example.com/a.png", UrlSource("https://example.com/a.png")),
        ("HTTP://example.com:8080/a?b=c#d", UrlSource("HTTP://example.com:8080/a?b=c#d")),
        ("https://example.com/" + "a" * 2028, UrlSource("https://example.com/" + "a" * 2028)),
    ],
)
def test_what_a_reference_means_is_decided_by_its_text(text, source):
    assert parse_reference(text) == source


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"),
        (" \t\n", "is empty"),
        ("file:///etc/passwd", "'file:' is nothing"),
        ("FILE:/etc/passwd", "'file:' is nothing"),
        ("ftp://example.com/a.png", "'ftp:' is nothing"),
        ("s3://bucket/a.png", "'s3:' is nothing"),
        ("blob:https://example.com/1", "'blob:' is nothing"),
        (f"data:image/png;base64,{LONG}", "without a 'data:' prefix"),
        ("https://user:pass-word@example.com/a.png", "user name or a password"),
        ("https://token@example.com/a.png", "user name or a password"),
        ("https://@example.com/a.png", "user name or a password"),
        ("https:///a.png", "names no host"),
        ("https:a.png", "names no host"),
        ("http://", "names no host"),
        ("https://[::1/a.png", "malformed"),
        ("https://example.com:99999/a", "malformed"),
        ("https://example.com:port/a", "malformed"),
        ("https://example.com/a b.png", "holds ' '"),
        ("https://example.com/ä.png", "holds 'ä'"),
        ("https://example.com/a\r\nX-Evil: 1", "holds '\\r'"),
        ("https://example.com\\@evil.example", "holds"),
        ("https://example.com/" + "a" * 2029, "has 2049 characters"),
        ("a\0.png", r"holds the character '\x00'"),
        ("a\x1b[2J.png", r"holds the character '\x1b'"),
        ("a\ud800.png", r"holds the character '\ud800'"),
    ],
)
def test_what_can_be_no_reference_is_refused_with_a_way_out(text, what):
    with pytest.raises(MediaError) as caught:
        parse_reference(text)
    assert what in caught.value.what
    assert caught.value.mend
    assert "pass-word" not in str(caught.value)


def test_no_secret_of_a_url_and_no_megabyte_of_base64_gets_into_a_message():
    url = parse_reference("https://example.com/a.png?X-Signature=hush")
    assert isinstance(url, UrlSource)
    assert url.label == "'https://example.com/a.png'"
    assert "hush" not in repr(url)
    text = Base64Source(LONG)
    assert text.label == f"the Base64 text ({len(LONG)} characters)"
    assert LONG[:40] not in repr(text)
    assert len(FileSource("x" * 5000).label) < 100


def refusal(source: FileSource | Base64Source, folder: Path, **options: int) -> MediaError:
    with pytest.raises(MediaError) as caught:
        read(source, folder, **options)
    return caught.value


def test_paths_are_relative_to_the_manifest(tmp_path: Path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "a.bin").write_bytes(b"inside")
    assert read(FileSource("assets/a.bin"), tmp_path) == b"inside"
    assert read(FileSource(str(tmp_path / "assets/a.bin")), Path("/nowhere")) == b"inside"


def test_a_file_may_have_just_as_many_bytes_as_are_read(tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(b"x" * 1000)
    assert len(read(FileSource("a.bin"), tmp_path, 1000)) == 1000
    assert (
        "too large: 1000 bytes, where 999 bytes" in refusal(FileSource("a.bin"), tmp_path, max_bytes=999).what
    )


def test_a_huge_file_is_refused_by_its_size_alone(tmp_path: Path):
    with (tmp_path / "huge.wav").open("wb") as file:
        file.truncate(50 * 10**9)  # sparse: takes no room
    error = refusal(FileSource("huge.wav"), tmp_path)
    assert "50000.0 MB" in error.what
    assert "5 MB" in error.mend


@LINUX
@pytest.mark.parametrize("name", ["/proc/self/status", "/proc/self/mem", "/proc/self/maps"])
def test_what_the_kernel_makes_up_while_it_is_read_counts_as_empty(name):
    assert read(FileSource(name), Path()) == b""


def test_a_file_that_grows_while_it_is_read_is_bounded_too(tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(b"x" * 20)
    with opened(FileSource("a.bin"), tmp_path) as file, pytest.raises(MediaError, match="too large"):
        sha256_of(file, 10, label="'a.bin'")


@pytest.mark.parametrize("size", [75, 76, 77])
def test_base64_may_have_just_as_many_bytes_as_are_read(size, tmp_path):
    data = bytes(range(size))
    source = parse_reference(base64.b64encode(data).decode())
    assert isinstance(source, Base64Source)
    assert read(source, tmp_path, size) == data
    for least in (size - 1, size - 5):
        assert "too large" in refusal(source, tmp_path, max_bytes=least).what


def test_base64_that_is_none_after_all(tmp_path: Path):
    assert "can't be decoded" in refusal(Base64Source("A" * 97), tmp_path).what


def test_a_missing_file_is_named_with_the_name_that_was_perhaps_meant(tmp_path: Path):
    (tmp_path / "Portrait.PNG").write_bytes(b"")
    (tmp_path / "voice.wav").write_bytes(b"")
    assert refusal(FileSource("portrait.png"), tmp_path).mend == "Did you mean 'Portrait.PNG'?"
    assert refusal(FileSource("voice.mp3"), tmp_path).mend == "Did you mean 'voice.wav'?"
    other = refusal(FileSource("other.png"), tmp_path)
    assert other.what == "There is no file 'other.png'."
    assert "relative to the manifest" in other.mend
    assert "does not exist" in refusal(FileSource("asets/a.png"), tmp_path).mend
    assert "There is no file" in refusal(FileSource("voice.wav/a.png"), tmp_path).what


def test_a_file_that_lies_in_a_folder_beside_the_manifest_is_found_there(tmp_path: Path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "presenter.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    assert refusal(FileSource("presenter.png"), tmp_path).mend == "Did you mean 'assets/presenter.png'?"
    assert refusal(FileSource("asets/presenter.png"), tmp_path).mend == "Did you mean 'assets/presenter.png'?"
    assert (
        refusal(FileSource("assets/Presenter.PNG"), tmp_path).mend == "Did you mean 'assets/presenter.png'?"
    )
    other = refusal(FileSource("nobody.png"), tmp_path).mend
    assert other == "Put it beside the manifest, or mend the path; paths are relative to the manifest."
    assert refusal(FileSource("assets/nobody.png"), tmp_path).mend.startswith("Put it into '")


def test_a_path_with_backslashes_is_told_to_have_slashes(tmp_path: Path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "x.png").write_bytes(b"")
    assert refusal(FileSource("assets\\x.png"), tmp_path).mend == "Did you mean 'assets/x.png'?"
    assert refusal(FileSource("assets\\X.jpg"), tmp_path).mend == "Did you mean 'assets/x.png'?"
    assert refusal(FileSource("C:\\files\\y.png"), tmp_path).mend.startswith("Write / between folders")


def test_a_near_name_is_looked_for_with_impossible_names_too(tmp_path: Path):
    (tmp_path / "assets").mkdir()
    assert "does not exist" in refusal(FileSource("nowhere/" + "x" * 300), tmp_path).mend


SIGNS = "\u202egnp.\u200b\u2066"


@pytest.mark.parametrize(
    "hostile", ["pic.\x1b]0;pwned\x07x", "pic.\u202egnp\u200b", "pic.a\nError: your key leaked"]
)
def test_no_file_name_in_a_message_is_more_than_text(tmp_path: Path, hostile: str):
    (tmp_path / hostile).write_bytes(b"")
    (tmp_path / "with").mkdir()
    error = refusal(FileSource("pic.png"), tmp_path)
    assert error.mend.startswith("Did you mean 'pic.")
    assert str(error).isprintable()


def test_no_path_in_a_message_is_more_than_text(tmp_path: Path):
    for path in (f"{SIGNS}.png", f"{SIGNS}/a.png", f"a\\{SIGNS}", SIGNS * 2000):
        assert str(refusal(FileSource(path), tmp_path)).isprintable()


@pytest.mark.parametrize(
    ("path", "outside"),
    [
        ("a.png", False),
        ("assets/a.png", False),
        ("assets/../a.png", False),
        ("../campaign/a.png", False),
        ("..", True),
        ("../a.png", True),
        ("assets/../../a.png", True),
        ("/etc/passwd", True),
        ("link/a.png", True),
        ("loop", False),
    ],
)
def test_whether_a_path_leads_out_of_the_manifests_folder(tmp_path: Path, path: str, outside: bool):
    folder = tmp_path / "campaign"
    (folder / "assets").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)
    assert FileSource(path).outside(folder) is outside
    assert FileSource(str(folder / "a.png")).outside(folder) is False


def test_a_circle_of_links_is_taken_to_lead_out(tmp_path: Path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert FileSource("a/x.png").outside(tmp_path) is True


def test_a_folder_is_no_file(tmp_path: Path):
    (tmp_path / "assets").mkdir()
    assert refusal(FileSource("assets"), tmp_path).what == "'assets' is a folder."


@pytest.mark.parametrize("through_link", [False, True])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, through_link):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "link.wav").symlink_to("pipe.wav")
    name = "link.wav" if through_link else "pipe.wav"
    assert "a pipe or a device" in refusal(FileSource(name), tmp_path).what


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(path):
    assert "a pipe or a device" in refusal(FileSource(path), Path()).what


def test_a_circle_of_links_is_said_in_words(tmp_path: Path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert "can't be read: Too many levels of symbolic links" in refusal(FileSource("a"), tmp_path).what


def test_nearly_base64_is_no_path_either(tmp_path: Path):
    source = parse_reference(LONG[:-1] + "!")
    assert isinstance(source, FileSource)
    error = refusal(FileSource("x" * 5000), tmp_path)
    assert "too long for a path, and is no valid Base64" in error.what


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may read everything, so whoever runs the tests as root is nobody for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_names_the_command_that_allows_it():
    with tempfile.TemporaryDirectory() as name:  # tmp_path lies in folders that nobody else may enter
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "a.png").write_bytes(b"x")
        (folder / "a.png").chmod(0)
        with without_privileges():
            error = refusal(FileSource("a.png"), folder)
        assert error.what == "'a.png' may not be read."
        assert f"chmod u+r '{folder / 'a.png'}'" in error.mend


def test_a_folder_that_may_be_entered_and_not_listed():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o311)
        try:
            with without_privileges():
                error = refusal(FileSource("a.png"), folder)
        finally:
            folder.chmod(0o755)
        assert error.what == "There is no file 'a.png'."
        assert error.mend.startswith("Put it beside the manifest, or mend the path")
