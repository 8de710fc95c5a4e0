from __future__ import annotations

import hashlib
import io
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import av
import pytest
from media_kit import encoded, film, mp3_of_variable_rate, picture, recording, wav, with_cover

from manifest_runner.errors import MediaError
from manifest_runner.media import AudioFacts, audio_problems, probe_audio
from manifest_runner.media.opening import opened, sha256_of
from manifest_runner.media.probe import audio as probing
from manifest_runner.media.source import FileSource


def heard(data: bytes) -> float:
    """Seconds of sound that a player makes of it, by decoding all."""
    with av.open(io.BytesIO(data)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


CODECS = {"wav": "pcm_s16le", "mp3": "mp3", "m4a": "aac", "aac": "aac"}


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
@pytest.mark.parametrize("kind", CODECS)
def test_a_duration_is_right_within_a_tenth_of_a_second(kind, rate):
    data = recording(kind, 3.3, rate=rate)
    facts = probe_audio(data)
    assert (facts.container, facts.codec) == (kind, CODECS[kind])
    assert (facts.sample_rate, facts.channels) == (rate, 1)
    assert (facts.bytes, facts.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    # Raw AAC can't say how much of it is the encoder's padding: all of it is heard.
    assert abs(float(facts.seconds) - (heard(data) if kind == "aac" else 3.3)) < 0.1


@pytest.mark.parametrize("kind", ["wav", "mp3", "m4a"])
def test_exactly_two_seconds_are_two(kind):
    facts = probe_audio(recording(kind, 2))
    assert facts.seconds == 2
    assert audio_problems(facts) == []


def test_the_header_of_an_mp3_of_variable_rate_is_not_believed():
    data = mp3_of_variable_rate(12)
    with av.open(io.BytesIO(data)) as container:
        assert container.duration > 18_000_000, "the header should be far off, or this shows nothing"
    assert abs(float(probe_audio(data).seconds) - 12) < 0.1


def test_an_m4a_with_its_index_in_front_is_read_too(tmp_path: Path):
    slow, fast = tmp_path / "slow.m4a", tmp_path / "fast.m4a"
    slow.write_bytes(encoded("m4a", 3))
    with (
        av.open(str(slow)) as source,
        av.open(str(fast), "w", format="ipod", options={"movflags": "+faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    whole = fast.read_bytes()
    assert whole.index(b"moov") < whole.index(b"mdat")
    assert abs(float(probe_audio(fast).seconds) - 3) < 0.1
    with pytest.raises(MediaError, match=r"is cut off: 1\.\d+ s are there, 3\.\d s were recorded"):
        probe_audio(whole[: whole.index(b"mdat") + (len(whole) - whole.index(b"mdat")) // 2])


def test_a_file_is_judged_by_its_content_and_not_by_its_name(tmp_path: Path):
    path = tmp_path / "voice.mp3"
    path.write_bytes(wav(2.5))
    assert probe_audio(path).container == "wav"


@pytest.mark.parametrize(("kind", "codec"), [("ogg", "opus"), ("flac", "flac"), ("matroska", "aac")])
def test_what_the_service_does_not_take_is_still_recognised(kind, codec):
    facts = probe_audio(encoded(kind, 3, rate=48_000))
    assert facts.codec == codec
    assert abs(float(facts.seconds) - 3) < 0.1
    assert "MP3, WAV" in audio_problems(facts)[0][0]


def test_an_album_cover_makes_no_video_of_a_recording():
    assert probe_audio(with_cover(encoded("mp3", 2.5))).container == "mp3"


@pytest.mark.parametrize("sound", [True, False], ids=["with sound", "silent"])
def test_a_video_is_refused(sound):
    with pytest.raises(MediaError, match=r"^'x' is a video") as caught:
        probe_audio(film(sound=sound), name="'x'")
    assert "Export its sound alone" in caught.value.mend


def wav_with(*, data_size: int | None = None, tag: int | None = None, byte_rate: int | None = None) -> bytes:
    """Three seconds of WAV with a field of its header overwritten."""
    data = bytearray(wav(3))
    for place, form, value in ((40, "<I", data_size), (20, "<H", tag), (28, "<I", byte_rate)):
        if value is not None:
            struct.pack_into(form, data, place, value)
    return bytes(data)


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_FFFF], ids=["-1", "the largest"])
def test_a_wav_that_was_streamed_does_not_know_its_size(size):
    assert probe_audio(wav_with(data_size=size)).seconds == 3


def test_a_wav_that_names_no_bytes_a_second_is_counted_all_the_same():
    assert probe_audio(wav_with(byte_rate=0)).seconds == 3


def test_blocks_before_the_sound_of_a_wav_are_stepped_over():
    data = wav(3)
    note = b"LIST\x05\0\0\0INFOx\0"  # of odd length, and padded
    longer = data[:36] + note + data[36:]
    assert probe_audio(longer).seconds == 3
    with pytest.raises(MediaError, match="cut off"):
        probe_audio(longer[:-32_000])


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.1])
def test_a_wav_that_was_cut_off_is_refused(kept):
    data = wav(4)
    with pytest.raises(MediaError, match=r"is cut off: \S+ s are there, 4\.0 s were recorded") as caught:
        probe_audio(data[: int(len(data) * kept)])
    assert "Copy it again" in caught.value.mend


def test_a_last_moment_that_is_missing_does_not_count_as_cut_off():
    assert 3.8 < probe_audio(wav(4)[:-6_400]).seconds < 4


@pytest.mark.parametrize(
    "data",
    [
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"ID3\x04\0\0\0\0\0\x05junk!",
        encoded("m4a", 3)[:3000],
        b"\xff\xfb\x90\x64",
    ],
    ids=["a wav's start", "a tag alone", "an m4a without its index", "an mp3's first bytes"],
)
def test_a_recording_without_its_end_is_called_damaged(data):
    with pytest.raises(MediaError, match="is a recording that is damaged or cut off"):
        probe_audio(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"Dear all, here is the recording that you asked for.\n" * 20, "text"),
        (b"", "an empty file"),
        (bytes(5000), "nothing but zeros"),
        (picture(), "a PNG picture"),
        (picture(kind="JPEG"), "a JPEG picture"),
        (b"<!doctype html><title>Log in</title>", "a web page"),
        (b"PK\x03\x04" + bytes(60), "a ZIP archive"),
    ],
)
def test_what_is_no_recording_is_called_what_it_is(data, words):
    with pytest.raises(MediaError, match=r"^'x\.mp3' is no recording that can be read") as caught:
        probe_audio(data, name="'x.mp3'")
    assert f"it looks like {words}" in caught.value.what
    assert "MP3, WAV, M4A or AAC" in caught.value.mend


def test_a_playlist_opens_nothing(tmp_path: Path):
    (tmp_path / "secret.wav").write_bytes(wav(3))
    playlist = tmp_path / "list.mp3"
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{tmp_path / 'secret.wav'}\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(MediaError, match="looks like a playlist"):
        probe_audio(playlist)


def test_a_codec_that_nobody_knows_is_no_sound_that_can_be_read():
    with pytest.raises(MediaError, match="no sound that can be read"):
        probe_audio(wav_with(tag=0x1234))


def test_a_container_without_any_stream_has_no_sound():
    empty = bytearray(encoded("matroska", 2))
    kind = empty.index(b"\x83\x81\x02")  # TrackType: 2 is audio, 17 is subtitles
    empty[kind + 2] = 17
    with pytest.raises(MediaError, match="has no sound in it"):
        probe_audio(bytes(empty))


def test_counting_stops_soon_after_the_limit():
    one_second = encoded("aac", 1, rate=44_100)
    three_hours = one_second * 10_800
    facts = probe_audio(three_hours[: 60 * 1024 * 1024])
    assert 301 <= facts.seconds < 302
    assert any("more than 300 s" in what for what, *_ in audio_problems(facts))


@pytest.mark.parametrize("kind", ["wav", "mp3", "m4a"])
def test_exactly_300_seconds_are_taken_without_the_padding_that_encoders_add(kind):
    facts = probe_audio(recording(kind, 300, rate=8_000))
    assert facts.seconds == 300
    assert audio_problems(facts) == []


def test_a_moment_more_than_300_seconds_is_not_taken():
    [(what, *_)] = audio_problems(probe_audio(wav(300.01, rate=4_000)))
    assert "more than 300 s" in what


@pytest.mark.parametrize("kind", ["wav", "mp3", "m4a", "aac"])
def test_no_damage_escapes_as_anything_but_a_media_error_and_nothing_is_printed(kind, capfd):
    whole = recording(kind, 2.5)
    index = max(whole.find(b"moov"), 0)
    dice = random.Random(kind)
    outcomes: set[type] = set()
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(dice.choice((1, 5, 40))):
            data[index + dice.randrange(min(len(data) - index, 900))] = dice.randrange(256)
        try:
            facts = probe_audio(bytes(data[: dice.randrange(len(data))] if dice.random() < 0.3 else data))
            outcomes.add(type(facts))
        except MediaError as error:
            outcomes.add(type(error))
    assert outcomes == {AudioFacts, MediaError}
    assert capfd.readouterr() == ("", "")


# Hostile files. Memory is the highest that a program of its own had, from start to end.

MOST_MEMORY = 300  # MB


def probed_in_little_memory(path: Path) -> str:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from manifest_runner.media import probe_audio\n"
        "from manifest_runner.media.opening import opened\n"
        "from manifest_runner.media.source import FileSource\n"
        "from manifest_runner.errors import MediaError\n"
        "try:\n"
        "    with opened(FileSource(sys.argv[1]), Path()) as file:\n"
        "        print(probe_audio(file, name='x', sha256='0'))\n"
        "except MediaError as error:\n"
        "    print('refused:', error.what)\n"
        "status = Path('/proc/self/status')\n"
        "lines = status.read_text().splitlines() if status.exists() else []\n"
        "print(max([int(line.split()[1]) // 1024 for line in lines if line.startswith('VmHWM')], default=0))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stderr == ""
    words, memory = ended.stdout.splitlines()
    assert int(memory) < MOST_MEMORY
    return words


def id3(size: int) -> bytes:
    return bytes(size >> shift & 127 for shift in (21, 14, 7, 0))


def test_an_mp3_with_huge_pictures_is_refused(tmp_path: Path):
    path, size = tmp_path / "pictures.mp3", 250_000_000
    head = b"\0image/png\0\3\0"
    frame = b"APIC" + id3(size + len(head)) + b"\0\0" + head
    with path.open("wb") as file:
        for _ in range(5):
            file.write(b"ID3\4\0\0" + id3(len(frame) + size) + frame + picture()[:100])
            file.seek(size - 100, os.SEEK_CUR)
        file.write(recording("mp3", 3))
    assert "keeps so much else beside its sound" in probed_in_little_memory(path)


def flac_with_pictures(path: Path, size: int, count: int) -> None:
    whole = encoded("flac", 3, rate=48_000)
    block = struct.pack(">II9sIIIIII", 3, 9, b"image/png", 0, 400, 400, 24, 0, size)
    with path.open("wb") as file:
        file.write(b"fLaC" + bytes([whole[4] & 0x7F]) + whole[5:42])
        for _ in range(count):
            file.write(b"\6" + (len(block) + size).to_bytes(3, "big") + block + picture()[:100])
            file.seek(size - 100, os.SEEK_CUR)
        file.write(whole[42:])


def test_a_flac_with_many_large_pictures_is_refused(tmp_path: Path):
    path = tmp_path / "pictures.flac"
    flac_with_pictures(path, 16_000_000, 90)
    assert "keeps so much else beside its sound" in probed_in_little_memory(path)


def test_a_flac_with_a_picture_is_fine(tmp_path: Path):
    path = tmp_path / "picture.flac"
    flac_with_pictures(path, 5_000_000, 1)
    assert probe_audio(path).seconds == 3


def test_an_hour_in_a_wav_of_2_gb_is_still_known_to_be_too_long(tmp_path: Path):
    path, size = tmp_path / "hour.wav", 96_000 * 6 * 3600
    form = struct.pack("<HHIIHH", 1, 2, 96_000, 96_000 * 6, 6, 24)
    path.write_bytes(
        b"RIFF\xff\xff\xff\x7fWAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size)
    )
    os.truncate(path, 44 + size)
    assert "Decimal('301." in probed_in_little_memory(path)


def test_what_lies_between_two_packets_is_bounded(monkeypatch):
    monkeypatch.setattr(probing, "_MOST_BETWEEN", 1000)
    with pytest.raises(MediaError, match="keeps so much else"):
        probe_audio(wav(30))


def test_packets_without_end_are_not_counted_for_ever(monkeypatch):
    monkeypatch.setattr(probing, "_MOST_PACKETS", 10)
    with pytest.raises(MediaError, match="keeps so much else") as caught:
        probe_audio(encoded("aac", 3, rate=44_100), name="'x'")
    assert "Export its sound alone" in caught.value.mend


def test_a_recording_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr(probing, "_SECONDS", -1.0)
    with pytest.raises(MediaError, match="keeps so much else"):
        probe_audio(wav(3))


def test_silence_is_not_listened_to_for_ever(monkeypatch):
    quiet = wav(3)[:44] + bytes(96_000)
    assert probe_audio(quiet).silent
    monkeypatch.setattr(probing, "_LISTENING", -1.0)
    assert not probe_audio(quiet).silent


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="2026-11-25: there is no /proc here")
def test_what_the_kernel_makes_up_is_an_empty_file():
    with opened(FileSource("/proc/version"), Path()) as file:
        assert file.read() == b""


def test_a_file_that_grows_is_called_by_its_name():
    with pytest.raises(MediaError, match=r"^'x' is too large"):
        sha256_of(io.BytesIO(bytes(10)), 5, label="'x'")
