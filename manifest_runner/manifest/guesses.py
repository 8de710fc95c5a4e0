"""What people call our fields before they have read what we call them."""

from __future__ import annotations

import re

_BETWEEN_WORDS = re.compile(r"[\s_.-]+")

# Compared without case, blanks, hyphens and underscores: `Voice ID` is `voiceid`.
_IDS = frozenset({"id", "taskid", "jobid", "externalid", "videoid", "rowid"})
_GUESSES = {
    "text": "speech.text",
    "script": "speech.text",
    "spokentext": "speech.text",
    "voiceover": "speech.text",
    "voice": "speech.voice_id",
    "voiceid": "speech.voice_id",
    "voicelanguage": "speech.voice_language",
    "voicespeed": "speech.voice_speed",
    "watermark": "watermark_info.enabled",
    "watermarkenabled": "watermark_info.enabled",
    "audio": "sound_file",
    "audiofile": "sound_file",
    "sound": "sound_file",
    "soundfile": "sound_file",
    "recording": "sound_file",
    "voiceoverfile": "sound_file",
    "audioid": "audio_id",
    "photo": "image",
    "picture": "image",
    "portrait": "image",
    "imagefile": "image",
    "avatar": "image",
    "presenter": "image",
    "direction": "prompt",
    "directions": "prompt",
    "quality": "mode",
    "tag": "tags",
    "labels": "tags",
    "callback": "callback_url",
    "callbackurl": "callback_url",
    "outputfile": "output",
    "filename": "output",
}


def is_id(name: str) -> bool:
    """Whether a name can hardly mean anything but the job's id."""
    return plain(name) in _IDS


def guessed_field(name: str) -> str | None:
    """The field that a name was likely meant to be: `id` is `external_task_id`, `Voice ID` is `speech.voice_id`."""
    return "external_task_id" if is_id(name) else _GUESSES.get(plain(name))


def plain(name: str) -> str:
    """A name without what people write differently: case, blanks, hyphens, underscores, dots."""
    return _BETWEEN_WORDS.sub("", name.casefold())
