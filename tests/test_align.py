"""Faces in boxes that are known: to the network and back, alone or many pictures together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.inference.backend import Card
from aadn.inference.estimates import Estimates
from aadn.inference.landmarker import Landmarker
from aadn.schemes import Scheme

TWO = Scheme.of({"name": "two", "points": 2})
SIZE = 13


class Corners:
    """The crop's first and last pixel, unsure by a crop pixel; as visible as the crop is red."""

    card = Card("corners", TWO, SIZE, 1.3, 0.5)

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
        self.calls.append(len(crops))
        count = len(crops)
        points = np.zeros((count, 2, 2), np.float32)
        points[:, 1] = SIZE - 1
        red = crops[..., 0].reshape(count, -1).mean(axis=1)[:, None] / 255
        visibility = np.tile(red, 2).astype(np.float32)
        return Estimates(points, visibility, np.ones((count, 2), np.float32))


def pictures(count: int) -> list[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """Pictures of one red each, with a box of 10×8 in another place."""
    return [
        (np.full((40, 60, 3), i, np.uint8), np.array([i % 9, 5.0, i % 9 + 10, 13]))
        for i in range(count)
    ]


def test_by_hand() -> None:
    """A crop of 13×13 pixels, one to one, around a box whose longer side is 10."""
    ((image, box),) = pictures(1)
    (face,) = Landmarker(Corners()).align(image, box[None], 0)
    np.testing.assert_allclose(face.points, [[-1, 3], [11, 15]], atol=1e-5)
    np.testing.assert_allclose(face.uncertainty, 1, rtol=1e-6)


def test_many_pictures_together_are_as_each_alone() -> None:
    network, alone = Corners(), Landmarker(Corners())
    given = pictures(70)
    faces = list(Landmarker(network).align_each((image, box, 0.0) for image, box in given))
    assert network.calls == [64, 6]
    assert len(faces) == 70
    for (image, box), face in zip(given, faces, strict=True):
        (expected,) = alone.align(image, box[None], 0)
        for name in ("points", "visibility", "uncertainty", "box", "occlusion"):
            np.testing.assert_array_equal(getattr(face, name), getattr(expected, name))
        assert (face.score, face.scheme) == (1, TWO)
    assert list(Landmarker(network).align_each([])) == []


def test_faces_are_cut_by_their_boxes_as_they_are() -> None:
    """Three quarters of a pixel; in float32, which a call rounds to, it would be a whole one."""
    image = np.zeros((4, 4, 3), np.uint8)
    box = np.array([[16e6 + 0.25, 0, 16e6 + 1, 0.75]])
    landmarker = Landmarker(Corners())
    unsure = 1.3 * 0.75 / SIZE
    np.testing.assert_allclose(landmarker.align(image, box).uncertainty, unsure, rtol=1e-6)
    (face,) = landmarker.align_each([(image, box[0])])
    np.testing.assert_allclose(face.uncertainty, unsure, rtol=1e-6)
    np.testing.assert_allclose(landmarker(image, box).uncertainty, 1.3 / SIZE, rtol=1e-6)


@pytest.mark.parametrize("box", [[1, 2, 3], [[1, 2, 3, 4]], [5, 5, 5, 9], [0, 0, 1, np.nan], "box"])
def test_wrong_boxes(box: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        list(Landmarker(Corners()).align_each([(np.zeros((4, 4, 3), np.uint8), box)]))
