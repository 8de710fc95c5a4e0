"""Manifests: files -> rows with locations -> defaults and names filled in -> validated jobs, or every Problem."""

from manifest_runner.manifest.load import load_manifest
from manifest_runner.manifest.schemas import schema_text
from manifest_runner.manifest.settings import Settings

__all__ = ["Settings", "load_manifest", "schema_text"]
