"""What an index may claim: real files of every layout pass, small ones that speak of millions never reach FFmpeg."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import pytest
from media_kit import encoded, film, recording

from manifest_runner.errors import MediaError
from manifest_runner.media import probe_audio, probe_video
from manifest_runner.media.probe.boxes import MOST_SAMPLES, check_index, index_of, is_mp4

MANY = 80_000_000


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def table(kind: bytes, *numbers: int) -> bytes:
    """A full box (version and flags first) of 32-bit numbers."""
    return box(kind, bytes(4), struct.pack(f">{len(numbers)}I", *numbers))


def long_box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body


def in_track(*tables: bytes) -> bytes:
    return box(b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", *tables)))))


def index(data: bytes) -> bytes:
    return index_of(io.BytesIO(data), "It")


def bomb(*, video: bool) -> bytes:
    """600 bytes that are a whole file in FFmpeg's eyes: one track of MANY samples of one byte."""
    head, media = box(b"ftyp", b"M4A \0\0\0\0M4A mp42isom"), box(b"mdat", bytes(64))
    if video:
        entry = box(b"mp4v", bytes(6), b"\0\1", bytes(16), struct.pack(">HH", 320, 320), bytes(50))
        media_head = table(b"vmhd", 0, 0)
    else:
        entry = box(b"ulaw", bytes(6), b"\0\1", bytes(8), struct.pack(">HHHHI", 1, 16, 0, 0, 8000 << 16))
        media_head = table(b"smhd", 0)
    tables = box(
        b"stbl",
        box(b"stsd", bytes(4), struct.pack(">I", 1), entry),
        table(b"stts", 1, MANY, 1024),
        table(b"stsc", 1, 1, MANY, 1),
        table(b"stsz", 1, MANY),
        table(b"stco", 1, len(head) + 8),
    )
    handler = box(b"hdlr", bytes(8), b"vide" if video else b"soun", bytes(12), b"x\0")
    references = box(b"dinf", box(b"dref", bytes(4), struct.pack(">I", 1), box(b"url ", b"\0\0\0\1")))
    inside = box(
        b"mdia",
        table(b"mdhd", 0, 0, 8000, 0xFFFFFF, 0x55C40000),
        handler,
        box(b"minf", media_head, references, tables),
    )
    track_head = box(b"tkhd", b"\0\0\0\3", struct.pack(">IIIII", 0, 0, 1, 0, 1), bytes(60))
    film_head = box(b"mvhd", bytes(4), struct.pack(">IIII", 0, 0, 1000, 1000), bytes(80))
    return head + media + box(b"moov", film_head, box(b"trak", track_head, inside))


def test_a_recording_of_six_hundred_bytes_that_speaks_of_millions():
    with pytest.raises(MediaError, match=r"'a\.m4a' claims to have 80,000,000 samples") as caught:
        probe_audio(bomb(video=False), name="'a.m4a'")
    assert "MP3 or M4A" in caught.value.mend


