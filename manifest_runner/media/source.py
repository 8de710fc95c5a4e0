"""What a reference in a manifest means (a file, a URL, Base64 text), and its bytes.

`parse_reference` looks at the text alone and opens nothing; `read` is the only place that opens a person's media.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from manifest_runner.addresses import is_public, is_this_machine, literal_address
from manifest_runner.errors import MediaError
from manifest_runner.models import printable

READ_LIMIT = 64 * 1024 * 1024
"""Bytes. More than any file the service takes; a larger one is refused by its size alone, without being read."""

_URL_LIMIT = 2048  # characters; the length that every proxy and server is known to pass
_BASE64_LEAST = 100  # characters; no picture or recording is smaller, and few paths are longer
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://|(https?|file|data|ftp|blob):", re.ASCII | re.IGNORECASE)
_URL_UNFIT = re.compile(r"[^\x21-\x7e]|[\\<>\"^`{|}]")
# Control characters (NUL ends a path, others act on a terminal), and halves of a character, which no encoding has.
_PATH_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SHOWN = 80  # characters of a reference in a message
_LOOKED_AT = 300  # entries of a folder searched for a near name: a big folder must not slow a big manifest


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file. `path` is as written: relative to the manifest's folder, or absolute."""

    path: str

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"'{_shortened(self.path)}'"

    def resolved(self, folder: Path) -> Path:
        return folder / self.path

    def outside(self, folder: Path) -> bool:
        """Whether the path leads out of `folder`: as an absolute one, by `..`, or through a link.

        A manifest from somebody else may name any file of yours, and what it names is sent to the service.
        """
        try:
            return not self.resolved(folder).resolve().is_relative_to(folder.resolve())
        except (OSError, RuntimeError):  # a circle of links leads nowhere; reading it will say so
            return True


@dataclass(frozen=True, slots=True)
class UrlSource:
    """An http(s) URL. The service fetches it itself; this program never does."""

    url: str = field(repr=False)  # a query may carry a signature

    @property
    def label(self) -> str:
        """How messages name it: without its query, which may carry a signature."""
        parts = urlsplit(self.url)
        return f"'{_shortened(f'{parts.scheme}://{parts.netloc}{parts.path}')}'"

    @property
    def is_public(self) -> bool:
        """Whether its host may be reached from elsewhere, as far as its text tells. Names are not looked up."""
        host = urlsplit(self.url).hostname or ""
        address = literal_address(host)
        return not is_this_machine(host) and (address is None or is_public(address))


@dataclass(frozen=True, slots=True)
class Base64Source:
    """Media written into the manifest. `text` is bare, padded Base64 without white space."""

    text: str = field(repr=False)

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"the Base64 text ({len(self.text)} characters)"


Source = FileSource | UrlSource | Base64Source


def parse_reference(text: str) -> Source:
    """What `text` refers to. Raises MediaError for what can be none of the three.

    The first rule that fits decides, by the text alone, so the same manifest means the same on every machine:

    1. Text that starts like a URL is one; only http and https are taken, `data:` and `file:` are refused.
    2. Text of at least 100 characters that is strictly valid Base64 (its alphabet alone, whole groups of four,
       white space and line breaks left out) is Base64. A name with a suffix has a dot, which Base64 never has.
    3. Everything else is a path.

    A file whose path has 100 characters and not one dot, hyphen or underline can be written as `./PATH`.
    """
    stripped = text.strip()
    if not stripped:
        raise MediaError("The reference is empty.", mend="Name a file, a URL, or give Base64 text.")
    if scheme := _SCHEME.match(stripped):
        return _url(stripped, (scheme[1] or scheme[2]).lower())
    if len(stripped) >= _BASE64_LEAST:
        joined = "".join(stripped.split())
        if len(joined) >= _BASE64_LEAST and len(joined) % 4 == 0 and _BASE64.fullmatch(joined):
            return Base64Source(joined)
    if unfit := _PATH_UNFIT.search(stripped):
        raise MediaError(f"The path holds the character {unfit[0]!r}.", mend="Remove it, or rename the file.")
    return FileSource(stripped)


def read(source: FileSource | Base64Source, folder: Path, max_bytes: int = READ_LIMIT) -> bytes:
    """The bytes of a file (relative to `folder`) or of Base64 text, at most `max_bytes`.

    Raises MediaError when there is more, when the file can't be read, or when it is no regular file: a pipe or a
    device could keep us waiting for ever.
    """
    if isinstance(source, Base64Source):
        return _decoded(source, max_bytes)
    try:
        return _file_bytes(source.resolved(folder), source.label, max_bytes)
    except OSError as error:
        raise _unreadable(source, folder, error) from error


def megabytes(count: int) -> str:
    """`count` bytes in words: `3.2 MB`, or plain bytes where megabytes would round to little."""
    return f"{count / 1_000_000:.1f} MB" if count >= 100_000 else f"{count} bytes"


def too_large(label: str, count: int, most: int) -> MediaError:
    return MediaError(
        f"{label} is too large: {megabytes(count)}, where {megabytes(most)} is the most that is read.",
        mend="Make it smaller: the service takes pictures up to 10 MB and recordings up to 5 MB.",
    )


