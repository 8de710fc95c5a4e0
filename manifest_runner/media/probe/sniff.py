"""What bytes look like, in words, for messages about media that could not be read. Decides nothing else."""

from __future__ import annotations

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"fLaC", "a FLAC recording"),
    (b"OggS", "an Ogg recording"),
    (b"ID3", "an MP3 recording"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"#EXTM3U", "a playlist"),
    (b"version https://git-lfs", "a Git LFS pointer in place of the file itself (run git lfs pull)"),
)
_RIFF = {b"WAVE": "a WAV recording", b"WEBP": "a WebP picture", b"AVI ": "an AVI video"}
_PICTURE_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC", b"avif": "AVIF"}
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<svg")
_TEXT = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D}


def looks_like(data: bytes) -> str:
    """A phrase that fits "it looks like ...". Only the first bytes are looked at."""
    for start, words in _STARTS:
        if data.startswith(start):
            return words
    if data.startswith(b"RIFF"):
        return _RIFF.get(data[8:12], "a RIFF file")
    if data[4:8] == b"ftyp":
        return _of_brand(data[8:12])
    if data[:1] == b"\xff" and data[1:2] >= b"\xe0":
        return "an MP3 or AAC recording"
    return _text_or_not(data[:256])


def _of_brand(brand: bytes) -> str:
    if brand in _PICTURE_BRANDS:
        return f"{'an' if brand == b'avif' else 'a'} {_PICTURE_BRANDS[brand]} picture"
    return "an M4A recording" if brand.startswith(b"M4A") else "an MP4 file"


def _text_or_not(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head.lstrip().lower().startswith(_MARKUP):
        return "a web page or other markup (a download that went wrong?)"
    if not any(head):
        return "nothing but zeros"
    # UTF-8 beyond ASCII is text too; a few stray bytes are allowed for a character cut at the end of the head.
    plain = sum(byte in _TEXT or byte >= 0x80 for byte in head)
    ascii_share = sum(byte in _TEXT for byte in head) / len(head)
    return "text" if plain == len(head) and ascii_share > 0.6 else "no kind of file that is known here"
