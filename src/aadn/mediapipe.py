"""MediaPipe's numbers for landmarks, so that code that was written for its face mesh finds ours.

    from aadn import Landmarker
    from aadn.mediapipe import landmarks

    face = Landmarker()(image).largest
    mesh = landmarks(face, width, height)  # was: result.face_landmarks[0]
    mesh[33].x, mesh[33].visibility        # the outer corner of the right eye

Of the mesh's 478 points 68 have a counterpart among iBUG's; the others are NaN. MediaPipe is not
needed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from aadn.errors import InputError
from aadn.faces import Face
from aadn.schemes import IBUG68

POINTS = 478
"""Of MediaPipe's mesh, the irises' ten among them."""

MESH_OF_IBUG = (
    *(127, 234, 177, 215, 172, 136, 149, 148, 152, 377, 378, 365, 397, 435, 401, 454, 356),  # jaw
    *(70, 63, 105, 66, 55, 285, 296, 334, 293, 300),  # brows
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # the lips' outer edges
    *(78, 82, 13, 312, 308, 317, 14, 87),  # the inner ones
)
"""The mesh's point for each of iBUG's landmarks: the nearest or one of the nearest, corners for
corners and mirrored ones for mirrored ones. On frontal faces their places differ by 2 to 5 % of the
inter-ocular distance at eyes, nose and mouth, 4 to 7 at brows, 5 to 9 along the jaw
(benchmarks/mesh_points.py)."""


class NormalizedLandmark(NamedTuple):
    """A landmark with the fields of MediaPipe's.

    `x` and `y` are shares of the picture's width and height from its top-left edge, `z` is not
    known (NaN); `visibility` is the probability of being seen, and `presence` 1; both are 0 for
    points that have no counterpart, whose places are NaN.
    """

    x: float
    y: float
    z: float
    visibility: float
    presence: float


def landmarks(face: Face, width: int, height: int) -> list[NormalizedLandmark]:
    """A face's landmarks at their places among the POINTS of the mesh.

    Args:
        face: with iBUG's landmarks.
        width, height: of its picture, in pixels.

    Raises InputError for other landmarks, or a picture without extent.
    """
    if face.scheme != IBUG68:
        raise InputError(
            f"expected a face with the landmarks of {IBUG68.name}, got {face.scheme.name}"
        )
    if width < 1 or height < 1:
        raise InputError(f"expected a picture's width and height, got {width} and {height}")
    none = NormalizedLandmark(math.nan, math.nan, math.nan, 0.0, 0.0)
    found = [none] * POINTS
    for place, (x, y), seen in zip(MESH_OF_IBUG, face.points, face.visibility, strict=True):
        at = (float(x) + 0.5) / width, (float(y) + 0.5) / height
        found[place] = NormalizedLandmark(*at, math.nan, float(seen), 1.0)
    return found
