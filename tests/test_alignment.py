"""Crops in which faces lie alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aadn import Landmarker, load_image
from aadn.errors import ImageError, InputError
from aadn.faces import Faces
from aadn.geometry import transform
from aadn.measures.alignment import PLACES, TEMPLATES, aligning, similarity
from aadn.measures.pose import OF_WFLW
from aadn.schemes import AFLW19, IBUG68, WFLW98

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
SEEN = np.ones((1, 68), bool)


@pytest.fixture(scope="module")
def faces() -> Faces:
    return Landmarker()(ASTRONAUT)


def on_template(template: str = "arcface") -> NDArray[np.float64]:
    """Points (1, 68, 2) whose places lie where a template has them."""
    points = np.zeros((1, 68, 2))
    for name, place in TEMPLATES[template].items():
        points[0, list(PLACES[IBUG68][name])] = place
    return points


def umeyama(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The similarity of least squares by a singular value decomposition, as Umeyama has it."""
    middle, aim = source.mean(0), target.mean(0)
    covariance = (target - aim).T @ (source - middle) / len(source)
    u, values, v = np.linalg.svd(covariance)
    sign = np.diag([1, np.sign(np.linalg.det(u) * np.linalg.det(v))])
    turn = u @ sign @ v
    scale = (values * np.diag(sign)).sum() / np.square(source - middle).sum(1).mean()
    return np.column_stack([scale * turn, aim - scale * turn @ middle])


@given(st.integers(0, 10_000))
def test_the_fit_is_umeyama_s(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(5, 2)) * 30
    target = source @ [[0.8, 0.6], [-0.6, 0.8]] * 2 + [10, -5] + rng.normal(size=(5, 2))
    given_ = similarity(source, target, np.ones(5))
    np.testing.assert_allclose(given_, umeyama(source, target), rtol=1e-9, atol=1e-9)


@given(
    st.floats(-180, 180),
    st.floats(0.2, 5),
    st.floats(-300, 300),
    st.sampled_from(["arcface", "eyes"]),
)
def test_a_face_is_brought_to_the_template(
    angle: float, scale: float, shift: float, template: str
) -> None:
    cos, sin = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
    away = np.array([[cos, -sin, shift], [sin, cos, -shift]])
    points = transform(on_template(template)[0], away)[None]
    (matrix,) = aligning(IBUG68, points, SEEN, template=template)
    for name, place in TEMPLATES[template].items():
        indices = list(PLACES[IBUG68][name])
        np.testing.assert_allclose(transform(points[0, indices], matrix)[0], place, atol=1e-6)


def test_another_size_shows_the_same() -> None:
    """The corners of pixels, half a pixel out of their centres, are scaled."""
    points = on_template()
    (small,), (large,) = (aligning(IBUG68, points, SEEN, size) for size in (112, 224))
    place = transform(points[0, 30:31], small)
    np.testing.assert_allclose(transform(points[0, 30:31], large), 2 * (place + 0.5) - 0.5)


@pytest.mark.parametrize("hidden", ["right eye", "left eye", "nose"])
def test_a_hidden_place_does_not_skew_the_others(hidden: str) -> None:
    points, seen = on_template(), SEEN.copy()
    points[0, list(PLACES[IBUG68][hidden])] += [12, -9]
    (fooled,) = aligning(IBUG68, points, seen)
    seen[0, list(PLACES[IBUG68][hidden])] = False
    (matrix,) = aligning(IBUG68, points, seen)
    others = [name for name in TEMPLATES["arcface"] if name != hidden]
    places = np.array([TEMPLATES["arcface"][name] for name in others])
    off, fooled_off = (np.abs(transform(places, by) - places).mean() for by in (matrix, fooled))
    assert off < 0.25 * fooled_off


def test_a_face_of_which_nothing_is_seen_is_aligned_too() -> None:
    none = aligning(IBUG68, on_template(), np.zeros((1, 68), bool))
    np.testing.assert_allclose(none, aligning(IBUG68, on_template(), SEEN))
    assert np.isfinite(aligning(IBUG68, np.zeros((1, 68, 2)), SEEN)).all()


def test_other_schemes() -> None:
    points = np.zeros((1, 98, 2))
    points[:, list(OF_WFLW)] = on_template()
    for name in ("right eye", "left eye"):
        points[:, list(PLACES[WFLW98][name])] = TEMPLATES["arcface"][name]
    np.testing.assert_allclose(
        aligning(WFLW98, points, np.ones((1, 98), bool)), aligning(IBUG68, on_template(), SEEN)
    )
    with pytest.raises(InputError, match="ibug68, wflw98; got those of aflw19"):
        aligning(AFLW19, np.zeros((1, 19, 2)), np.ones((1, 19), bool))


def test_crops_of_a_picture(faces: Faces) -> None:
    image = load_image(ASTRONAUT)
    aligned = faces.aligned(image)
    assert aligned.crops.shape == (1, 112, 112, 3)
    again = Landmarker()(aligned.crops[0], boxes=[[20, 30, 92, 110]])
    expected = transform(faces.points[0], aligned.matrices[0])
    assert np.hypot(*(again.points[0] - expected).T).mean() < 2
    for name, place in TEMPLATES["arcface"].items():  # she smiles broadly
        middle = expected[list(PLACES[IBUG68][name])].mean(axis=0)
        assert np.hypot(*(middle - place)) < 8
    np.testing.assert_array_equal(faces.aligned(ASTRONAUT).crops, aligned.crops)
    level = faces.aligned(image, 200, "eyes")
    eyes = transform(faces.points[0], level.matrices[0])
    right, left = eyes[36:42].mean(0), eyes[42:48].mean(0)
    np.testing.assert_allclose(right[1], left[1], atol=1e-3)
    np.testing.assert_allclose(left[0] - right[0], 200 * 37 / 112, atol=1e-3)


def test_no_face_gives_no_crop() -> None:
    aligned = Faces.empty().aligned(np.zeros((20, 30, 3), np.uint8), 64)
    assert aligned.crops.shape == (0, 64, 64, 3)
    assert aligned.matrices.shape == (0, 2, 3)


def test_what_cannot_be_aligned_says_so(faces: Faces, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a template of arcface, eyes; got 'ffhq'"):
        faces.aligned(ASTRONAUT, template="ffhq")
    with pytest.raises(InputError, match="1 pixel or more, got 0"):
        faces.aligned(ASTRONAUT, 0)
    with pytest.raises(ImageError):
        faces.aligned(tmp_path / "none.jpg")
    with pytest.raises(InputError, match="got those of mine"):
        replace(faces, scheme=replace(IBUG68, name="mine")).aligned(ASTRONAUT)
