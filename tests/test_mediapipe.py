"""MediaPipe's numbers for our landmarks."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aadn import Landmarker
from aadn.errors import InputError
from aadn.mediapipe import MESH_OF_IBUG, POINTS, landmarks
from aadn.schemes import IBUG68, SCHEMES

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"

MIRRORED = {127: 356, 70: 300, 33: 263, 133: 362, 61: 291, 78: 308, 152: 152, 13: 13, 4: 4}
"""Points of the mesh that everybody knows, and what they become in the mirror."""


def test_each_landmark_has_a_point_of_its_own_and_mirrored_ones_mirrored_ones() -> None:
    assert len(set(MESH_OF_IBUG)) == 68
    assert max(MESH_OF_IBUG) < 468  # no iris
    for point, other in MIRRORED.items():
        landmark = MESH_OF_IBUG.index(point)
        assert MESH_OF_IBUG[IBUG68.flip[landmark]] == other


def test_a_face_as_mediapipe_has_it() -> None:
    face = Landmarker(threads=1)(ASTRONAUT)[0]
    mesh = landmarks(face, 512, 256)
    assert len(mesh) == POINTS == 478
    corner = mesh[33]
    assert (corner.x * 512 - 0.5, corner.y * 256 - 0.5) == pytest.approx(face.points[36])
    assert corner.visibility == pytest.approx(float(face.visibility[36]))
    assert (corner.presence, math.isnan(corner.z)) == (1, True)
    others = [point for i, point in enumerate(mesh) if i not in MESH_OF_IBUG]
    assert len(others) == 410
    assert all(math.isnan(point.x) and point.visibility == 0 for point in others)


def test_other_landmarks_have_no_place_there() -> None:
    face = Landmarker(threads=1)(ASTRONAUT)[0]
    fewer = {name: getattr(face, name)[:29] for name in ("points", "visibility", "uncertainty")}
    other = replace(face, **fewer, scheme=SCHEMES["cofw29"], turned_away=np.full(29, np.nan))
    with pytest.raises(InputError, match="expected a face with the landmarks of ibug68, got cofw"):
        landmarks(other, 512, 512)
    with pytest.raises(InputError, match="width and height, got 0 and 512"):
        landmarks(face, 0, 512)
