from __future__ import annotations

import base64
import hashlib
import os
import threading
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from media_kit import picture, wav
from PIL import Image

from manifest_runner.errors import MediaError
from manifest_runner.media import Encoder, JobMedia, Ready, encode, preflight
from manifest_runner.media.source import FileSource
from manifest_runner.models import Box, Job


def planned(folder: Path, **fields: object) -> JobMedia:
    given = {"image": "a.png", "sound_file": "a.wav", **fields}
    job = Job(external_task_id="a", output="a.mp4", **given)  # type: ignore[arg-type]
    found = preflight([job], folder)
    assert found.problems == ()
    return found.of(job)


def image(encoder: Encoder, media: JobMedia, name: str = "a.png") -> Ready:
    return encoder.image(name, media.image, media.image_recipe)


def sound(encoder: Encoder, media: JobMedia, name: str = "a.wav") -> Ready:
    return encoder.sound(name, media.audio, media.audio_recipe)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(picture())
    (tmp_path / "a.wav").write_bytes(wav(3))
    return tmp_path


def test_a_url_goes_as_it_is(folder: Path):
    url = "https://example.com/a.png?signature=1%2F2"
    media = planned(folder, image=url)
    assert image(Encoder(folder), media, url) == Ready(media=url, place=Ready(media=url).place)


def test_what_fits_goes_byte_for_byte(folder: Path):
    media = planned(folder)
    for ready, name in ((image(Encoder(folder), media), "a.png"), (sound(Encoder(folder), media), "a.wav")):
        assert ready.media == (folder / name).read_bytes()
        assert ready.done is None


def test_base64_with_line_breaks_is_what_it_stands_for(folder: Path):
    data = wav(2.5)
    wrapped = base64.encodebytes(data).decode()
    assert "\n" in wrapped
    media = planned(folder, sound_file=wrapped)
    assert sound(Encoder(folder), media, wrapped).media == data


def test_what_does_not_fit_is_made_to_and_said_to_be(folder: Path):
    (folder / "a.png").write_bytes(picture(kind="WEBP"))
    (folder / "a.wav").write_bytes(wav(1.2))
    media = planned(folder)
    made, heard = image(Encoder(folder), media), sound(Encoder(folder), media)
    with Image.open(BytesIO(made.media)) as shown:
        assert shown.format == "JPEG"
    assert made.done is not None and made.done.startswith("WebP to JPEG")
    assert heard.done is not None and "padded with silence from 1.2 s to 2 s" in heard.done
    assert media.seconds == 2


def test_a_box_of_the_persons_picture_is_found_in_the_one_that_is_sent(folder: Path):
    (folder / "a.png").write_bytes(picture(1000, 500, "WEBP"))
    media = planned(folder)
    assert image(Encoder(folder), media).place(Box(100, 50, 20, 10)) == Box(100, 50, 20, 10)
    (folder / "a.png").write_bytes(picture(8192, 4096))
    media = planned(folder)
    assert image(Encoder(folder), media).place(Box(100, 50, 20, 10)) == Box(50, 25, 10, 5)


