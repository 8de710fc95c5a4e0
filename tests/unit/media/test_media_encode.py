from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest
from media_kit import picture, wav

from manifest_runner.errors import MediaError
from manifest_runner.media import FileSource, UrlSource, parse_reference, preflight, ready_to_send
from manifest_runner.models import Job


def test_a_url_goes_as_it_is(tmp_path: Path):
    url = "https://example.com/a.png?signature=1%2F2"
    assert ready_to_send(UrlSource(url), tmp_path, expected_sha256=None) == url


def test_a_file_goes_as_bare_base64(tmp_path: Path):
    data = picture()
    (tmp_path / "a.png").write_bytes(data)
    text = ready_to_send(FileSource("a.png"), tmp_path, expected_sha256=hashlib.sha256(data).hexdigest())
    assert base64.b64decode(text, validate=True) == data
    assert not text.startswith("data:")


def test_base64_with_line_breaks_goes_without_them(tmp_path: Path):
    data = wav(0.1)
    wrapped = base64.encodebytes(data).decode()
    assert "\n" in wrapped
    text = ready_to_send(parse_reference(wrapped), tmp_path, expected_sha256=hashlib.sha256(data).hexdigest())
    assert text == base64.b64encode(data).decode()


def test_a_file_that_nobody_probed_is_sent_unquestioned(tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(b"spoken by the service")
    text = ready_to_send(FileSource("a.bin"), tmp_path, expected_sha256=None)
    assert base64.b64decode(text) == b"spoken by the service"


@pytest.mark.parametrize("same_size_and_time", [False, True])
def test_a_file_that_changed_after_it_was_probed_is_not_sent(tmp_path: Path, same_size_and_time):
    (tmp_path / "a.png").write_bytes(picture())
    sound = tmp_path / "a.wav"
    sound.write_bytes(wav(3))
    job = Job(external_task_id="a", image="a.png", sound_file="a.wav", output="a.mp4")
    audio = preflight([job], tmp_path).media["a"].audio
    assert audio is not None
    before = sound.stat()
    other = bytearray(wav(3))
    other[-1] ^= 1
    sound.write_bytes(other if same_size_and_time else wav(4))
    if same_size_and_time:
        os.utime(sound, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(MediaError, match=r"'a\.wav' has changed between planning and sending") as caught:
        ready_to_send(FileSource("a.wav"), tmp_path, expected_sha256=audio.sha256)
    assert "run again" in caught.value.mend


def test_a_file_that_is_gone_or_has_grown_is_said_in_words(tmp_path: Path):
    with pytest.raises(MediaError, match=r"There is no file 'a\.png'"):
        ready_to_send(FileSource("a.png"), tmp_path, expected_sha256="0" * 64)
    (tmp_path / "a.png").write_bytes(bytes(1001))
    with pytest.raises(MediaError, match="too large"):
        ready_to_send(FileSource("a.png"), tmp_path, expected_sha256=None, max_bytes=1000)
