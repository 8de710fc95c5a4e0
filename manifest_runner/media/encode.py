"""The last step before a job is sent: the text that its `image` or `sound_file` field carries."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from manifest_runner.errors import MediaError
from manifest_runner.media.source import READ_LIMIT, Source, UrlSource, read


def ready_to_send(
    source: Source, folder: Path, *, expected_sha256: str | None, max_bytes: int = READ_LIMIT
) -> str:
    """A URL as it is, or bare Base64 of the bytes (no `data:` prefix).

    `expected_sha256` is the hash that was probed; None only where nothing was. A file is read again and hashed
    again here, so what is sent is what was checked and counted into the fingerprint.

    Raises MediaError when the file can't be read, has more than `max_bytes`, or is another than the one probed.
    """
    if isinstance(source, UrlSource):
        return source.url
    data = read(source, folder, max_bytes)
    if expected_sha256 is not None and hashlib.sha256(data).hexdigest() != expected_sha256:
        raise MediaError(
            f"{source.label} has changed between planning and sending.",
            mend="Leave the media alone while a run goes on, and run again to send it as it is now.",
        )
    return base64.b64encode(data).decode("ascii")
