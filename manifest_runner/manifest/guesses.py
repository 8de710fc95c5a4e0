"""What people call our fields before they have read what we call them."""

from __future__ import annotations

import re

_BETWEEN_WORDS = re.compile(r"[\s_.-]+")

# Compared without case, blanks, hyphens and underscores: `Voice ID` is `voiceid`.
_IDS = frozenset({"id", "taskid", "jobid", "externalid", "videoid", "rowid"})
_GUESSES = {
    "text": "speech.text",
    "voice": "speech.voice_id",
    "voiceid": "speech.voice_id",
    "voicelanguage": "speech.voice_language",
    "voicespeed": "speech.voice_speed",
    "watermark": "watermark_info.enabled",
    "watermarkenabled": "watermark_info.enabled",
    "audio": "sound_file",
    "audiofile": "sound_file",
    "sound": "sound_file",
    "photo": "image",
    "picture": "image",
    "portrait": "image",
}


def is_id(name: str) -> bool:
    """Whether a name can hardly mean anything but the job's id."""
    return _plain(name) in _IDS


def guessed_field(name: str) -> str | None:
    """The field that a name was likely meant to be: `id` is `external_task_id`, `Voice ID` is `speech.voice_id`."""
    return "external_task_id" if is_id(name) else _GUESSES.get(_plain(name))


def _plain(name: str) -> str:
    return _BETWEEN_WORDS.sub("", name.casefold())
