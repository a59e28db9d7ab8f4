"""Tiles with captions on one sheet, and the marks on them: what sheets of mistakes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.files import write_whole
from aadn.media.encode import encode
from aadn.palette import EDGE, TRUTH, Colour

Image = NDArray[np.uint8]

Mark = Callable[[Image, tuple[int, int]], None]
"""Draws what a legend explains, around a place (x, y) of a picture and within 10 pixels of it."""

QUALITY = 92
"""Of the JPEG files (our choice)."""

_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.55


def sheet(
    tiles: Sequence[Image], legend: Sequence[tuple[Mark, str]], columns: int = 5, gap: int = 8
) -> Image:
    """Tiles of one size in rows, and below them what the marks mean; (H, W, 3) uint8 RGB."""
    columns = min(columns, len(tiles))
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    below = 40
    starts = _starts([words for _, words in legend])
    total = (rows * (height + gap) + gap + below, max(columns * (width + gap) + gap, starts[-1]), 3)
    canvas = np.full(total, 255, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (gap + (i // columns) * (height + gap), gap + (i % columns) * (width + gap))
        canvas[y : y + height, x : x + width] = tile
    middle = total[0] - below // 2
    for start, (mark, words) in zip(starts, legend, strict=False):
        mark(canvas, (start, middle))
        text(canvas, words, (start + 14, middle + 6))
    return canvas


def _starts(words: Sequence[str]) -> list[int]:
    """Where the marks of a legend stand, and where it ends, in pixels."""
    starts = [20]
    for one in words:
        (width, _), _ = cv2.getTextSize(one, _FONT, _SCALE, 1)
        starts.append(starts[-1] + width + 44)
    return starts


def captioned(tile: Image, *lines: str) -> Image:
    """A tile with lines of text above it."""
    strip = np.full((24 * len(lines) + 8, tile.shape[1], 3), 255, np.uint8)
    for i, words in enumerate(lines):
        text(strip, words, (8, 24 * i + 22))
    return np.concatenate([strip, tile])


def text(canvas: Image, words: str, at: tuple[int, int]) -> None:
    """Write a line on a picture, its left end and foot at (x, y); beyond ASCII OpenCV has none."""
    cv2.putText(canvas, words, at, _FONT, _SCALE, EDGE, 1, cv2.LINE_AA)


def cross(canvas: Image, at: NDArray[np.floating], reach: float = 3.5) -> None:
    """Mark a true landmark."""
    for colour, thickness in ((EDGE, 4), (TRUTH, 2)):
        for side in (1, -1):
            step = reach * np.array([1, side])
            line(canvas, at - step, at + step, colour, thickness)


def line(
    canvas: Image,
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    colour: Colour,
    thickness: int,
) -> None:
    """Draw a line between two points (2,)."""
    a, b = (np.rint(point * 16).astype(int).tolist() for point in (start, end))
    cv2.line(canvas, a, b, colour, thickness, cv2.LINE_AA, 4)  # in sixteenths of a pixel


def write_jpeg(path: Path, image: Image) -> None:
    """Write a picture as JPEG, whole or not at all; OutputError if that fails."""
    write_whole(path, encode(image, path, quality=QUALITY))
