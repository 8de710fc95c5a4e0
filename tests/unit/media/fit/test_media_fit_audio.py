from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import av
import media_kit as kit
import numpy as np
import pytest

from manifest_runner.errors import MediaError
from manifest_runner.media.facts import AudioFacts
from manifest_runner.media.fit import audio as module
from manifest_runner.media.fit.audio import fit_audio
from manifest_runner.media.fit.recipes import AudioRecipe, Fitted, audio_fitting
from manifest_runner.media.probe.audio import probe_audio
from manifest_runner.models import Fit
from manifest_runner.sandbox.media_rules import check_audio

NAME = "'a.ogg'"
AUTO = Fit()


def facts(seconds="5", channels=1, rate=48_000, container="ogg", codec="opus", size=50_000):
    return AudioFacts(
        container=container,
        codec=codec,
        seconds=Decimal(seconds),
        channels=channels,
        sample_rate=rate,
        bytes=size,
        sha256="0" * 64,
    )


def recipe_for(known: AudioFacts, fit: Fit = AUTO) -> AudioRecipe:
    recipe, objections = audio_fitting(known, fit)
    assert not objections
    assert recipe is not None
    return recipe


def fitted(data: bytes, known: AudioFacts | None = None, fit: Fit = AUTO) -> Fitted:
    result = fit_audio(io.BytesIO(data), recipe_for(known or probe_audio(data), fit), name=NAME)
    assert result.sha256 == hashlib.sha256(result.data).hexdigest()
    return result


def heard(data: bytes) -> tuple[float, int, int]:
    """Seconds as the sandbox measures, channels, sample rate; our own probe must find the same."""
    seconds = check_audio("sound_file", data).seconds
    found = probe_audio(data)
    assert abs(found.seconds - seconds) <= Decimal("0.001")
    assert audio_fitting(found, AUTO) == (None, [])
    return float(seconds), found.channels, found.sample_rate


def samples(data: bytes) -> np.ndarray:
    """What a player plays; float, shape (channels, n)."""
    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.concatenate(frames, axis=1)


@pytest.mark.parametrize("kind", ["ogg", "flac", "matroska"])
def test_other_formats_become_mp3_and_keep_their_length(kind):
    data = kit.encoded(kind, 5, rate=48_000)
    result = fitted(data)
    seconds, channels, rate = heard(result.data)
    assert abs(seconds - 5) < 0.06
    assert (channels, rate) == (1, 48_000)
    assert "320 kbit/s mono" in result.what
    assert f"{len(result.data) / 1e6:.1f} MB" in result.what


def test_what_is_heard_is_what_was_recorded():
    """The same tone as loud as before, from the first sample on: no delay of the encoder is left."""
    result = samples(fitted(kit.encoded("flac", 3, rate=44_100)).data)[0]
    wanted = kit.samples(3, 44_100) / 32_768
    assert result.shape == wanted.shape
    assert np.abs(result - wanted).max() < 0.02


@pytest.mark.parametrize("seconds", [0.01, 0.5, 1.2, 1.999])
@pytest.mark.parametrize("kind", ["wav", "mp3", "m4a", "ogg"])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_what_is_short_lasts_two_seconds_by_every_measure(kind, seconds, rate):
    result = fitted(kit.recording(kind, seconds, rate=rate))
    length = heard(result.data)[0]
    if seconds > 1.9 and kind == "m4a":  # its last packet is decoded to its end, silence included
        assert 2.0 <= length < 2.06
    else:
        assert length == 2.0
        assert "padded with silence from" in result.what
        assert "s to 2 s" in result.what


def test_what_is_added_is_silence_behind_the_sound():
    played = samples(fitted(kit.wav(0.5, rate=48_000)).data)[0]
    assert np.abs(played[: 24_000 - 1000]).max() > 0.2
    assert np.abs(played[24_000 + 2000 :]).max() < 0.001


@pytest.mark.parametrize(
    ("rate", "wanted"), [(8_000, 48_000), (22_050, 44_100), (44_100, 44_100), (96_000, 48_000)]
)
def test_rates_become_one_of_two(rate, wanted):
    assert heard(fitted(kit.encoded("flac", 3, rate=rate)).data) == (3.0, 1, wanted)


def wav_of(pcm: np.ndarray, rate: int, codec: str, layout: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="wav") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(pcm).reshape(1, -1), format="s16", layout=layout
        )
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize("codec", ["pcm_s24le", "pcm_f32le", "pcm_mulaw", "pcm_u8", "adpcm_ima_wav"])
@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("stereo", 2)])
def test_every_kind_of_wav(codec, layout, channels):
    pcm = np.repeat(kit.samples(1.5, 48_000)[:, None], channels, axis=1)
    result = fitted(wav_of(pcm, 48_000, codec, layout))
    assert heard(result.data)[1] == channels


def test_five_channels_are_mixed_and_not_clipped():
    loud = (
        np.repeat(kit.samples(1.5, 48_000)[:, None] * 4.0, 6, axis=1).clip(-32_000, 32_000).astype(np.int16)
    )
    result = fitted(wav_of(loud, 48_000, "pcm_s16le", "5.1"))
    assert "stereo" in result.what
    played = samples(result.data)
    assert played.shape[0] == 2
    assert 0.5 < np.abs(played).max() < 1.0


