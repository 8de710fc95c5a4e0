"""How many problems are enough: a file that is wrong throughout is not read to its end."""

from __future__ import annotations

ENOUGH = 1000
"""Problems after which the reading stops: nothing can be saved any more, and looking on only costs time."""
