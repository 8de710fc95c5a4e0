"""Makes `media_kit` and `spoken_kit` importable in the folders below: pytest puts this folder on the path."""
