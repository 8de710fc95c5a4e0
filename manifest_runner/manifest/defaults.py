"""Defaults under a row: what a job has when the row doesn't say otherwise."""

from __future__ import annotations

from typing import Any

SOUNDS = ("sound_file", "audio_id", "speech")
_JOINED = ("vars", "watermark_info", "fit", "preview")  # key by key; every other field is taken as a whole


def with_defaults(defaults: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The row with the defaults' fields where it has none of its own.

    A row that names a sound (sound_file, audio_id or speech) leaves the defaults' sound behind. Speech is joined
    key by key, so that the defaults can choose a voice; a voice without a text is no sound by itself.
    """
    row = _spelt_out(row)
    if not defaults:
        return dict(row)
    defaults = _spelt_out(defaults)
    job = {**defaults, **row}
    for name in _JOINED:
        if name in defaults and name in row:
            job[name] = {**defaults[name], **row[name]}
    if "speech" in row:
        job["speech"] = {**defaults.get("speech", {}), **row["speech"]}
    own_sound = any(name in row for name in SOUNDS)
    for name in SOUNDS:
        inherited = name in job and name not in row
        if inherited and (own_sound or (name == "speech" and "text" not in job["speech"])):
            del job[name]
    return job


def _spelt_out(fields: dict[str, Any]) -> dict[str, Any]:
    """`fit: off` is short for `fit: {mode: off}`."""
    if isinstance(fields.get("fit"), str):
        return {**fields, "fit": {"mode": fields["fit"]}}
    return fields