def test_a_stream_that_changes_on_the_way_stays_one_recording():
    first = kit.encoded("mp3", 2, rate=44_100, muxer={"write_xing": "0", "id3v2_version": "0"})
    second = kit.encoded("mp3", 2, rate=22_050, muxer={"write_xing": "0", "id3v2_version": "0"})
    known = facts("4", rate=44_100, container="mp3", codec="mp3", size=6_000_000)
    seconds, _, rate = heard(fitted(first + second, known).data)
    assert 3.9 < seconds < 4.3
    assert rate == 44_100


def test_what_is_too_long_is_cut_within_the_limit_by_every_measure():
    """At 299.9 s; here it is at 3.9 s, which is quicker."""
    known = facts("301", rate=8_000)
    recipe = replace(recipe_for(known, Fit(trim=True)), seconds=Decimal("3.9"))
    result = fit_audio(io.BytesIO(kit.encoded("flac", 6, rate=8_000)), recipe, name=NAME)
    assert heard(result.data)[0] == 3.9
    assert result.what.startswith("Ogg (opus) to MP3, 128 kbit/s mono, cut after 3.9 s, ")
    with av.open(io.BytesIO(result.data)) as container:  # with what the encoder adds, as some count
        stream = container.streams.audio[0]
        assert sum(packet.duration or 0 for packet in container.demux(stream)) * stream.time_base < 4


def test_what_lasts_longer_than_its_packets_said_is_refused(monkeypatch):
    monkeypatch.setattr(module, "AUDIO_MAX_SECONDS", Decimal(4))
    with pytest.raises(MediaError, match="lasts more than 4 s") as caught:
        fitted(kit.encoded("flac", 6, rate=8_000), facts("3", rate=8_000))
    assert "fit.trim: true" in caught.value.mend


def test_a_lower_bit_rate_is_taken_where_the_file_is_too_large_after_all(monkeypatch):
    monkeypatch.setattr(module, "AUDIO_MAX_BYTES", 230_000)
    result = fitted(kit.encoded("flac", 6, rate=8_000))
    assert "256 kbit/s mono" in result.what
    assert 150_000 < len(result.data) <= 230_000


def test_no_bit_rate_that_is_low_enough_is_a_problem(monkeypatch):
    monkeypatch.setattr(module, "AUDIO_MAX_BYTES", 1000)
    with pytest.raises(MediaError, match="smaller than 5 MB"):
        fitted(kit.encoded("ogg", 3, rate=48_000))


def noisy(data: bytes, every: int) -> bytes:
    """From the second kilobyte on, 60 bytes of noise in every so many."""
    noise = np.random.default_rng(1)
    result = bytearray(data)
    for place in range(2000, len(data) - 60, every):
        result[place : place + 60] = noise.bytes(60)
    return bytes(result)


def test_a_little_damage_is_passed_over():
    whole = kit.encoded("flac", 20, rate=16_000)
    result = fitted(noisy(whole, 40_000), facts("20", rate=16_000, container="flac", codec="flac"))
    assert 17 < heard(result.data)[0] <= 20.1


@pytest.mark.parametrize("kind", ["flac", "matroska"])
def test_much_damage_is_a_problem_and_no_more(kind):
    whole = kit.encoded(kind, 20, rate=16_000)
    with pytest.raises(MediaError, match="damaged or cut off") as caught:
        fitted(noisy(whole, 300), facts("20", rate=16_000))
    assert caught.value.mend


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"not a recording" * 100,
        bytes(1000),
        kit.picture(),
        kit.encoded("ogg", 3, rate=48_000)[:200],
    ],
)
def test_what_is_no_recording_is_a_problem_and_no_more(data, tmp_path):
    path = tmp_path / "a.ogg"
    path.write_bytes(data)
    with path.open("rb") as file, pytest.raises(MediaError, match=r"^'a\.ogg' "):
        fit_audio(file, recipe_for(facts()), name=NAME)


def test_a_recording_without_sound_is_a_problem():
    with pytest.raises(MediaError, match="no sound"):
        fitted(kit.film(sound=False), facts())
    with pytest.raises(MediaError, match="no sound that can be decoded"):
        fitted(kit.wav(0), facts())


SAME = """
import sys
sys.path[:0] = [{folder!r}, {folder!r} + "/.."]
import test_media_fit_audio as t
print(t.fitted(t.kit.encoded("flac", 4, rate=44_100)).sha256, t.fitted(t.kit.wav(0.7)).sha256)
"""


def test_the_same_recording_gives_the_same_bytes_in_every_process():
    command = [sys.executable, "-c", SAME.format(folder=str(Path(__file__).parent))]
    outputs = {subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2)}
    assert len(outputs) == 1
    assert fitted(kit.wav(0.7)).sha256 in outputs.pop()


def test_nothing_but_sound_is_kept():
    sent = fitted(kit.with_cover(kit.encoded("mp3", 1, rate=44_100))).data
    assert b"APIC" not in sent and b"ID3" not in sent and b"TAG" not in sent
    assert b"Lavf" not in sent[:200] or b"Lavf6" not in sent


def test_memory_does_not_grow_with_the_length():
    def most(seconds: int) -> int:
        data = kit.encoded("flac", seconds, rate=8_000)
        tracemalloc.start()
        fitted(data, facts(str(seconds), rate=8_000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert abs(most(40) - most(20)) < 2_000_000  # the result itself grows by 0.8 MB
