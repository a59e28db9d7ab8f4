"""What an evaluation puts on faces; the same seed gives the same pictures.

Training paints none of these drawings. `lint-imports` holds that: nothing in `aadn.training` may
import this file or the drawings.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.geometry import box_of_points
from aadn.occlude import evaluation_drawings as drawings
from aadn.occlude.cutouts import Cutouts, wear_mask, wear_sunglasses
from aadn.occlude.overlay import FaceFrame, Image, Overlay
from aadn.schemes import Scheme

Occluder = Literal["rectangle", "mask", "sunglasses", "hand"]
Occlude = Literal["none", Occluder]
"""What an evaluation puts on faces, or nothing."""


def occluder_rng(seed: int, image: Path, scene: Path | None = None) -> np.random.Generator:
    """The randomness of a picture's occluder: by seed, its name and its folder's.

    So it survives moving the data, and does not depend on the order of the pictures. `scene` is
    the video that the picture is a frame of.
    """
    video = () if scene is None else scene.parts[-2:]
    name = "/".join((*video, *image.parts[-2:]))
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def occlude_picture(
    image: Image,
    points: NDArray[np.floating],
    scheme: Scheme,
    kind: Occluder,
    rng: np.random.Generator,
    cutouts: Cutouts | None = None,
) -> tuple[Image, NDArray[np.bool_]]:
    """Hide a part of a face for an evaluation.

    "rectangle" covers 30 % of the landmark box with noise, "mask" and "sunglasses" come from
    `cutouts` where given and are drawn otherwise, "hand" is drawn. Training paints none of these
    drawings: they are those of `evaluation_drawings`, and noise.

    Args:
        image: (H, W, 3) uint8 RGB.
        points: (L, 2) landmarks in its pixels, finite.
        scheme: whose landmarks they are.
        kind: what to put on the face.
        rng: all randomness comes from here.
        cutouts: occluders cut out of photographs.

    Returns:
        The occluded copy, and which landmarks are still visible, (L,) bool.

    Raises:
        InputError: for an unknown kind.
    """
    if kind not in get_args(Occluder):
        known = ", ".join(get_args(Occluder))
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
    frame = FaceFrame.of(local, scheme)
    if kind == "rectangle":
        _rectangle(overlay, local, rng)
    elif kind == "mask":
        if cutouts and cutouts.masks:
            wear_mask(overlay, frame, local, rng, cutouts.masks)
        else:
            drawings.mask(overlay, frame, local, rng)
    elif kind == "sunglasses":
        if cutouts and cutouts.sunglasses:
            wear_sunglasses(overlay, frame, rng, cutouts.sunglasses)
        else:
            drawings.sunglasses(overlay, frame, rng)
    else:
        drawings.hand(overlay, frame, rng, drawings.skin(region, frame))
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
