"""Texts made into sound: by espeak-ng where its extra is there, else by a hum in the rhythm of the text."""