def test_a_portrait_that_many_jobs_share_is_made_to_fit_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "a.png").write_bytes(picture(kind="WEBP"))
    media, encoder, made = planned(folder), Encoder(folder), []
    real = encode.fit_image

    def counted(*given: object, **named: object) -> object:
        made.append(given)
        return real(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(encode, "fit_image", counted)
    texts: list[str | bytes] = []
    threads = [threading.Thread(target=lambda: texts.append(image(encoder, media).media)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(texts), len(set(texts))) == (1, 6, 1)


@pytest.mark.parametrize("same_size_and_time", [False, True])
def test_a_file_that_changed_after_it_was_probed_is_not_sent(folder: Path, same_size_and_time):
    media, file = planned(folder), folder / "a.wav"
    before = file.stat()
    other = bytearray(wav(3))
    other[-1] ^= 1
    file.write_bytes(other if same_size_and_time else wav(4))
    if same_size_and_time:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(MediaError, match=r"'a\.wav' has changed between planning and sending") as caught:
        sound(Encoder(folder), media)
    assert "run again" in caught.value.mend


def test_a_file_that_is_gone_is_said_in_words(folder: Path):
    media = planned(folder)
    (folder / "a.png").unlink()
    with pytest.raises(MediaError, match=r"There is no file 'a\.png'"):
        image(Encoder(folder), media)


def test_the_hash_that_was_planned_is_of_the_persons_own_file(folder: Path):
    (folder / "a.png").write_bytes(picture(kind="WEBP"))
    media = planned(folder)
    assert media.image is not None
    assert media.image.sha256 == hashlib.sha256((folder / "a.png").read_bytes()).hexdigest()


def squeezed(path: Path, times: int) -> None:
    """A recording of 40 s whose packets claim to last a fraction of it."""
    rate = 48_000
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("libopus", rate=rate, layout="mono")
        to_frames = av.AudioResampler("s16", "mono", rate)
        voice = (np.sin(np.arange(40 * rate) * 0.05) * 8000).astype(np.int16)

        def put(packets: list[av.Packet]) -> None:
            for packet in packets:
                if packet.pts is not None:
                    packet.pts //= times
                    packet.dts = packet.pts
                if packet.duration:
                    packet.duration = max(1, packet.duration // times)
                container.mux(packet)

        for start in range(0, len(voice), 4800):
            frame = av.AudioFrame.from_ndarray(voice[None, start : start + 4800], "s16", "mono")
            frame.sample_rate, frame.pts = rate, start
            for part in to_frames.resample(frame):
                put(stream.encode(part))
        put(stream.encode(None))


def test_a_recording_that_is_longer_than_it_says_is_not_sent(folder: Path):
    """Its estimate, and what the budget holds back for it, would be far too low."""
    squeezed(folder / "long.mka", 10)
    media = planned(folder, sound_file="long.mka")
    assert media.seconds is not None and media.seconds < 10
    with pytest.raises(MediaError, match="more sound in it than its index says"):
        sound(Encoder(folder), media, "long.mka")


def test_a_file_that_is_written_to_while_it_is_made_to_fit_is_not_sent(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "a.wav").write_bytes(wav(1.2))
    media, real = planned(folder), encode.fit_audio

    def fit_and_change(*given: object, **named: object) -> object:
        made = real(*given, **named)  # type: ignore[arg-type]
        (folder / "a.wav").write_bytes(wav(1.2)[:-2] + b"xx")
        return made

    monkeypatch.setattr(encode, "fit_audio", fit_and_change)
    with pytest.raises(MediaError, match="has changed between planning and sending"):
        sound(Encoder(folder), media)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that the encoder opens, in order."""
    found, real = [], encode.opened

    def counted(source: FileSource, *given: object):
        found.append(source.path)
        return real(source, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(encode, "opened", counted)
    return found


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_a_thousand_jobs_share_is_read_once_and_in_memory_once(
    folder: Path, readings: list[str], kind: str
):
    (folder / "a.png").write_bytes(picture(kind=kind))
    media, encoder = planned(folder), Encoder(folder)
    first = image(encoder, media).media
    once = len(readings)
    assert all(image(encoder, media).media is first for _ in range(1000))
    assert len(readings) == once == (1 if kind == "PNG" else 2)  # hashed, and read to be made to fit


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_shared_file_that_changes_within_a_run_is_not_sent(folder: Path, kind: str):
    (folder / "a.png").write_bytes(picture(kind=kind))
    media, encoder = planned(folder), Encoder(folder)
    image(encoder, media)
    (folder / "a.png").write_bytes(picture(310, 310, kind))
    with pytest.raises(MediaError, match="has changed between planning and sending"):
        image(encoder, media)


def test_a_file_that_was_only_touched_is_read_again_and_sent(folder: Path, readings: list[str]):
    media, encoder = planned(folder), Encoder(folder)
    first = image(encoder, media).media
    os.utime(folder / "a.png", (1, 1))
    assert image(encoder, media).media == first
    assert readings == ["a.png", "a.png"]


def test_one_job_never_gets_what_was_checked_for_another(folder: Path):
    """Two rows name the same file, which changed between their checks: only the one whose content is there goes."""
    before, encoder = planned(folder), Encoder(folder)
    (folder / "a.png").write_bytes(picture(310, 310))
    after = planned(folder)
    assert image(encoder, after).media == (folder / "a.png").read_bytes()
    with pytest.raises(MediaError, match="has changed"):
        image(encoder, before)
    assert image(encoder, after).media == (folder / "a.png").read_bytes()


def test_what_was_read_while_its_file_changed_is_not_remembered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """A file that is another for a moment must not be taken for it in all the rest of the run."""
    (folder / "b.png").write_bytes(picture(310, 310))
    (folder / "link.png").symlink_to("a.png")
    media, encoder, real = planned(folder, image="link.png"), Encoder(folder), encode.opened

    def lead_to(name: str) -> None:
        (folder / "new").symlink_to(name)
        (folder / "new").replace(folder / "link.png")

    def swapped(*given: object) -> object:
        lead_to("b.png")
        return real(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as swapping:
        swapping.setattr(encode, "opened", swapped)
        with pytest.raises(MediaError, match="has changed"):
            image(encoder, media, "link.png")
    lead_to("a.png")
    assert image(encoder, media, "link.png").media == (folder / "a.png").read_bytes()
    memory = encoder._plain_pictures
    assert (len(memory._made), len(memory._making)) == (1, 1)


def test_what_is_remembered_has_its_bound(folder: Path, readings: list[str], monkeypatch: pytest.MonkeyPatch):
    for name in "bcd":
        (folder / f"{name}.wav").write_bytes(wav(3))
    size = len(wav(3))
    monkeypatch.setattr(encode, "_SOUNDS_REMEMBERED", 2 * size)
    media, encoder = planned(folder), Encoder(folder)
    for name in "abcda":
        sound(encoder, media, f"{name}.wav")
    assert readings == [f"{name}.wav" for name in "abcda"]
    memory = encoder._plain_sounds
    assert (memory._bytes, len(memory._made), len(memory._making)) == (2 * size, 2, 2)


def test_a_file_that_grew_too_large_is_not_read_whole(folder: Path):
    media = planned(folder)
    with (folder / "a.wav").open("ab") as file:
        file.truncate(6_000_000)
    with pytest.raises(MediaError, match=r"'a\.wav' has more than 5\.0 MB"):
        sound(Encoder(folder), media)


def test_what_is_remembered_twice_is_counted_once():
    memory: encode._Memory[encode._Plain] = encode._Memory(most_bytes=10)
    for _ in range(5):
        memory._keep("a", encode._Plain(b"12345678", "hash"))
    memory._keep("b", encode._Plain(b"1", "hash"))
    assert list(memory._made) == ["a", "b"]
    memory._keep("c", encode._Plain(b"12345678901", "hash"))
    assert not memory._made
