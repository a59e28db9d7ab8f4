"""The colours of drawings, RGB. Our choice: seen and covered stay apart for every kind of colour
vision, on skin as well; what is turned away has the colour of what is seen, but is hollow.
"""

from __future__ import annotations

Colour = tuple[int, int, int]

SEEN: Colour = (40, 220, 255)
COVERED: Colour = (255, 110, 20)
LINE: Colour = (255, 255, 255)
BOX: Colour = (255, 230, 60)
OCCLUDED: Colour = (255, 0, 90)
EDGE: Colour = (20, 20, 20)
TRUTH: Colour = (240, 60, 255)
"""Labelled landmarks beside predicted ones."""


def css(colour: Colour) -> str:
    """The colour as style sheets write it, "#28dcff"."""
    return "#" + bytes(colour).hex()
