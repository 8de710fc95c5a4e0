"""Manifests: files -> rows with locations -> defaults and names filled in -> validated jobs, or every Problem."""

from manifest_runner.manifest.layout import Layout
from manifest_runner.manifest.load import load_manifest
from manifest_runner.manifest.made import Altered, Jobs, jobs_at
from manifest_runner.manifest.outputs import same_file_key
from manifest_runner.manifest.schemas import bundled_schema_text, schema_text
from manifest_runner.manifest.settings import Settings
from manifest_runner.manifest.sketch import Sketch

__all__ = [
    "Altered",
    "Jobs",
    "Layout",
    "Settings",
    "Sketch",
    "bundled_schema_text",
    "jobs_at",
    "load_manifest",
    "same_file_key",
    "schema_text",
]
