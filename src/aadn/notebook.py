"""Faces as a notebook shows them: their picture with dots and rings on it, as SVG."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.palette import BOX, COVERED, SEEN, css

LARGEST = 640
"""Longest side in pixels of the shown picture (our choice)."""


def svg(
    image: NDArray[np.uint8],
    outlines: Sequence[NDArray[np.floating]],
    points: NDArray[np.floating],
    covered: NDArray[np.bool_],
    turned: NDArray[np.bool_],
) -> str:
    """A picture with its faces: boxes, dots for seen landmarks, rings for covered ones, hollow dots
    for those that are turned away.

    Args:
        image: (H, W, 3) uint8 RGB.
        outlines: the corners (4, 2) of each of N boxes, in its pixels.
        points: (N, L, 2) in its pixels.
        covered, turned: (N, L).
    """
    height, width = image.shape[:2]
    shrink = min(1.0, LARGEST / max(height, width))
    shown = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = cv2.resize(image, shown, interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1].tobytes()
    marks = "".join(
        _marks(*face, 1.2 / shrink) for face in zip(outlines, points, covered, turned, strict=True)
    )
    # The view box is in picture pixels, whose centres are whole numbers.
    return (
        f'<svg width="{shown[0]}" height="{shown[1]}" viewBox="-0.5 -0.5 {width} {height}">'
        f'<image x="-0.5" y="-0.5" width="{width}" height="{height}" '
        f'href="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"/>{marks}</svg>'
    )


def _marks(
    outline: NDArray[np.floating],
    points: NDArray[np.floating],
    covered: NDArray[np.bool_],
    turned: NDArray[np.bool_],
    smallest: float,
) -> str:
    """One face. Sizes follow its box; a dot's radius is at least `smallest` picture pixels."""
    sides = np.linalg.norm(np.diff(outline[:3], axis=0), axis=1)
    radius = max(float(sides.max()) / 100, smallest)
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in outline)
    marks = [
        f'<polygon points="{corners}" '
        f'fill="none" stroke="{css(BOX)}" stroke-width="{radius / 2:.2f}"/>'
    ]
    width = f'stroke-width="{radius / 2:.2f}"'
    for (x, y), is_covered, is_turned in zip(points, covered, turned, strict=True):
        if is_covered:
            paint = f'fill="none" stroke="{css(COVERED)}" {width}'
        elif is_turned:
            paint = f'fill="none" stroke="{css(SEEN)}" {width}'
        else:
            paint = f'fill="{css(SEEN)}"'
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.2f}" {paint}/>')
    return "".join(marks)
