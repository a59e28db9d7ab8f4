"""How heads are turned, by the landmarks that are seen."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aadn import Landmarker, load_image
from aadn.faces import Faces
from aadn.geometry import transform, turning
from aadn.measures.head_fit import angles_of, rotation_of
from aadn.measures.pose import OF_WFLW, head_points
from aadn.schemes import AFLW19, IBUG68, WFLW98, Scheme

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
Points = NDArray[np.float64]


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Yaw, then pitch, then roll, as the documents have them."""
    y, x, z = np.radians([yaw, -pitch, -roll])
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    about_z = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
    return np.asarray(np.array(about_z) @ np.array(about_x) @ np.array(about_y))


def projected(yaw: float, pitch: float, roll: float, seed: int = 0) -> Points:
    """The landmarks (68, 2) in pixels of somebody's head in a pose."""
    head, rng = head_points(), np.random.default_rng(seed)
    deviations = np.where(head.prior == head.prior.min(), 1.0, 0.5)
    shape = head.neutral + np.tensordot(rng.normal(0, deviations), head.modes, 1)
    return np.asarray((shape @ rotation(yaw, pitch, roll).T)[:, :2] * [9, -9] + [300, 200])


def faces(
    *points: Points,
    hidden: NDArray[np.bool_] | None = None,
    uncertainty: float = np.nan,
    scheme: Scheme = IBUG68,
    angles: list[float] | None = None,
) -> Faces:
    """Faces with these points, which are seen unless `hidden`."""
    n, size = len(points), scheme.size
    visibility = np.ones((n, size)) if hidden is None else np.where(hidden, 0.0, 1.0)
    return Faces(
        np.array(points, np.float32),
        visibility.astype(np.float32),
        np.full((n, size), uncertainty, np.float32),
        np.zeros((n, 4), np.float32),
        np.ones(n, np.float32),
        np.full((n, 7, 7), np.nan, np.float32),
        scheme,
        angles=np.array([0.0] * n if angles is None else angles, np.float32),
    )


def apart(angles: NDArray[np.floating], others: NDArray[np.floating] | list[float]) -> Points:
    """Degrees between angles."""
    return np.asarray(np.abs((np.asarray(angles) - others + 180) % 360 - 180))


@settings(max_examples=60, deadline=None)
@given(st.floats(-75, 75), st.floats(-25, 25), st.floats(-180, 180), st.integers(0, 99))
def test_the_pose_of_a_projected_head_is_found(
    yaw: float, pitch: float, roll: float, seed: int
) -> None:
    one = faces(projected(yaw, pitch, roll, seed), angles=[roll - 8 if roll > 0 else roll + 8])
    assert apart(one.pose[0], [yaw, pitch, roll]).max() < 7  # a shape explains a little of it
    turned = rotation(*one.pose[0])
    np.testing.assert_allclose(one.rotations[0], turned, atol=1e-4)
    np.testing.assert_allclose(one.rotations[0] @ one.rotations[0].T, np.eye(3), atol=1e-5)


def test_on_average_it_is_nearer() -> None:
    rng = np.random.default_rng(0)
    truth = np.column_stack([rng.uniform(-75, 75, 60), rng.uniform(-25, 25, 60), np.zeros(60)])
    found = faces(*(projected(y, p, r, i) for i, (y, p, r) in enumerate(truth.tolist()))).pose
    assert apart(found, truth).mean() < 1


@pytest.mark.parametrize("hides", ["mask", "sunglasses", "half"])
def test_hidden_landmarks_do_not_count(hides: str) -> None:
    points = projected(25, 5, -10)
    hidden = np.zeros(68, bool)
    if hides == "half":
        hidden = points[:, 0] > np.median(points[:, 0])
    else:
        hidden[slice(36, 48) if hides == "sunglasses" else slice(48, 68)] = True
    wrong = points.copy()
    wrong[hidden] += [40, -25]
    kept = faces(points, hidden=hidden[None])
    moved = faces(wrong, hidden=hidden[None])
    assert apart(kept.pose[0], [25, 5, -10]).max() < 5
    # What is hidden still says how large the face is.
    np.testing.assert_allclose(moved.pose, kept.pose, atol=2)
    assert (kept.pose_uncertainty > faces(points).pose_uncertainty).all()


