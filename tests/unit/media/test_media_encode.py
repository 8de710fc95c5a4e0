from __future__ import annotations

import base64
import hashlib
import os
import threading
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import pytest
from media_kit import picture, wav
from PIL import Image

from manifest_runner.errors import MediaError
from manifest_runner.media import Encoder, JobMedia, Ready, encode, preflight
from manifest_runner.models import Box, Job


def planned(folder: Path, **fields: object) -> JobMedia:
    given = {"image": "a.png", "sound_file": "a.wav", **fields}
    job = Job(external_task_id="a", output="a.mp4", **given)  # type: ignore[arg-type]
    found = preflight([job], folder)
    assert found.problems == ()
    return found.media["a"]


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
    assert image(Encoder(folder), media, url) == Ready(text=url, place=Ready(text=url).place)


def test_what_fits_goes_byte_for_byte_as_bare_base64(folder: Path):
    media = planned(folder)
    for ready, name in ((image(Encoder(folder), media), "a.png"), (sound(Encoder(folder), media), "a.wav")):
        assert base64.b64decode(ready.text, validate=True) == (folder / name).read_bytes()
        assert not ready.text.startswith("data:")
        assert ready.done is None


def test_base64_with_line_breaks_goes_without_them(folder: Path):
    data = wav(2.5)
    wrapped = base64.encodebytes(data).decode()
    assert "\n" in wrapped
    media = planned(folder, sound_file=wrapped)
    assert sound(Encoder(folder), media, wrapped).text == base64.b64encode(data).decode()


def test_what_does_not_fit_is_made_to_and_said_to_be(folder: Path):
    (folder / "a.png").write_bytes(picture(kind="WEBP"))
    (folder / "a.wav").write_bytes(wav(1.2))
    media = planned(folder)
    made, heard = image(Encoder(folder), media), sound(Encoder(folder), media)
    with Image.open(BytesIO(base64.b64decode(made.text))) as shown:
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
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(image(encoder, media).text)) for _ in range(6)]
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


def test_a_file_that_is_written_to_while_it_is_read_is_not_sent(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    media, real, data = planned(folder), encode.sha256_of, wav(3)

    def hash_and_change(file: BinaryIO, *, label: str) -> str:
        found = real(file, label=label)
        (folder / "a.wav").write_bytes(data[:-2] + b"xx")
        return found

    monkeypatch.setattr(encode, "sha256_of", hash_and_change)
    with pytest.raises(MediaError, match="has changed between planning and sending"):
        sound(Encoder(folder), media)
