"""From a reference in a manifest to media that are probed, checked and ready to send.

parse_reference -> read -> probe -> limits -> fingerprint        (preflight does these for all jobs)
                                            -> ready_to_send     (just before a job is sent)
"""

from manifest_runner.media.audio_probe import probe_audio
from manifest_runner.media.encode import ready_to_send
from manifest_runner.media.estimate import (
    DEFAULT_RATES,
    Estimate,
    billed_seconds,
    estimate,
    estimate_spoken,
)
from manifest_runner.media.facts import AudioFacts, ImageFacts
from manifest_runner.media.fingerprint import fingerprint, fingerprint_parts
from manifest_runner.media.image_probe import probe_image
from manifest_runner.media.limits import audio_problems, image_problems
from manifest_runner.media.preflight import JobMedia, Preflight, preflight
from manifest_runner.media.source import (
    READ_LIMIT,
    Base64Source,
    FileSource,
    Source,
    UrlSource,
    parse_reference,
    read,
)
from manifest_runner.media.video import VideoFacts, probe_video

__all__ = [
    "DEFAULT_RATES",
    "READ_LIMIT",
    "AudioFacts",
    "Base64Source",
    "Estimate",
    "FileSource",
    "ImageFacts",
    "JobMedia",
    "Preflight",
    "Source",
    "UrlSource",
    "VideoFacts",
    "audio_problems",
    "billed_seconds",
    "estimate",
    "estimate_spoken",
    "fingerprint",
    "fingerprint_parts",
    "image_problems",
    "parse_reference",
    "preflight",
    "probe_audio",
    "probe_image",
    "probe_video",
    "read",
    "ready_to_send",
]
