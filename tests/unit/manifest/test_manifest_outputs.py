"""Output paths: names that every file system can hold, and no two jobs onto one file."""

import unicodedata

import pytest

from manifest_runner.manifest.outputs import Clash, clashes, path_fault


@pytest.mark.parametrize(
    "path",
    [
        "a.mp4",
        "de/ana.mp4",
        "a b/c d.mp4",
        ".hidden/x.mp4",
        "console.mp4",
        "Zoë/München.mp4",
        "a..b.mp4",
        "…/x.mp4",
        "posters.mp4",
        "de/posters/x.mp4",
    ],
)
def test_good_paths(path: str) -> None:
    assert path_fault(path) is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../a.mp4", "`..` would lead elsewhere"),
        ("a/../b.mp4", "`..` would lead elsewhere"),
        ("./a.mp4", "`.` would lead elsewhere"),
        ("a//b.mp4", "a name between two slashes is missing"),
        ("/a.mp4", "a name between two slashes is missing"),
        ("con.mp4", "keeps for a device"),
        ("NUL.mp4", "keeps for a device"),
        ("Com1.tar.mp4", "keeps for a device"),
        ("lpt9/a.mp4", "keeps for a device"),
        ("COM¹.mp4", "keeps for a device"),
        ("aux .mp4", "keeps for a device"),
        ("folder./a.mp4", "ends with a dot"),
        ("folder /a.mp4", "ends with a dot"),
        (" a.mp4", "begins or ends with a blank"),
        ("é" * 101 + ".mp4", "more than 200 bytes"),
        ("report.json/a.mp4", "`report.json` is the name of one of our own files"),
        ("REPORT.CSV/a.mp4", "one of our own files"),
        ("problems.csv/a/b.mp4", "one of our own files"),
        ("index.html/a.mp4", "one of our own files"),
        ("Posters/a.mp4", "one of our own files"),
    ],
)
def test_bad_paths(path: str, said: str) -> None:
    fault = path_fault(path)
    assert fault is not None
    assert said in fault[0]
    assert fault[1].endswith(".")


def test_two_hundred_bytes_are_allowed() -> None:
    assert path_fault("x" * 196 + ".mp4") is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.mp4", "a.mp4"),
        ("a.mp4", "A.mp4"),
        ("é.mp4", unicodedata.normalize("NFD", "é.mp4")),
        ("É.mp4", unicodedata.normalize("NFD", "é.mp4")),
        ("straße.mp4", "STRASSE.mp4"),
        ("De/a.mp4", "de/A.mp4"),
    ],
)
def test_paths_that_are_one_file(first: str, second: str) -> None:
    assert list(clashes([first, "other.mp4", second])) == [Clash(0, 2, folder=False)]


@pytest.mark.parametrize("paths", [["a.mp4", "A.mp4/b.mp4"], ["A.mp4/x/b.mp4", "a.mp4"]])
def test_a_file_can_not_be_a_folder_too(paths: list[str]) -> None:
    assert list(clashes(paths)) == [Clash(0, 1, folder=True)]


def test_one_folder_may_hold_many() -> None:
    assert list(clashes(["de/a.mp4", "de/b.mp4", "DE/c.mp4", "en/a.mp4"])) == []
