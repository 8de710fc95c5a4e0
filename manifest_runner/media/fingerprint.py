"""A job's fingerprint: a hash of what is paid for, so that a row that has changed is noticed. Pure.

The content counts, not the way to it: a file that is renamed, moved, or written out as Base64 stays the same. What
only this side sees (output name, tags, variables, callback address) is left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

from manifest_runner.models import Box, Job, Mode, Speech, units_text

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
    return chosen | dict(zip(_USUAL, _usual_parts(job, image_sha256, audio_sha256), strict=True))


def speech_part(speech: Speech) -> str:
    """The part `audio` of a job whose text the service speaks: no file is needed to know it."""
    return _hash(["speech", *_speech(speech)])


def fingerprint(parts: Mapping[str, str]) -> str:
    """The one hash over all parts, `1:` and 64 hex digits."""
    return f"{VERSION}:{_hash(dict(parts))}"


def usual_parts_text(job: Job, *, image_sha256: str | None, audio_sha256: str | None) -> str:
    """The usual parts as JSON with sorted keys: nearly all jobs have no others, and to compare two such texts takes a
    small part of the time."""
    return _USUAL_TEXT % _usual_parts(job, image_sha256, audio_sha256)


def plain_parts_text(image: str, sound: str, prompt: str, mode: Mode) -> str:
    """The same of a portrait and a recording, without a watermark. They are given by `image_part` and `sound_part`."""
    return _USUAL_TEXT % (sound, image, _MODES[mode], _text_hash(prompt), _NO_WATERMARK)


def image_part(reference: str, sha256: str | None) -> str:
    return _list_hash("content", sha256) if sha256 else _list_hash("url", reference)


def sound_part(reference: str | None, sha256: str | None) -> str:
    return _list_hash("content", sha256) if sha256 else _hash(["url", reference])


def _usual_parts(
    job: Job, image_sha256: str | None, audio_sha256: str | None
) -> tuple[str, str, str, str, str]:
    """The hashes of what every job has, in the order of _USUAL."""
    return (
        _audio(job, audio_sha256),
        image_part(job.image, image_sha256),
        _MODES[job.mode],
        _text_hash(job.prompt or ""),
        _WATERMARK if job.watermark else _NO_WATERMARK,
    )


def _audio(job: Job, sha256: str | None) -> str:
    if job.speech is not None:
        return speech_part(job.speech)
    if job.audio_id is not None:
        return _hash(["audio_id", job.audio_id])
    return sound_part(job.sound_file, sha256)


def _speech(speech: Speech) -> list[str]:
    return [speech.text, speech.voice_id, speech.voice_language, units_text(speech.voice_speed)]


@lru_cache(maxsize=10_000)
def _text_hash(text: str) -> str:
    """What many jobs of a campaign have in common is hashed once."""
    return _hash(text)


@lru_cache(maxsize=10_000)
def _list_hash(kind: str, text: str) -> str:
    return _hash([kind, text])


def _hash(value: object) -> str:
    # Canonical JSON: one text for one value, whatever the order of keys and the version of Python.
    return hashlib.sha256(_canonical(value).encode("ascii")).hexdigest()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode
_USUAL = ("audio", "image", "mode", "prompt", "watermark")
_USUAL_TEXT = json.dumps(dict.fromkeys(_USUAL, "%s"))
_MODES = {mode: _hash(mode.value) for mode in Mode}
_WATERMARK, _NO_WATERMARK = _hash(True), _hash(False)
