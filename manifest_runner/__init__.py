"""Talking-avatar videos from a manifest: each paid once, each result kept, each unit reported."""

__version__ = "0.1.0"