def _url(text: str, scheme: str) -> UrlSource:
    if scheme == "data":
        raise MediaError(
            "The service takes bare Base64, without a 'data:' prefix.",
            mend="Keep only what follows the comma.",
        )
    if scheme not in ("http", "https"):
        raise MediaError(
            f"'{scheme}:' is nothing the service can fetch.",
            mend="Give an http(s) URL, or the path of a file.",
        )
    if len(text) > _URL_LIMIT:
        raise MediaError(f"The URL has {len(text)} characters.", mend=f"Give one of at most {_URL_LIMIT}.")
    if unfit := _URL_UNFIT.search(text):
        raise MediaError(
            f"The URL holds {unfit[0]!r}, which no URL can.", mend="Percent-encode it: a space is %20."
        )
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # reading the port checks it
    except ValueError as error:
        raise MediaError("The URL can't be read: its host or port is malformed.", mend="Mend it.") from error
    if not host:
        raise MediaError("The URL names no host.", mend="Write it as https://HOST/PATH.")
    if "@" in parts.netloc:
        raise MediaError(
            "The URL carries a user name or a password.",
            mend="Use a URL that opens without one (a signed link, say): a manifest is no place for secrets.",
        )
    return UrlSource(text)


def _decoded(source: Base64Source, max_bytes: int) -> bytes:
    if (size := len(source.text) // 4 * 3) > max_bytes + 2:  # padding takes at most two bytes off
        raise too_large(source.label, size, max_bytes)
    try:
        data = base64.b64decode(source.text, validate=True)
    except binascii.Error as error:
        raise MediaError(f"{source.label} can't be decoded.", mend="Encode the file again.") from error
    if len(data) > max_bytes:
        raise too_large(source.label, len(data), max_bytes)
    return data


def _file_bytes(path: Path, label: str, max_bytes: int) -> bytes:
    # Looked at before it is opened, because opening alone can act on a device; and again when open, because what
    # stands at the path can have been exchanged in between. O_NONBLOCK keeps a pipe from holding us up meanwhile.
    _refuse_irregular(path.stat().st_mode, label)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        _refuse_irregular(status.st_mode, label)
        if status.st_size > max_bytes:
            raise too_large(label, status.st_size, max_bytes)
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:  # it has grown since
        raise too_large(label, len(data), max_bytes)
    return data


def _refuse_irregular(mode: int, label: str) -> None:
    if stat.S_ISDIR(mode):
        raise MediaError(f"{label} is a folder.", mend="Name a file in it.")
    if not stat.S_ISREG(mode):
        raise MediaError(f"{label} is a pipe or a device, not a file.", mend="Name a regular file.")


def _unreadable(source: FileSource, folder: Path, error: OSError) -> MediaError:
    path = source.resolved(folder)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return MediaError(f"There is no file {source.label}.", mend=_way_to(source, folder))
    if error.errno in (errno.EACCES, errno.EPERM):
        return MediaError(
            f"{source.label} may not be read.", mend=f"Allow it: chmod u+r '{printable(str(path))}'."
        )
    if error.errno == errno.ENAMETOOLONG:
        return MediaError(
            f"{source.label} is too long for a path, and is no valid Base64 either.",
            mend="Shorten the path, or encode the file again (standard alphabet, padded).",
        )
    return MediaError(
        f"{source.label} can't be read: {os.strerror(error.errno or errno.EIO)}.", mend="Mend that."
    )


def _way_to(source: FileSource, folder: Path) -> str:
    """What to do about a missing file: the name it may have been meant to be, where one is near."""
    if meant := _meant(source.path, folder):
        return f"Did you mean '{_shortened(meant)}'?"
    if "\\" in source.path:
        return "Write / between folders in place of \\: that holds on every system."
    there = source.resolved(folder).parent
    if not _is(there, stat.S_ISDIR):
        return f"Its folder '{_shortened(str(there))}' does not exist; paths are relative to the manifest."
    place = "beside the manifest" if there == folder else f"into '{_shortened(str(there))}'"
    return f"Put it {place}, or mend the path; paths are relative to the manifest."


def _meant(written: str, folder: Path) -> str | None:
    """The path that was perhaps meant: the same with slashes, one with nearly the same name, or one to a file of
    that name in a folder beside the manifest."""
    turned = written.replace("\\", "/")
    path = folder / turned
    if turned != written and _is(path, stat.S_ISREG):
        return turned
    names = _names_in(path.parent)
    alike = [name for name in names if name.casefold() == path.name.casefold()]
    alike += [name for name in names if Path(name).stem.casefold() == path.stem.casefold()]
    if alike:
        return str(Path(turned).with_name(alike[0]))
    folders = [name for name in _names_in(folder) if _is(folder / name, stat.S_ISDIR)]
    return next(
        (f"{name}/{path.name}" for name in folders if _is(folder / name / path.name, stat.S_ISREG)), None
    )


def _names_in(folder: Path) -> list[str]:
    """What is in a folder, in order; nothing where it can't be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in islice(entries, _LOOKED_AT))
    except OSError:
        return []


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether something of a kind is there. What may not be looked at, or has no possible name, is not."""
    try:
        return kind(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _shortened(text: str) -> str:
    """A name as a message may repeat it: short, and printable whatever it was called."""
    text = printable(text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 4 :]}"
