"""How sets draw a face's box, beside ours: tight around the 68 landmarks, from brows to chin.

A box of ours is mapped to a set's convention by a `BoxTransform`, in the frame of the face: with a
face that is turned, what lies above the brows lies to its side. Only then are two boxes compared.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.geometry import turned_extent
from aadn.inference.detectors import IDENTITY, BoxTransform

FloatArray = NDArray[np.float64]

Convention = Literal["any", "landmarks", "whole-face", "brows"]

CONVENTIONS: dict[str, BoxTransform] = {
    "landmarks": IDENTITY,
    "whole-face": BoxTransform(-0.006, -0.173, 0.954, 1.294),
    "brows": BoxTransform(0.009, 0.017, 0.996, 1.169),
}
"""From landmark boxes to those of a set, by name.

"whole-face", from the hair line to the chin, is WIDER FACE's: it undoes the transform of
`aadn.inference.detectors.YuNet`, whose network learned that set. "brows", from just above the brows
to just below the chin, was fitted on 208 faces of the Face Mask Detection set (853 pictures), on
those of which the landmark network was surest. What other sets of whole faces draw lies between the
two (measured on one).
"""


def transforms_of(convention: Convention) -> tuple[BoxTransform, ...]:
    """The transforms that a box is compared by; the best of them counts."""
    return tuple(CONVENTIONS.values()) if convention == "any" else (CONVENTIONS[convention],)


def drawn_by(transform: BoxTransform, boxes: FloatArray, angles: FloatArray) -> FloatArray:
    """Upright boxes (N, 4), in a set's convention, of faces that are turned in the picture.

    Args:
        transform: from landmark boxes to those of the set.
        boxes: (N, 4) around the landmarks, each in the frame of its face.
        angles: (N,) degrees, clockwise as one sees the picture.
    """
    mapped = transform(boxes)
    shift = centres(mapped) - centres(boxes)
    moved = turned(shift, angles) - shift
    return turned_extent(mapped + np.tile(moved, 2), angles)


def centres(boxes: FloatArray) -> FloatArray:
    """The centres (N, 2) of boxes (N, 4)."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def turned(vectors: FloatArray, angles: FloatArray) -> FloatArray:
    """Vectors (N, 2) turned by angles (N,) in degrees, clockwise as one sees the picture."""
    cos, sin = np.cos(np.radians(angles)), np.sin(np.radians(angles))
    x, y = vectors.T
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=1)


class Fit(NamedTuple):
    """A convention that was fitted: to the set's boxes, on how many faces."""

    transform: BoxTransform
    faces: int


MIN_FACES = 10
"""A convention is fitted on at least so many faces (our choice)."""

UPRIGHT = 20.0
"""Of faces that are turned by fewer degrees, as a label's upright box says nothing of a turn (our
choice)."""


def fit(
    boxes: FloatArray, angles: FloatArray, labelled: FloatArray, where: object = "this set"
) -> Fit:
    """The medians of shift and size, of the boxes that a set draws over ours.

    Args:
        boxes: (N, 4) around the landmarks of faces.
        angles: (N,) degrees.
        labelled: (N, 4) the set's boxes of the same faces.
        where: what the faces are from, for the error.

    Raises:
        InputError: fewer than MIN_FACES of them are upright.
    """
    upright = np.abs(angles) <= UPRIGHT
    ours, theirs, angles = boxes[upright], labelled[upright], angles[upright]
    if len(ours) < MIN_FACES:
        raise InputError(
            f"expected at least {MIN_FACES} upright faces that are found to fit the convention of "
            f"{where}, got {len(ours)}; name the convention instead"
        )
    size = ours[:, 2:] - ours[:, :2]
    shift = turned(centres(theirs) - centres(ours), -angles) / size
    scale = (theirs[:, 2:] - theirs[:, :2]) / size
    return Fit(BoxTransform(*np.median(np.hstack([shift, scale]), axis=0).tolist()), len(ours))
