"""One tiny MP4 that stands in for every preview, for trials of load: nothing is rendered, yet a real video comes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO

import av
import numpy as np

from manifest_runner.sandbox.folders import RESULTS, Folders
from manifest_runner.sandbox.sound import FRAME_RATE

SIDE, FRAMES = 64, 5  # pixels, pictures


@dataclass(frozen=True, slots=True)
class StandIn:
    """The video and where it lies: `file` is its path inside the state folder."""

    file: str
    content: bytes

    @property
    def etag(self) -> str:
        return self.file[-36:-4]  # of its hash


def make_stand_in(folders: Folders) -> StandIn:
    """Make the video and keep it among the results, where any other would lie. Raises OSError."""
    content = _grey_video()
    file = f"{RESULTS}/{hashlib.sha256(content).hexdigest()}.mp4"
    path = folders.stored_file(file)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)
    return StandIn(file, content)


def _grey_video() -> bytes:
    """The same bytes every time: one encoder thread, no dates in the file."""
    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264", rate=FRAME_RATE, options={"preset": "ultrafast", "threads": "1"}
        )
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        grey = np.full((SIDE * 3 // 2, SIDE), 128, dtype=np.uint8)
        for index in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(grey, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
