"""How open eyes and mouths are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aadn import Landmarker
from aadn.faces import Faces
from aadn.measures.openness import EYES, MOUTHS, eye_openness, mouth_openness
from aadn.schemes import AFLW19, COFW29, IBUG68, WFLW98, Scheme

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"


def test_by_hand() -> None:
    points = np.zeros((68, 2))
    points[36:42] = [[0, 0], [3, -1], [7, -2], [10, 0], [7, 2], [3, 1]]  # 2 and 4 high, 10 wide
    points[42:48] = [[0, 0], [3, 0], [7, 0], [10, 0], [7, 0], [3, 0]]
    points[60:68] = [[0, 0], [1, -1], [2, -2], [3, -3], [4, 0], [3, 3], [2, 2], [1, 1]]
    seen = np.ones(68, bool)
    np.testing.assert_allclose(eye_openness(IBUG68, points, seen), [0.3, 0], rtol=1e-6)
    assert mouth_openness(IBUG68, points, seen) == pytest.approx(1)


@pytest.mark.parametrize("scheme", [IBUG68, WFLW98, COFW29])
def test_upper_and_lower_lids_and_lips_are_opposite(scheme: Scheme) -> None:
    """Mirrored, the right eye is the left, and what lies above stays above."""
    flip = scheme.flip
    right, left = EYES[scheme]
    assert {flip[i] for i in right.corners} == set(left.corners)
    for eye, other in ((right, left), (left, right)):
        assert {flip[i] for i in eye.above} == set(other.above)
        assert {flip[i] for i in eye.below} == set(other.below)
    mouth = MOUTHS[scheme]
    pairs = {(flip[a], flip[b]) for a, b in zip(mouth.above, mouth.below, strict=True)}
    assert pairs == set(zip(mouth.above, mouth.below, strict=True))
    assert {flip[i] for i in mouth.corners} == set(mouth.corners)


@given(st.integers(0, 67))
def test_where_a_landmark_is_hidden_it_is_unknown(index: int) -> None:
    points = np.random.default_rng(0).normal(size=(2, 68, 2))
    seen = np.ones((2, 68), bool)
    seen[1, index] = False
    eyes, mouth = eye_openness(IBUG68, points, seen), mouth_openness(IBUG68, points, seen)
    assert np.isfinite(eyes[0]).all()
    assert np.isfinite(mouth[0])
    assert np.isnan(eyes[1, 0]) == (36 <= index < 42)
    assert np.isnan(eyes[1, 1]) == (42 <= index < 48)
    assert np.isnan(mouth[1]) == (index >= 60)


@given(st.floats(-3, 3), st.floats(0.1, 20), st.floats(-100, 100))
def test_turning_and_size_do_not_matter(angle: float, scale: float, shift: float) -> None:
    points = np.random.default_rng(1).normal(size=(68, 2))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    seen = np.ones(68, bool)
    np.testing.assert_allclose(
        eye_openness(IBUG68, points @ turn.T + shift, seen),
        eye_openness(IBUG68, points, seen),
        rtol=1e-5,
    )


def test_what_has_no_width_or_no_lids_is_unknown() -> None:
    assert np.isnan(eye_openness(IBUG68, np.zeros((68, 2)), np.ones(68, bool))).all()
    assert np.isnan(eye_openness(AFLW19, np.ones((3, 19, 2)), np.ones((3, 19), bool))).all()
    assert np.isnan(mouth_openness(AFLW19, np.ones((3, 19, 2)), np.ones((3, 19), bool))).all()


def test_she_smiles_with_open_eyes() -> None:
    faces = Landmarker()(ASTRONAUT)
    assert faces.eye_openness.shape == (1, 2)
    assert ((faces.eye_openness > 0.2) & (faces.eye_openness < 0.45)).all()
    assert 0.05 < faces.mouth_openness[0] < 0.35
    np.testing.assert_array_equal(faces[0].eye_openness, faces.eye_openness[0])
    assert faces[0].mouth_openness == faces.mouth_openness[0]
    assert Faces.empty().eye_openness.shape == (0, 2)
    assert Faces.empty().mouth_openness.shape == (0,)
