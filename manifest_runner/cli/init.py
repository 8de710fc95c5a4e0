"""`manifest-runner init`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click

from manifest_runner.errors import UsageError

CAMPAIGN = """\
# A campaign: each job is one video. `manifest-runner validate campaign.yaml` checks it,
# `plan` shows what would happen and what it would cost, `run` makes the videos.
# Every field is described by: manifest-runner schema manifest
version: 1
campaign: first-campaign
service: sandbox          # local and free. For real videos: kling (with your key in the environment)
concurrency: 3            # tasks at once; an account's pack says how many it allows
budget_units: "50"        # stop before this is passed
output: "{external_task_id}.mp4"

defaults:
  image: assets/portrait.png
  mode: std               # std is 720p, pro is 1080p
  prompt: "Warm and calm, looks into the camera"

jobs:
  - external_task_id: hello-ana
    vars: {first_name: Ana}
    speech: {text: "Hello {first_name}, good to see you!", voice_id: oversea_male1, voice_language: en}
  - external_task_id: hello-ben
    vars: {first_name: Ben}
    speech: {text: "Hello {first_name}, good to see you!", voice_id: oversea_male1, voice_language: en}
  # With a recording of your own (2 to 300 seconds, of nearly any kind; it is made to fit):
  # - external_task_id: welcome-en
  #   sound_file: assets/welcome-en.mp3
  # A thousand rows are easier in a sheet: `jobs: {from: rows.csv}`, one job a row, these names as its header.
"""

IGNORED = "# What manifest-runner makes, and keys\n.manifest-runner/\nout/\n.env\n"


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
def command(folder: Path) -> int:
    """Put a small campaign that runs as it is into FOLDER (default: here). Overwrites nothing."""
    files = {
        folder / "campaign.yaml": CAMPAIGN.encode(),
        folder / ".gitignore": IGNORED.encode(),
        folder / "assets" / "portrait.png": starter_portrait(),
    }
    taken = [str(path) for path in files if path.exists()]
    if taken:
        raise UsageError(f"Already there: {', '.join(taken)}.", mend="Choose another folder.")
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
    except OSError as error:
        raise UsageError(
            f"{folder} can't be written: {error.strerror or error}.", mend="Choose another."
        ) from None
    manifest = folder / "campaign.yaml"
    click.echo(f"Made {manifest}. Try it on the sandbox, which is free:\n  manifest-runner run {manifest}")
    return 0


def starter_portrait() -> bytes:
    """The drawn portrait: inside the package in a wheel, among the examples in a source tree."""
    shipped = resources.files("manifest_runner") / "_starter" / "portrait.png"
    if shipped.is_file():
        return shipped.read_bytes()
    return (Path(__file__).resolve().parents[2] / "examples" / "assets" / "presenter.png").read_bytes()