def test_where_too_little_is_seen_it_says_so() -> None:
    hidden = np.ones((1, 68), bool)
    hidden[0, :17] = False  # the jaw is where the outline is, not on the head
    hidden[0, 6:11] = True
    one = faces(projected(0, 0, 0), hidden=hidden)
    assert np.isnan(one.pose).all()
    assert np.isnan(one.rotations).all()
    assert np.isnan(one.pose_uncertainty).all()


def test_uncertain_points_make_an_uncertain_pose() -> None:
    points = projected(30, 0, 0)
    sure, unsure = faces(points, uncertainty=1.0), faces(points, uncertainty=8.0)
    assert (unsure.pose_uncertainty > 1.5 * sure.pose_uncertainty).all()


def test_errors_are_as_large_as_it_says() -> None:
    """Points that err by 4 pixels along x and y: of the angles' errors, over what it expects, the
    root mean square is about 1."""
    rng = np.random.default_rng(1)
    truth = np.column_stack([rng.uniform(-60, 60, 80), rng.uniform(-20, 20, 80), np.zeros(80)])
    noisy = [
        projected(y, p, r, i) + rng.normal(0, 4, (68, 2))
        for i, (y, p, r) in enumerate(truth.tolist())
    ]
    some = faces(*noisy, uncertainty=4 * np.sqrt(np.pi / 2))
    ratio = apart(some.pose, truth) / some.pose_uncertainty
    assert (np.abs(np.sqrt(np.square(ratio).mean(0)) - 1) < 0.35).all()


@settings(max_examples=20, deadline=None)
@given(st.floats(-60, 60), st.floats(-20, 20), st.floats(-40, 40))
def test_a_mirrored_face_has_a_mirrored_pose(yaw: float, pitch: float, roll: float) -> None:
    points = projected(yaw, pitch, roll)
    mirrored = points[IBUG68.flip] * [-1, 1] + [600, 0]
    both = faces(points, mirrored, angles=[roll, -roll]).pose
    assert apart(both[1], both[0] * [-1, 1, -1]).max() < 0.2


def test_a_turned_picture_turns_the_roll_alone() -> None:
    landmarker, image = Landmarker(), load_image(ASTRONAUT)
    face = landmarker(image)[0]
    matrix, _, _ = turning(image.shape[1], image.shape[0], 20)
    upright = faces(face.points.astype(np.float64), angles=[face.angle])
    turned = faces(transform(face.points, matrix), angles=[face.angle + 20])
    np.testing.assert_allclose(apart(turned.pose, upright.pose), [[0, 0, 20]], atol=0.05)
    # She looks into the camera, her chin a little down.
    np.testing.assert_allclose(face.pose, [0, -8, 3], atol=8)


def test_a_face_and_faces_say_the_same() -> None:
    some = faces(projected(-20, 3, 5), projected(50, -5, 170), angles=[0, 170])
    for i, face in enumerate(some):
        np.testing.assert_array_equal(face.pose, some.pose[i])
        np.testing.assert_array_equal(face.rotations, some.rotations[i])
        np.testing.assert_array_equal(face.pose_uncertainty, some.pose_uncertainty[i])
    assert some.pose is some.pose  # computed once
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(some)).pose, some.pose)
    np.testing.assert_array_equal(some[[1]].pose, some.pose[[1]])
    assert Faces.empty().pose.shape == (0, 3)
    assert Faces.empty().rotations.shape == (0, 3, 3)


def test_other_schemes() -> None:
    points = projected(20, 0, 0)
    of_wflw = np.zeros((98, 2))
    of_wflw[list(OF_WFLW)] = points
    one = faces(of_wflw, scheme=WFLW98)
    np.testing.assert_allclose(one.pose, faces(points).pose, atol=1e-4)
    assert np.isnan(faces(np.zeros((19, 2)), scheme=AFLW19).pose).all()
    mine = replace(IBUG68, name="mine")
    assert np.isnan(faces(points, scheme=mine).pose).all()


@given(st.floats(-179, 179), st.floats(-85, 85), st.floats(-179, 179))
def test_angles_and_rotations_are_each_other(yaw: float, pitch: float, roll: float) -> None:
    np.testing.assert_allclose(rotation(*angles_of(rotation(yaw, pitch, roll))),
                               rotation(yaw, pitch, roll), atol=1e-9)  # fmt: skip
    turn = rotation_of(np.radians([0, 0, -roll]))
    np.testing.assert_allclose(turn, rotation(0, 0, roll), atol=1e-12)
