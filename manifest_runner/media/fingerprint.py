"""A job's fingerprint: a hash of what is paid for, so that a row that has changed is noticed. Pure.

The content counts, not the way to it: a file that is renamed, moved, or written out as Base64 stays the same. What
only this side sees (output name, tags, variables, callback address) is left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from manifest_runner.models import Box, Job, Speech, units_text

VERSION = "1"
"""Changes when equal jobs would no longer hash alike; then stored fingerprints can't be compared."""


def fingerprint_parts(
    job: Job,
    *,
    image_sha256: str | None,
    audio_sha256: str | None,
    fitted: Sequence[str] = (),
    mouth: Box | None = None,
) -> dict[str, str]:
    """A hash for each field that is paid for: `image`, `audio`, `prompt`, `mode`, `watermark`.

    The hashes are those of the files' contents as the person has them, so that another encoder changes nothing; None
    where a reference is a URL, whose text then stands for it. What a person chose to have done to them, and can be seen
    or heard (`fitted`), is a part of its own where there is any; so is the `mouth` of a preview. Comparing two such
    mappings tells which fields of a row have changed.
    """
    chosen = {"fit": _hash(list(fitted))} if fitted else {}
    if mouth is not None:
        chosen["mouth"] = _hash([mouth.left, mouth.top, mouth.width, mouth.height])
    return {
        **chosen,
        "image": _hash(["content", image_sha256] if image_sha256 else ["url", job.image]),
        "audio": _hash(_audio(job, audio_sha256)),
        "prompt": _hash(job.prompt or ""),
        "mode": _hash(job.mode.value),
        "watermark": _hash(job.watermark),
    }


def speech_part(speech: Speech) -> str:
    """The part `audio` of a job whose text the service speaks: no file is needed to know it."""
    return _hash(["speech", *_speech(speech)])


def fingerprint(parts: Mapping[str, str]) -> str:
    """The one hash over all parts, `1:` and 64 hex digits."""
    return f"{VERSION}:{_hash(dict(parts))}"


def _audio(job: Job, sha256: str | None) -> list[object]:
    if job.speech is not None:
        return ["speech", *_speech(job.speech)]
    if job.audio_id is not None:
        return ["audio_id", job.audio_id]
    return ["content", sha256] if sha256 else ["url", job.sound_file]


def _speech(speech: Speech) -> list[str]:
    return [speech.text, speech.voice_id, speech.voice_language, units_text(speech.voice_speed)]


def _hash(value: object) -> str:
    # Canonical JSON: one text for one value, whatever the order of keys and the version of Python.
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
