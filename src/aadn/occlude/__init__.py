"""Synthetic occluders that know what they hide, and so label each landmark's visibility."""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.geometry import box_of_points
from aadn.occlude import evaluation_drawings as trial
from aadn.occlude.cutouts import Cutouts, drop_thing, wear_mask, wear_sunglasses
from aadn.occlude.overlay import FaceFrame, Image, Overlay
from aadn.occlude.painters import PAINTERS
from aadn.occlude.textures import Look, Paints

__all__ = ["Cutouts", "FaceFrame", "Look", "Occlude", "Overlay", "Paints", "TestOccluder",
           "occlude_picture", "paint_occluders"]  # fmt: skip

TestOccluder = Literal["rectangle", "mask", "sunglasses", "hand"]
Occlude = Literal["none", TestOccluder]
"""What an evaluation puts on faces, or nothing."""

_NAMES = list(PAINTERS)
_WEIGHTS = np.array([weight for _, weight in PAINTERS.values()])
_WEIGHTS /= _WEIGHTS.sum()
_CLEAN = 0.3
"""Share of training faces without any occluder (our choice)."""


def paint_occluders(
    overlay: Overlay,
    points: NDArray[np.floating],
    rng: np.random.Generator,
    paints: Paints,
    cutouts: Cutouts | None = None,
) -> None:
    """Paint none to three random occluders for training over a face.

    Args:
        overlay: what is painted on.
        points: (L, 2) landmarks in the overlay's pixels; NaN = not labelled, but not all of them.
        rng: all randomness comes from here.
        paints: textures.
        cutouts: used for half of the masks, sunglasses and things where given.
    """
    if rng.random() < _CLEAN:
        return
    frame = FaceFrame.of(points)
    for _ in range(int(rng.choice([1, 2, 3], p=[0.65, 0.27, 0.08]))):
        name = str(rng.choice(_NAMES, p=_WEIGHTS))
        layer = Overlay(*overlay.shape)
        real = cutouts is not None and rng.random() < 0.5
        if real and cutouts and name == "mask" and cutouts.masks:
            wear_mask(layer, frame, points, rng, cutouts.masks)
        elif real and cutouts and name == "sunglasses" and cutouts.sunglasses:
            wear_sunglasses(layer, frame, rng, cutouts.sunglasses)
        elif real and cutouts and name in ("blob", "held_thing") and cutouts.things:
            drop_thing(layer, frame, rng, cutouts.things)
        else:
            PAINTERS[name][0](layer, frame, points, rng, paints)
        _photograph(overlay, layer, frame, rng, grey=bool(paints.look and paints.look.grey))


def _photograph(
    overlay: Overlay, layer: Overlay, frame: FaceFrame, rng: np.random.Generator, *, grey: bool
) -> None:
    """Lay one thing over the rest as a camera sees it: blurred a little, with a shadow below."""
    if grey:
        layer.colour[:] = layer.colour.mean(axis=2, keepdims=True)
    # Sharper than a photograph's own edges, a pasted thing is found by its edge alone.
    sigma, streak = float(rng.uniform(0.2, 0.8)), None
    odd = rng.random()
    if odd < 0.08:
        sigma = frame.unit * float(rng.uniform(0.02, 0.07))
    elif odd < 0.13:
        angle = rng.uniform(0, 2 * np.pi)
        length = frame.unit * rng.uniform(0.05, 0.25)
        streak = np.array([np.cos(angle), np.sin(angle)]) * length
    layer.soften(sigma, streak)
    if rng.random() < 0.5:
        shift = rng.normal(0, 0.05, 2) * frame.unit + [0, 0.04 * frame.unit]
        move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
        moved = cv2.warpAffine(layer.hiding, move, overlay.shape[::-1])
        dark = cv2.GaussianBlur(moved, (0, 0), frame.unit * float(rng.uniform(0.02, 0.08)))
        dark = np.asarray(dark, np.float32) * np.float32(rng.uniform(0.1, 0.5))
        overlay.paint(dark, (12, 8, 8), hides=False)
    overlay.lay(layer)


def occlude_picture(
    image: Image,
    points: NDArray[np.floating],
    kind: TestOccluder,
    rng: np.random.Generator,
    cutouts: Cutouts | None = None,
) -> tuple[Image, NDArray[np.bool_]]:
    """Hide a part of a face for an evaluation.

    "rectangle" covers 30 % of the landmark box with noise, "mask" and "sunglasses" come from
    `cutouts` where given and are drawn otherwise, "hand" is drawn. Training paints none of these
    drawings: they are those of `trial`, and noise.

    Args:
        image: (H, W, 3) uint8 RGB.
        points: (L, 2) landmarks in its pixels, finite.
        kind: what to put on the face.
        rng: all randomness comes from here.
        cutouts: occluders cut out of photographs.

    Returns:
        The occluded copy, and which landmarks are still visible, (L,) bool.

    Raises:
        InputError: for an unknown kind.
    """
    if kind not in get_args(TestOccluder):
        known = ", ".join(get_args(TestOccluder))
        raise InputError(f"expected an occluder of {known}; got {kind!r}")
    # Work on the face and its surroundings only: a huge picture costs no more than its face.
    x0, y0, x1, y1 = box_of_points(points)
    margin = 0.75 * max(x1 - x0, y1 - y0)
    height, width = image.shape[:2]
    left, top = (int(np.clip(v - margin, 0, e - 1)) for v, e in ((x0, width), (y0, height)))
    right, bottom = (int(np.clip(v + margin, 1, e)) for v, e in ((x1, width), (y1, height)))
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    region = image[top:bottom, left:right]
    local = points - [left, top]
    overlay = Overlay(*region.shape[:2])
    frame = FaceFrame.of(local)
    if kind == "rectangle":
        _rectangle(overlay, local, rng)
    elif kind == "mask":
        if cutouts and cutouts.masks:
            wear_mask(overlay, frame, local, rng, cutouts.masks)
        else:
            trial.mask(overlay, frame, local, rng)
    elif kind == "sunglasses":
        if cutouts and cutouts.sunglasses:
            wear_sunglasses(overlay, frame, rng, cutouts.sunglasses)
        else:
            trial.sunglasses(overlay, frame, rng)
    else:
        trial.hand(overlay, frame, rng, trial.skin(region, frame))
    occluded = image.copy()
    occluded[top:bottom, left:right] = overlay.over(region)
    return occluded, overlay.visible(local, frame.unit)


def _rectangle(overlay: Overlay, points: NDArray[np.floating], rng: np.random.Generator) -> None:
    """Noise over 30 % of the landmark box, wholly inside it."""
    x0, y0, x1, y1 = box_of_points(points)
    aspect = rng.uniform(0.6, 1.6)
    wide = min(1.0, float(np.sqrt(0.3 * aspect)))
    high = 0.3 / wide
    left = x0 + rng.uniform(0, 1 - wide) * (x1 - x0)
    top = y0 + rng.uniform(0, 1 - high) * (y1 - y0)
    right, bottom = left + wide * (x1 - x0), top + high * (y1 - y0)
    alpha = overlay.polygon(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]))
    height, width = overlay.shape
    cells = rng.integers(0, 256, (16, 16, 3), np.uint8)
    noise = cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST)
    overlay.paint(alpha, np.asarray(noise, np.uint8), hides=True)
