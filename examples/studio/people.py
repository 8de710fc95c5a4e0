"""The two people of the examples: their colours, hair and clothes."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who is drawn: colours, hair and clothes."""

    skin: Colour
    skin_shade: Colour
    lips: Colour
    hair: Colour
    hair_light: Colour
    iris: Colour
    coat: Colour
    coat_shade: Colour
    shirt: Colour
    backdrop: tuple[Colour, Colour]  # the light in the middle, and the corners
    glow: Colour
    long_hair: bool


PRESENTER = Person(
    skin=(240, 196, 168),
    skin_shade=(214, 157, 128),
    lips=(190, 84, 84),
    hair=(74, 44, 36),
    hair_light=(112, 70, 54),
    iris=(86, 62, 44),
    coat=(31, 94, 104),
    coat_shade=(22, 71, 81),
    shirt=(250, 244, 234),
    backdrop=((253, 244, 228), (222, 192, 156)),
    glow=(255, 246, 228),
    long_hair=True,
)
GUIDE = Person(
    skin=(166, 112, 80),
    skin_shade=(130, 82, 56),
    lips=(142, 72, 64),
    hair=(34, 28, 30),
    hair_light=(62, 52, 52),
    iris=(52, 36, 28),
    coat=(226, 160, 58),
    coat_shade=(194, 128, 38),
    shirt=(244, 240, 232),
    backdrop=((208, 230, 232), (120, 164, 178)),
    glow=(236, 247, 246),
    long_hair=False,
)
