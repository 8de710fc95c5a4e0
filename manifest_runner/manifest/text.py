"""A file on disk -> its text, or the Problem that stands in the way.

Both readers begin here, so that encoding, size and characters that no manifest needs are refused in one place.
"""

from __future__ import annotations

import re
from pathlib import Path

from manifest_runner.errors import ManifestError
from manifest_runner.models import Location, Problem, printable

MAX_BYTES = 64 * 1024 * 1024

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
"""What neither a person types nor YAML allows. Tab and line breaks are no part of it."""

_CONTROL_BYTES = bytes(code for code in range(128) if CONTROL.match(chr(code)))

_BOM = "\ufeff"

# Files that are named in a manifest's place by mistake, known by their first bytes.
_AS_CSV = (
    "Name it as what it is (.xlsx, .xlsm or .ods), or save the sheet as `CSV UTF-8`, and name that file."
)
_OTHER_FILES = (
    (
        rb"PK\x03\x04|\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an Excel workbook, or another office document",
        _AS_CSV,
    ),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|....ftyp(?:hei|mif1|avif)", "a picture", ""),
    (rb"ID3|RIFF....WAVE|....ftypM4A|fLaC|OggS|\xff[\xf1\xf9\xfb\xf3\xf2\xfa]", "a recording", ""),
    (rb"....ftyp|RIFF....AVI |\x1aE\xdf\xa3", "a video", ""),
    (rb"%PDF", "a PDF document", ""),
    (rb"\x1f\x8b", "a compressed file", "Unpack it first."),
    (rb"SQLite format 3\x00", "a database", ""),
)
_NAME_THE_MANIFEST = "Name the manifest, a .yaml or .csv file, which names the media."


def read_text(path: Path) -> str:
    """The text of a UTF-8 file without its byte order mark; line breaks are left as they are. Raises ManifestError."""
    return text_of(read_bytes(path), str(path))


def text_of(data: bytes, file: str, encoding: str = "utf-8") -> str:
    """The same of bytes that were read from a file, in one of a few encodings."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as exc:
        raise ManifestError(
            [_other_file(file, data) or _undecoded(file, data, encoding, exc.start)]
        ) from None
    text = text.removeprefix(_BOM)
    if not _surely_clean(data) and (bad := CONTROL.search(text)):
        raise ManifestError([_other_file(file, data) or _control_character(file, text, bad.start())])
    return text


def _surely_clean(data: bytes) -> bool:
    """Whether there is nothing in it that CONTROL finds. Ten times as quick; False says nothing."""
    return data.isascii() and len(data.translate(None, _CONTROL_BYTES)) == len(data)


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of a character in a text."""
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def name_of(character: str) -> str:
    """How a message names a character that can't be shown."""
    return "a NUL character" if character == "\0" else f"the control character U+{ord(character):04X}"


def shown(text: str, limit: int = 60) -> str:
    """A text as a message may repeat it: short, and without signs that would break or disguise the line."""
    clean = printable(text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."


def read_bytes(path: Path, *, named_at: Location | None = None) -> bytes:
    """All of a file, up to MAX_BYTES.

    `named_at` is where another file names this one: a missing file is reported there, because that is the line to
    mend. Raises ManifestError.
    """
    location = named_at or Location(file=str(path))
    fault: tuple[str, str] | None = None
    data = b""
    try:
        if path.is_dir():
            fault = (f"{path} is a folder.", "Name the manifest file inside it.")
        elif path.exists() and not path.is_file():
            # A pipe or a device would block or never end.
            fault = (f"{path} is no ordinary file.", "Save the manifest as a file.")
        else:
            with path.open("rb") as stream:
                # What is asked for is set aside at once, however little there is.
                data = stream.read(min(path.stat().st_size, MAX_BYTES) + 1)
    except FileNotFoundError:
        fault = (f"There is no file {path}.", "Check the name and the folder.")
    except (OSError, ValueError) as exc:  # ValueError: a name with a NUL in it
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "the name can't be used"
        fault = (f"{path} can't be read: {reason}.", "Check its name and its permissions.")
    if fault is None and len(data) > MAX_BYTES:
        fault = (
            f"{path} is over {MAX_BYTES // 1024**2} MB.",
            "Split it, or keep media in files of their own.",
        )
    if fault:
        raise ManifestError([Problem(location=location, what=fault[0], mend=fault[1])])
    return data


def _other_file(file: str, data: bytes) -> Problem | None:
    """What a file is that is no text, where its first bytes tell."""
    for start, kind, mend in _OTHER_FILES:
        if re.match(start, data, re.DOTALL):
            return Problem(
                location=Location(file=file), what=f"This is {kind}.", mend=mend or _NAME_THE_MANIFEST
            )
    return None


def _undecoded(file: str, data: bytes, encoding: str, offset: int) -> Problem:
    if encoding != "utf-8":
        return Problem(
            location=Location(file=file, line=1, column=1),
            what=f"The file is not {encoding}, as it is said to be.",
            mend="Correct `encoding:`, or save the file as UTF-8 (in a spreadsheet: `CSV UTF-8`).",
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Problem(
            location=Location(file=file, line=1, column=1),
            what="The file is UTF-16, not UTF-8.",
            mend="Save it as UTF-8 (in a spreadsheet: `CSV UTF-8`).",
        )
    line, column = position(data[:offset].decode("utf-8"), offset)
    return Problem(
        location=Location(file=file, line=line, column=column),
        what=f"Byte {offset} (0x{data[offset]:02X}) is not UTF-8; the file may be Latin-1 or Windows-1252.",
        mend="Save it as UTF-8 (in a spreadsheet: `CSV UTF-8`).",
    )


def _control_character(file: str, text: str, offset: int) -> Problem:
    line, column = position(text, offset)
    return Problem(
        location=Location(file=file, line=line, column=column),
        what=f"The file holds {name_of(text[offset])}.",
        mend="Remove it; if there are many, this may be no text file.",
    )
