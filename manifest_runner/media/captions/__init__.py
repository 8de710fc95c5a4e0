"""Captions from a text and the pauses of the voice that speaks it."""