def test_a_video_of_six_hundred_bytes_that_speaks_of_millions(tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.write_bytes(bomb(video=True))
    with pytest.raises(MediaError, match="The file claims to have 80,000,000 samples"):
        probe_video(path)


@pytest.mark.parametrize(
    ("index", "claim"),
    [
        (in_track(table(b"stsz", 1, MANY)), "80,000,000 samples"),
        (in_track(table(b"stz2", 8, MANY)), "80,000,000 samples"),
        (in_track(long_box(b"stsz", bytes(4) + struct.pack(">II", 1, MANY))), "80,000,000 samples"),
        (in_track(table(b"stsz", 1, MOST_SAMPLES + 1)), "1,000,001 samples"),
        (in_track(table(b"stsz", 1, 600_000)) * 2, "1,200,000 samples"),
        (box(b"moof", box(b"traf", table(b"trun", MANY))), "80,000,000 samples"),
        (box(b"moof", box(b"traf", table(b"senc", MANY))), "80,000,000 samples"),
        (box(b"moov", box(b"cmov", box(b"dcom", b"zlib"))), "compressed index"),
        (in_track(table(b"stsc", 1, 1, 2**31, 1), table(b"stco", 1, 8)), "1 chunks of up to 2,147,483,648"),
        (
            in_track(table(b"stsc", 2, 1, 1, 1, 2, 10**6, 1), table(b"stco", 201, *[8] * 201)),
            "201 chunks of up to 1,000,000",
        ),
        (in_track(table(b"stsc", 1, 1, 10**6, 1), table(b"co64", 201, *[0, 8] * 201)), "201 chunks"),
        (in_track(table(b"elst", 50, *[1] * 150), table(b"stsz", 1, 100_000)), "an edit list of 50 entries"),
        (
            b"stsc" * 1_000_000,
            "change the size of its chunks",
        ),  # looked through one by one, it would take hours
        # where FFmpeg takes a table too, and where a walk along the right way would never look
        (box(b"free", box(b"mvhd"), in_track(table(b"stsz", 1, MANY))), "80,000,000 samples"),
        (
            in_track(box(b"stsd", bytes(8), box(b"mp4a", bytes(28), table(b"stsz", 1, MANY)))),
            "80,000,000 samples",
        ),
        (b"\xff\xff\xff\xffmoov\xff\xff\xff\xffstsz" + struct.pack(">III", 0, 1, MANY), "80,000,000 samples"),
    ],
)
def test_claims_that_no_file_needs(index: bytes, claim: str):
    with pytest.raises(MediaError, match="which no file of this kind needs") as caught:
        check_index(index, "It")
    assert claim in caught.value.what


@pytest.mark.parametrize(
    "index",
    [
        in_track(table(b"stsz", 0, 4, 1, 2, 3, 4), table(b"stsc", 1, 1, 4, 1), table(b"stco", 1, 8)),
        in_track(table(b"stsz", 1, MOST_SAMPLES)),
        in_track(table(b"elst", 2, *[1] * 6), table(b"stsz", 1, 100_000)),
        in_track(table(b"stsc", 1, 1, 48_000, 1), table(b"stco", 300, *[8] * 300)),  # five minutes of PCM
        b"",
        b"stsz",
        b"\0\0\0\1stsz\0",
        bytes(100),
        b"\0\0\0\3moov" + bytes(20),
    ],
)
def test_claims_that_are_fine(index: bytes):
    check_index(index, "It")


FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


@pytest.mark.parametrize("muxer", [{}, FRAGMENTED], ids=["plain", "fragmented"])
def test_real_recordings_of_every_layout_pass(muxer: dict[str, str]):
    data = encoded("m4a", 3, muxer=muxer)
    assert is_mp4(data)
    assert abs(float(probe_audio(data).seconds) - 3) < 0.1


@pytest.mark.parametrize("kind", ["wav", "mp3", "aac", "ogg", "flac", "matroska"])
def test_other_kinds_of_files_have_no_such_index(kind: str):
    data = recording(kind, 2)
    assert not is_mp4(data)
    assert probe_audio(data).container == kind


def with_cover(m4a: bytes, picture: bytes) -> bytes:
    """An M4A whose last box, the index, has an album's picture in it."""
    start = m4a.rindex(b"moov") - 4
    cover = box(b"covr", box(b"data", struct.pack(">II", 13, 0), picture))
    handler = box(b"hdlr", bytes(8), b"mdirappl", bytes(9))
    return m4a[:start] + box(
        b"moov", m4a[start + 8 :], box(b"udta", box(b"meta", bytes(4), handler, box(b"ilst", cover)))
    )


def test_the_name_of_a_table_may_stand_in_the_media_and_in_a_picture_by_chance():
    noise = b"stsz" + b"\xff" * 100
    plain = recording("m4a", 2)
    start = plain.index(b"mdat") - 4
    length = int.from_bytes(plain[start : start + 4])
    assert noise not in index(plain[:start] + box(b"mdat", noise) + plain[start + length :])
    data = with_cover(plain.replace(b"udta", b"skip"), noise)
    assert noise in data
    assert probe_audio(data).seconds == 2


def test_a_picture_is_no_place_to_hide_a_table_in():
    """Without the handler first, FFmpeg would look for it further down, and read on from there."""
    hidden = box(b"hdlr", bytes(24)) + table(b"stsz", 1, MANY)
    meta = box(b"meta", bytes(4), box(b"ilst", box(b"covr", hidden)))
    with pytest.raises(MediaError, match="80,000,000 samples"):
        check_index(box(b"moov", box(b"udta", meta)), "It")


def test_what_is_cut_out_is_the_media_and_nothing_else():
    start, end = box(b"ftyp", b"isom"), box(b"moov", bytes(8))
    assert index(start + box(b"mdat", bytes(50)) + end) == start + end
    assert index(start + long_box(b"mdat", bytes(50)) + end) == start + end
    assert index(start + b"\0\0\0\0mdat" + bytes(50)) == start
    assert index(start + b"\0\0\0\3mdat" + bytes(50)) == start + b"\0\0\0\3mdat" + bytes(50)
    assert index(start + struct.pack(">I4s", 2**31, b"mdat") + bytes(50)) == start
    assert index(start + b"moo") == start + b"moo"


def titled(data: bytes, kind: str) -> bytes:
    """The same file with a title whose bytes are no UTF-8."""
    source, target = io.BytesIO(data), io.BytesIO()
    with av.open(source) as given, av.open(target, "w", format=kind) as made:
        made.metadata["title"] = "TITLE-OF-IT"
        streams = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
    changed = target.getvalue().replace(b"TITLE-OF-IT", b"Caf\xe9 \xff\xfe\xfd de")
    assert changed != target.getvalue()
    with pytest.raises(UnicodeDecodeError):
        av.open(io.BytesIO(changed))
    return changed


@pytest.mark.parametrize(("kind", "container"), [("m4a", "ipod"), ("wav", "wav")])
def test_a_title_in_another_encoding_is_no_damage(kind: str, container: str):
    assert abs(float(probe_audio(titled(recording(kind, 2), container)).seconds) - 2) < 0.1


def test_a_video_with_a_title_in_another_encoding_is_whole(tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.write_bytes(titled(film(), "mp4"))
    assert probe_video(path).seconds == 2


def test_a_video_with_more_beside_its_media_than_any_index_needs(tmp_path: Path):
    path = tmp_path / "a.mp4"
    with path.open("wb") as file:
        file.write(film())
        file.write(struct.pack(">I4s", 33 * 2**20, b"free"))
        file.truncate(file.tell() - 8 + 33 * 2**20)  # sparse: takes no room
    with pytest.raises(MediaError, match="bytes that are no media"):
        probe_video(path)
