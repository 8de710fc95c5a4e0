"""Times previews on one core: 10 s and 60 s of 720p, with a mouth that moves and with the level meter.

    python -m benchmarks.preview
    python -m benchmarks.preview --core 1 --repeat 3

Each row is rendered in a process of its own, which is kept to one core; of several runs the quickest counts. The
CPU's seconds are printed beside the clock's, as on a busy machine only they mean anything. Peak memory is that of
the whole process, with Python and its libraries. Exits 1 when 10 s take longer than 2.5 s of CPU or when the memory
for 60 s is more than a twentieth above that for 10 s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from PIL import Image

from benchmarks.contact_sheet import ROOT, SOUND, astronaut
from manifest_runner.models import Mode
from manifest_runner.sandbox.preview.face import finder_version
from manifest_runner.sandbox.sound import SAMPLE_RATE, pcm_blocks

GOAL = 2.5  # seconds for ten of video
GROWTH = 1.05
PRESENTER = ROOT / "examples/assets/presenter.png"


def wide(folder: Path) -> Path:
    """The drawn portrait before a wide wall: a video of 1280 x 720."""
    with Image.open(PRESENTER) as portrait:
        wall = Image.new("RGB", (1280, 720), (222, 205, 184))
        wall.paste(portrait.convert("RGB").resize((540, 720)), (370, 0))
    wall.save(folder / "wide.png")
    return folder / "wide.png"


def speech(seconds: int, folder: Path) -> Path:
    """The welcome of the examples, over and over, as a wav of this length."""
    once = np.concatenate(list(pcm_blocks(SOUND, "mp3")), axis=1)
    samples = np.tile(once, (1, seconds * SAMPLE_RATE // once.shape[1] + 1))[:, : seconds * SAMPLE_RATE]
    path = folder / f"{seconds}.wav"
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="stereo")
        frame = av.AudioFrame.from_ndarray(
            (samples.T.reshape(1, -1) * 32767).astype(np.int16), format="s16", layout="stereo"
        )
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def measure(portrait: Path, sound: Path, core: int, *, mouth: bool) -> dict[str, float]:
    """One rendering in a process of its own: seconds by the clock and of CPU, peak memory in MB."""
    arguments = ["--one", str(portrait), str(sound), "mouth" if mouth else "", "--core", str(core)]
    reply = subprocess.run(
        [sys.executable, "-m", "benchmarks.preview", *arguments], capture_output=True, check=True, cwd=ROOT
    )
    found: dict[str, float] = json.loads(reply.stdout)
    return found


def render_one(portrait: Path, sound: Path, core: int, *, mouth: bool) -> None:
    os.sched_setaffinity(0, {core})
    from manifest_runner.sandbox.preview.render import render  # noqa: PLC0415 after the core is chosen, so no pool is larger
    from manifest_runner.sandbox.preview.scene import Recipe  # noqa: PLC0415

    recipe = Recipe(
        image_key=portrait.name,
        audio_key=sound.name,
        audio_format="wav",
        mode=Mode.STD,
        watermark=False,
        face_finder=finder_version() if mouth else "",
    )
    clock, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        render(recipe, image=portrait, audio=sound, target=Path(folder) / "out.mp4", cancelled=lambda: False)
    print(
        json.dumps(
            {
                "clock": time.perf_counter() - clock,
                "cpu": time.process_time() - cpu,
                "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        portrait, sound, mouth = options.one
        render_one(Path(portrait), Path(sound), options.core, mouth=bool(mouth))
        return 0
    print(f"{'portrait':10} {'shows':6} {'video':>6} {'clock':>8} {'CPU':>8} {'peak':>8}")
    with tempfile.TemporaryDirectory() as folder:
        sounds = {seconds: speech(seconds, Path(folder)) for seconds in (10, 60)}
        portraits = {"720 x 960": PRESENTER, "1280 x 720": wide(Path(folder)), "astronaut": astronaut()}
        within = [
            table(name, portrait, sounds, options.core, options.repeat, mouth=mouth)
            for name, portrait in portraits.items()
            for mouth in (True, False)
        ]
    return int(not all(within))


def table(name: str, portrait: Path, sounds: dict[int, Path], core: int, repeat: int, *, mouth: bool) -> bool:
    """Print a row for each length; whether they keep to the goal and to one amount of memory."""
    best = {}
    for seconds, sound in sounds.items():
        runs = [measure(portrait, sound, core, mouth=mouth) for _ in range(repeat)]
        run = best[seconds] = min(runs, key=lambda run: run["cpu"])
        shows = "mouth" if mouth else "meter"
        print(
            f"{name:10} {shows:6} {seconds:4} s {run['clock']:6.2f} s {run['cpu']:6.2f} s {run['memory']:5.0f} MB",
            flush=True,
        )
    return best[10]["cpu"] <= GOAL and best[60]["memory"] <= GROWTH * best[10]["memory"]


if __name__ == "__main__":
    sys.exit(main())
