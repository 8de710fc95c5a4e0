"""From a reference in a manifest to media that are probed, checked and ready to send.

parse_reference -> opened -> probe -> fitting -> fingerprint     (preflight does these for all jobs)
                                      fitting -> Encoder         (just before a job is sent)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from manifest_runner.media.estimate import (
    DEFAULT_RATES,
    Estimate,
    billed_seconds,
    estimate,
    estimate_spoken,
)
from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.fingerprint import fingerprint, fingerprint_parts, speech_part
from manifest_runner.media.limits import AUDIO_MIN_SECONDS, audio_problems, image_problems
from manifest_runner.media.preflight import JobMedia, Preflight, looking, preflight
from manifest_runner.media.probe.cache import ProbeCache, open_cache
from manifest_runner.media.source import Base64Source, FileSource, Source, UrlSource, parse_reference

if TYPE_CHECKING:
    from manifest_runner.media.captions.cues import caption_cues, srt_text
    from manifest_runner.media.captions.pauses import find_pauses
    from manifest_runner.media.encode import Encoder, Ready
    from manifest_runner.media.probe.audio import probe_audio
    from manifest_runner.media.probe.image import probe_image
    from manifest_runner.media.probe.video import VideoFacts, probe_video

_LATE = {
    "Encoder": "encode",
    "Ready": "encode",
    "VideoFacts": "probe.video",
    "caption_cues": "captions.cues",
    "find_pauses": "captions.pauses",
    "probe_audio": "probe.audio",
    "probe_image": "probe.image",
    "probe_video": "probe.video",
    "srt_text": "captions.cues",
}

__all__ = [
    "AUDIO_MIN_SECONDS",
    "DEFAULT_RATES",
    "AudioFacts",
    "Base64Source",
    "Encoder",
    "Estimate",
    "FileSource",
    "ImageFacts",
    "JobMedia",
    "Preflight",
    "ProbeCache",
    "Ready",
    "Source",
    "UrlSource",
    "VideoFacts",
    "audio_problems",
    "billed_seconds",
    "caption_cues",
    "estimate",
    "estimate_spoken",
    "find_pauses",
    "fingerprint",
    "fingerprint_parts",
    "image_problems",
    "looking",
    "open_cache",
    "parse_reference",
    "preflight",
    "probe_audio",
    "probe_image",
    "probe_video",
    "speech_part",
    "srt_text",
]


def __getattr__(name: str) -> object:
    """What needs numpy, av or Pillow is imported when it is asked for: a plan of what is done already does without."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
