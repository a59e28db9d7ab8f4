"""Eyes closed by warping."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from faces import drawn_face
from numpy.typing import NDArray

pytest.importorskip("torch")

from aadn.geometry import FloatArray
from aadn.schemes import IBUG68
from aadn.training.closed_eyes import (
    EYES,
    SHUT,
    close_eye,
    openness,
    with_closed_eyes,
)
from aadn.training.crops import CropSet

SIDE = 160


def eye(turn: float = 0.0, mirrored: bool = False) -> FloatArray:
    """An eye 40 pixels wide and 16 high about (80, 80), turned by degrees."""
    points = np.array([[-20, 0], [-7, -8], [7, -8], [20, 0], [7, 8], [-7, 8]], np.float64)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    if mirrored:
        points[:, 0] *= -1
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]) + 80)


def picture(points: FloatArray) -> NDArray[np.uint8]:
    """White inside the eye, grey outside."""
    image = np.full((SIDE, SIDE, 3), 120, np.uint8)
    cv2.fillPoly(image, [np.rint(points).astype(np.int32)], (255, 255, 255))
    return image


@pytest.mark.parametrize("turn", [0.0, 30.0, -80.0, 175.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_eye_is_shut(turn: float, mirrored: bool) -> None:
    points = eye(turn, mirrored)
    image = picture(points)
    shut, moved = close_eye(image, points, 1.0)
    assert openness(points) == pytest.approx(0.4)
    assert openness(moved) == pytest.approx(0, abs=1e-9)
    np.testing.assert_array_equal(moved[[0, 3]], points[[0, 3]])
    assert (shut > 200).sum() < 0.25 * (image > 200).sum()  # the white has shrunk to a slit
    np.testing.assert_array_equal(shut[:20], image[:20])  # far away nothing has moved
    white = np.argwhere(shut[..., 0] > 200)[:, ::-1].mean(axis=0)
    assert np.linalg.norm(white - moved[[1, 2, 4, 5]].mean(axis=0)) < 3  # where the points say


def test_half_closed_is_between() -> None:
    points = eye()
    assert openness(close_eye(picture(points), points, 0.5)[1]) == pytest.approx(0.4 * 0.38)


def test_an_eye_beyond_the_picture_is_left_alone() -> None:
    points = eye() + 1000
    image = picture(eye())
    shut, moved = close_eye(image, points, 1.0)
    np.testing.assert_array_equal(shut, image)
    np.testing.assert_array_equal(moved, points)


def faces(count: int) -> CropSet:
    image, points = drawn_face(SIDE)
    lids = (-1, -1, 1, 1)
    for corner, *others in EYES:  # open them, whatever is drawn
        width = float(np.linalg.norm(points[others[2]] - points[corner]))
        for index, side in zip((others[0], others[1], others[3], others[4]), lids, strict=True):
            points[index, 1] = points[corner, 1] + side * 0.2 * width
    shape = (count, 68)
    return CropSet(
        np.repeat(image[None], count, 0), np.repeat(points[None], count, 0), np.ones(shape),
        np.arange(count * 68.0).reshape(shape), 1.5, np.arange(count, dtype=float), IBUG68,
    )  # fmt: skip


def test_some_faces_are_there_again() -> None:
    crops = faces(20)
    more, rows = with_closed_eyes(crops, 0.5, 3)
    assert len(rows) == 10
    assert len(more.images) == len(more.points) == len(more.visible) == 30
    np.testing.assert_array_equal(more.images[:20], crops.images)
    np.testing.assert_array_equal(more.scales[20:], rows)
    np.testing.assert_array_equal(more.turned[20:], crops.turned[rows])
    shut = np.array([[openness(p[list(e)]) for e in EYES] for p in more.points[20:]])
    assert (shut.min(axis=1) < 0.4 * (1 - SHUT[0])).all()
    others = np.r_[0:36, 48:68]
    np.testing.assert_array_equal(more.points[20:, others], crops.points[rows][:, others])
    again, _ = with_closed_eyes(crops, 0.5, 3)
    np.testing.assert_array_equal(again.images, more.images)


def test_hidden_and_closed_eyes_are_left_out() -> None:
    crops = faces(4)
    visible, points = crops.visible.copy(), crops.points.copy()
    visible[0, 40] = 0
    points[1, 36] = np.nan
    points[2, 37:42, 1] = points[2, 36, 1]
    _, rows = with_closed_eyes(replace(crops, visible=visible, points=points), 1.0, 0)
    assert rows.tolist() == [3]
