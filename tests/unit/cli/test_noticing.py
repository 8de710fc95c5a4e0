"""What is said of a manifest that may not be one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifest_runner.cli.noticing import MOST_HOSTS, Noticed
from manifest_runner.manifest import load_manifest


def said_of(folder: Path, *urls: str) -> str:
    file = folder / "rows.csv"
    rows = "".join(f"row-{number},a.png,a.mp3,{url}\n" for number, url in enumerate(urls))
    file.write_text(f"external_task_id,image,sound_file,callback_url\n{rows}")
    manifest = load_manifest(file)
    noticed = Noticed(manifest)
    assert len(list(noticed.over(manifest.jobs))) == len(urls)
    return "\n".join(noticed.lines())


def test_rows_that_nobody_is_called_for_are_not_mentioned(tmp_path: Path) -> None:
    assert said_of(tmp_path, "", "") == ""


def test_the_hosts_that_the_service_will_post_to_are_named_once_and_no_path_of_them(tmp_path: Path) -> None:
    said = said_of(
        tmp_path,
        "https://hooks.example.com/secret-1",
        "",
        "http://user:secret-2@Hooks.example.com:81/x?secret-3",
        "https://evil.example/",
    )
    assert said.startswith("3 rows have a callback_url")
    assert "hooks.example.com (2), evil.example (1)." in said
    assert "secret" not in said


def test_one_row_is_one_row(tmp_path: Path) -> None:
    assert said_of(tmp_path, "https://a.example/").startswith("1 row has a callback_url")


def test_many_hosts_are_counted_and_a_few_are_named(tmp_path: Path) -> None:
    said = said_of(tmp_path, *(f"https://host-{number:02}.example/" for number in range(30)))
    assert said.count(".example") == MOST_HOSTS
    assert f"and {30 - MOST_HOSTS} more." in said


@pytest.mark.parametrize("url", ["https://[::1/", "https://:80/"])
def test_an_address_of_nonsense_is_told_too(tmp_path: Path, url: str) -> None:
    assert "to an address" in said_of(tmp_path, url)
