from __future__ import annotations

import pytest
from media_kit import encoded, film, picture, wav

from manifest_runner.media.probe.sniff import looks_like

STARTS = [
    (b"GIF89a", "a GIF picture"),
    (b"BM\x36\0", "a BMP picture"),
    (b"II*\0\x08", "a TIFF picture"),
    (b"MM\0*\0", "a TIFF picture"),
    (b"fLaC\0", "a FLAC recording"),
    (b"OggS\0", "an Ogg recording"),
    (b"ID3\x03", "an MP3 recording"),
    (b"%PDF-1.7", "a PDF document"),
    (b"PK\x03\x04\x14", "a ZIP archive or an office document"),
    (b"\x1f\x8b\x08", "a gzip archive"),
    (b"#EXTM3U\n", "a playlist"),
    (b"RIFF\x24\0\0\0AVI LIST", "an AVI video"),
    (b"RIFF\x24\0\0\0ACONanih", "a RIFF file"),
    (b"\0\0\0\x18ftypheic", "a HEIC picture"),
    (b"\0\0\0\x18ftypavif", "an AVIF picture"),
    (b"\0\0\0\x18ftypM4A ", "an M4A recording"),
    (b"\0\0\0\x18ftypisom", "an MP4 file"),
    (b"\xff\xfb\x90\x64", "an MP3 or AAC recording"),
    (b"\xff\xf1\x50\x80", "an MP3 or AAC recording"),
    (b"", "an empty file"),
    (bytes(300), "nothing but zeros"),
    (b"  <!DOCTYPE html><html>", "a web page or other markup (a download that went wrong?)"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'>", "a web page or other markup (a download that went wrong?)"),
    (b"external_task_id,image\n", "text"),
    ("Grüße aus Köln, schöne Grüße".encode(), "text"),
    (b"\x01\x02\x03\x80\x90\xa0\xb0", "no kind of file that is known here"),
    (b"\xc3\xa4" * 100, "no kind of file that is known here"),
]


@pytest.mark.parametrize(("data", "words"), STARTS)
def test_the_first_bytes_are_put_into_words(data, words):
    assert looks_like(data) == words


def test_a_git_lfs_pointer_says_what_to_run():
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    assert "git lfs pull" in looks_like(pointer)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (picture(), "a PNG picture"),
        (picture(kind="JPEG"), "a JPEG picture"),
        (picture(kind="WEBP"), "a WebP picture"),
        (wav(0.1), "a WAV recording"),
        (encoded("mp3", 0.5), "an MP3 recording"),
        (encoded("aac", 0.5), "an MP3 or AAC recording"),
        (encoded("m4a", 0.5), "an M4A recording"),
        (film(), "an MP4 file"),
    ],
    ids=["png", "jpeg", "webp", "wav", "mp3", "aac", "m4a", "mp4"],
)
def test_what_real_programs_write_is_known(data, words):
    assert looks_like(data) == words
