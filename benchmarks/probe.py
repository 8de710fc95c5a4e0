"""How long it takes to look at a thousand files: with one thread, over the cores, and once more when they are known.

    python -m benchmarks.probe [--files 1000]

Half are photographs as phones make them (JPEG, 12 megapixels), half recordings of 30 s (MP3 of varying bit rate, M4A,
WAV at 48 kHz). Each is a file of its own. All is measured in one go, in this order, with the files in the system's
cache; the peak of memory is that of the whole process.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from PIL import Image

from manifest_runner.media import Preflight, open_cache, preflight
from manifest_runner.models import Job

SECONDS, RATE = 30, 48_000


def photograph() -> bytes:
    """12 megapixels with the detail of a photograph: some 4 MB."""
    dice = np.random.default_rng(7)
    small = Image.fromarray(dice.integers(0, 255, (300, 400, 3), dtype=np.uint8))
    picture = np.asarray(small.resize((4000, 3000), Image.Resampling.BICUBIC), dtype=np.int16)
    noise = dice.integers(-6, 7, picture.shape, dtype=np.int16)
    out = BytesIO()
    Image.fromarray(np.clip(picture + noise, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()


def recording(kind: str, codec: str, **options: str) -> bytes:
    time_of = np.arange(SECONDS * RATE) / RATE
    voice = np.sin(2 * np.pi * 160 * time_of) * (np.sin(2 * np.pi * 3 * time_of) > -0.3)
    samples = (voice * 12_000).astype(np.int16).reshape(1, -1)
    out = BytesIO()
    with av.open(out, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=RATE, options=options, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def make_files(folder: Path, count: int) -> list[Job]:
    """Files that differ in a few bytes behind their end, so that each has to be read and probed."""
    picture = photograph()
    sounds = [
        ("mp3", recording("mp3", "libmp3lame", qscale="4")),
        ("m4a", recording("ipod", "aac", b="96000")),
        ("wav", recording("wav", "pcm_s16le")),
    ]
    long_ago = time.time() - 3600
    jobs = []
    for number in range(count // 2):
        suffix, sound = sounds[number % len(sounds)]
        files = {f"{number}.jpg": picture, f"{number}.{suffix}": sound}
        for name, data in files.items():
            mark = b"free" if name.endswith("m4a") else b"LIST"
            ending = number.to_bytes(8, "big")
            tail = (
                (16).to_bytes(4, "big") + mark + ending
                if mark == b"free"
                else mark + (8).to_bytes(4, "little") + ending
            )
            (folder / name).write_bytes(data + (ending if name.endswith(("jpg", "mp3")) else tail))
            os.utime(folder / name, (long_ago, long_ago))
        jobs.append(
            Job(
                external_task_id=str(number),
                image=f"{number}.jpg",
                sound_file=f"{number}.{suffix}",
                output=f"{number}.mp4",
            )
        )
    return jobs


def timed(what: str, jobs: list[Job], folder: Path, *, workers: int | None, cache: Path) -> Preflight:
    started, used = time.monotonic(), time.process_time()
    with open_cache(cache) as known:
        found = preflight(jobs, folder, workers=workers, cache=known)
    seconds, cpu = time.monotonic() - started, time.process_time() - used
    print(f"{what:<34} {seconds:7.2f} s  ({cpu:.2f} s of processor)")
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=1000)
    count = parser.parse_args().files
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        jobs = make_files(folder, count)
        megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
        print(f"{2 * len(jobs)} files, {megabytes:.0f} MB, {os.cpu_count()} cores")
        results = [
            timed("one thread", jobs, folder, workers=1, cache=folder / "cache-1"),
            timed("over the cores", jobs, folder, workers=None, cache=folder / "cache-2"),
            timed("once more, from the cache", jobs, folder, workers=None, cache=folder / "cache-2"),
        ]
        assert results[0] == results[1] == results[2]
        assert len(results[0].media) == len(jobs), results[0].problems[:3]
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
