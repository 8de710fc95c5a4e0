"""A preview: a portrait that speaks, blinks and breathes with a recording, as an MP4."""
