"""Eyes closed by warping the picture: data sets have few that are closed.

Ours, not the paper's.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.geometry import FloatArray
from aadn.training.crops import CropSet

EYES = ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47))
"""iBUG's landmarks of an eye: a corner, the upper lid, the other corner, the lower lid back."""

OPEN = 0.2
"""An eye is open if its lids are at least so far apart, over its width."""

SHUT = 0.8, 1.02
"""Range of the share of the opening that the upper lid comes down by; above 1 the lids press."""

RISE = 0.12
"""Share of the opening that the lower lid comes up by."""

ABOVE, BELOW = 0.5, 0.4
"""How far from the lids the skin is stretched, over the eye's width: up towards the brow, and
down."""

LEAST_WIDTH = 6
"""Pixels that an eye must be wide to be closed: the far eye of a profile is too narrow."""


def openness(eye: FloatArray) -> float:
    """How far apart the lids of an eye (6, 2) are, over its width (the eye aspect ratio)."""
    lids = np.linalg.norm(eye[[1, 2]] - eye[[5, 4]], axis=1).mean()
    return float(lids / max(float(np.linalg.norm(eye[3] - eye[0])), 1e-6))


def close_eye(
    image: NDArray[np.uint8], eye: FloatArray, share: float
) -> tuple[NDArray[np.uint8], FloatArray]:
    """A picture with an eye closed, and the eye's landmarks there.

    Across the eye the skin between brow and upper lid is stretched down over it, what is between
    the lids shrinks, and the skin below follows the lower lid a little up. Corners stay.

    Args:
        image: (H, W, 3) uint8.
        eye: (6, 2) pixels in the order of EYES, all known, the corners apart.
        share: of the opening that the upper lid comes down by.
    """
    along = eye[3] - eye[0]
    width = float(np.linalg.norm(along))
    along = along / width
    down = np.array([-along[1], along[0]])
    if (eye[[4, 5]] - eye[[1, 2]]).sum(axis=0) @ down < 0:  # a mirrored face, or one upside down
        down = -down
    lids = [
        np.polyfit(*_in_frame(eye[[0, *upper_or_lower, 3]], eye[0], along, down), 2)
        for upper_or_lower in ((1, 2), (5, 4))
    ]
    low, high = eye.min(axis=0) - width, eye.max(axis=0) + width
    x0, y0 = np.clip(np.floor(low), 0, None).astype(int)
    x1, y1 = np.minimum(np.ceil(high), [image.shape[1], image.shape[0]]).astype(int)
    if x0 >= x1 or y0 >= y1:
        return image, eye
    x, y = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
    s, t = _in_frame(np.stack([x, y], -1), eye[0], along, down)
    upper, lower = (np.asarray(np.polyval(lid, s), np.float64) for lid in lids)
    moved = _source(s, t, upper, lower, width, share)
    inside = (s > 0) & (s < width)
    shift = np.where(inside, moved - t, 0.0)
    source_x, source_y = (
        np.asarray(axis + shift * step, np.float32) for axis, step in zip((x, y), down, strict=True)
    )
    result = image.copy()
    result[y0:y1, x0:x1] = cv2.remap(
        image, source_x, source_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    points = eye.copy()
    for above, below in ((1, 5), (2, 4)):
        opening = eye[below] - eye[above]
        points[above] = eye[above] + min(share, 1 - RISE) * opening
        points[below] = eye[below] - RISE * opening
    return result, points


def _in_frame(
    points: FloatArray, origin: FloatArray, along: FloatArray, down: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Coordinates of points (…, 2) along and down from an eye's corner."""
    return (points - origin) @ along, (points - origin) @ down


def _source(
    s: FloatArray, t: FloatArray, upper: FloatArray, lower: FloatArray, width: float, share: float
) -> FloatArray:
    """Where along `t` what comes to lie at (s, t) was, given the lids there before."""
    lower = np.maximum(lower, upper)
    opening = lower - upper
    shut = upper + min(share, 1 - RISE - 0.02) * opening
    raised = lower - RISE * opening
    top, bottom = upper - ABOVE * width, lower + BELOW * width
    stops_now, stops_then = (top, shut, raised, bottom), (top, upper, lower, bottom)
    result = t.copy()
    for (a, b), (c, d) in zip(pairwise(stops_now), pairwise(stops_then), strict=True):
        part = (a <= t) & (t < b)
        ratio = (d - c) / np.maximum(b - a, 1e-6)
        result = np.where(part, c + (t - a) * ratio, result)
    return result


def _can_close(eye: FloatArray) -> bool:
    return float(np.linalg.norm(eye[3] - eye[0])) >= LEAST_WIDTH and openness(eye) >= OPEN


def with_closed_eyes(crops: CropSet, share: float, seed: int) -> tuple[CropSet, NDArray[np.intp]]:
    """Faces of iBUG's landmarks, and after them some a second time, with their eyes closed.

    Args:
        crops: N faces.
        share: of them that are there again; those whose eyes are open, seen and known can be.
        seed: of which, and how far they are closed. One in five closes one eye alone.

    Returns:
        The faces, and the rows (M,) of `crops` that are there again, in their order.
    """
    rng = np.random.default_rng(seed)
    both = [list(eye) for eye in EYES]
    known = np.isfinite(crops.points).all(axis=2) & (crops.visible == 1)
    can = [
        i
        for i, face in enumerate(crops.points)
        if all(known[i, eye].all() and _can_close(face[eye]) for eye in both)
    ]
    count = min(len(can), round(share * len(crops.points)))
    rows = np.sort(rng.choice(np.array(can, np.intp), count, replace=False))
    images, points = crops.images[rows].copy(), crops.points[rows].copy()
    for i in range(count):
        closed = both if rng.random() < 0.8 else [both[int(rng.integers(2))]]
        amount = float(rng.uniform(*SHUT))
        for eye in closed:
            images[i], points[i, eye] = close_eye(images[i], points[i, eye], amount)

    def again(array: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.concatenate([array, array[rows]])

    return (
        replace(
            crops,
            images=np.concatenate([crops.images, images]),
            points=np.concatenate([crops.points, points]),
            visible=np.asarray(again(crops.visible), np.float64),
            turned=np.asarray(again(crops.turned), np.float64),
            scales=np.asarray(again(crops.scales), np.float64),
            guessed=None if crops.guessed is None else np.asarray(again(crops.guessed), bool),
        ),
        rows,
    )
