"""What a reference in a manifest means: a file, a URL, or Base64 text. By the text alone: nothing is opened here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from manifest_runner.addresses import is_public, is_this_machine, literal_address
from manifest_runner.errors import MediaError
from manifest_runner.models import printable

_URL_LIMIT = 2048  # characters; the length that every proxy and server is known to pass
_BASE64_LEAST = 100  # characters; no picture or recording is smaller, and few paths are longer
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://|(https?|file|data|ftp|blob):", re.ASCII | re.IGNORECASE)
_URL_UNFIT = re.compile(r"[^\x21-\x7e]|[\\<>\"^`{|}]")
# Control characters (NUL ends a path, others act on a terminal), and halves of a character, which no encoding has.
_PATH_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SHOWN = 80  # characters of a reference in a message


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file. `path` is as written: relative to the manifest's folder, or absolute."""

    path: str

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"'{shortened(self.path)}'"

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
    """An http(s) URL. The service fetches it itself; this program only looks at what it leads to."""

    url: str = field(repr=False)  # a query may carry a signature

    @property
    def label(self) -> str:
        """How messages name it: without its query, which may carry a signature."""
        parts = urlsplit(self.url)
        return f"'{shortened(f'{parts.scheme}://{parts.netloc}{parts.path}')}'"

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


def megabytes(count: int) -> str:
    """`count` bytes in words: `3.2 MB`, or plain bytes where megabytes would round to little."""
    return f"{count / 1_000_000:.1f} MB" if count >= 100_000 else f"{count} bytes"


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


def shortened(text: str) -> str:
    """A name as a message may repeat it: short, and printable whatever it was called."""
    text = printable(text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 4 :]}"
