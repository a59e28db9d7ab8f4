"""Faces of any roll: turned upright by the detector's angle, by a second look, by quarter turns."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.geometry import Crop, corners, turn, wrapped
from aadn.inference import landmarker as module
from aadn.inference.backend import Card
from aadn.inference.detections import Detections
from aadn.inference.estimates import Estimates
from aadn.inference.landmarker import Landmarker
from aadn.inference.levelling import LEVEL
from aadn.schemes import Scheme

EYES = Scheme.of(
    {"name": "eyes", "points": 3, "groups": {"right eye": [0], "left eye": [1], "mouth": [2]}}
)
SIZE = 40
BOX = np.array([80.0, 60, 120, 100])
NEXT = np.array([100.0, 0])
"""From a face to the next."""
CENTRE = np.array([100.0, 80])


class Eyes:
    """Gives the middles of the crop's red, blue and green: a face's right eye, left eye, mouth.

    As landmark networks, it is at a loss with faces that are turned by more than 60°: it puts the
    points where an upright face has them, and is unsure. `calls` are the numbers of crops.
    """

    def __init__(self, scheme: Scheme = EYES, *, unsure: bool = True) -> None:
        self.card = Card("eyes", scheme, SIZE, 1.3, 0.5)
        self.unsure = unsure
        self.calls: list[int] = []

    def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
        self.calls.append(len(crops))
        count = len(crops)
        points, doubt = np.zeros((count, 3, 2)), np.full((count, 3), 0.5)
        for row, crop in enumerate(crops.astype(float)):
            for i, channel in enumerate((0, 2, 1)):
                light = np.maximum(crop[..., channel] - crop.sum(axis=2) / 2, 0) + 1e-9
                y, x = np.indices(light.shape)
                points[row, i] = [(light * x).sum(), (light * y).sum()] / light.sum()
            x, y = points[row, 1] - points[row, 0]
            if abs(np.degrees(np.arctan2(y, x))) > 60:
                points[row] = [[12, 14], [28, 14], [20, 28]]
                doubt[row] = 8
        return Estimates(
            points.astype(np.float32),
            np.ones((count, 3), np.float32),
            doubt.astype(np.float32) if self.unsure else None,
        )


def face(angle: float, *others: float) -> NDArray[np.uint8]:
    """A grey picture with a face in BOX that is turned so, and others 100 px further right each."""
    image = np.full((200, 400, 3), 127, np.uint8)
    for number, turned in enumerate((angle, *others)):
        for dot, colour in zip(dots(turned), ((255, 0, 0), (0, 0, 255), (0, 255, 0)), strict=True):
            at = np.rint(16 * (dot + number * NEXT)).astype(int).tolist()
            cv2.circle(image, at, 6 * 16, colour, cv2.FILLED, cv2.LINE_AA, 4)
    return image


def dots(angle: float) -> NDArray[np.float64]:
    """Right eye, left eye and mouth of the face in BOX."""
    upright = np.array([[-12.0, -8], [12, -8], [0, 12]])
    return np.asarray(CENTRE + upright @ turn(angle).T)


def detects(*angles: float) -> Any:
    """A detector that finds as many faces, and says so of their angles."""
    boxes = np.stack([BOX + np.tile(i * NEXT, 2) for i in range(len(angles))])
    return lambda _: Detections(boxes, np.linspace(0.9, 0.8, len(angles)), np.array(angles))


@pytest.mark.parametrize("angle", [0, 30, -90, 135, 180])
def test_the_detectors_angle_takes_one_look(angle: float) -> None:
    network = Eyes()
    faces = Landmarker(network, detects(angle))(face(angle))
    assert network.calls == [1]
    assert faces.angles.tolist() == [angle]
    np.testing.assert_allclose(faces.points[0], dots(angle), atol=0.3)
    np.testing.assert_array_equal(faces.boxes[0], BOX)


def test_a_detector_that_is_off_takes_a_second_look() -> None:
    network = Eyes()
    faces = Landmarker(network, detects(100, 0))(face(130, 4))
    # The second face's eyes are nearly level; both are asked again, see `level`'s `alike`.
    assert network.calls == [2, 2]
    np.testing.assert_allclose(faces.angles, [130, 0], atol=1.5)
    np.testing.assert_allclose(faces.points[0], dots(130), atol=0.3)
    np.testing.assert_allclose(faces.points[1], dots(4) + NEXT, atol=0.3)


def test_pictures_together_take_a_second_look_together_and_only_where_it_is_needed() -> None:
    network = Eyes()
    images = [face(0, 20), face(0), face(40)]
    landmarker = Landmarker(network, detects(0, 0))
    faces = landmarker.many(images)
    assert network.calls == [6, 2]
    np.testing.assert_allclose(faces[0].angles, [0, 20], atol=1.5)
    np.testing.assert_allclose(faces[2].angles[0], 40, atol=1.5)
    for image, some in zip(images, faces, strict=True):
        np.testing.assert_allclose(some.points, landmarker(image).points, atol=1e-4)


def test_where_the_eyes_are_not_known_the_angle_stays() -> None:
    network = Eyes(Scheme.of({"name": "three", "points": 3}))
    assert Landmarker(network, detects(0))(face(30)).angles.tolist() == [0]
    assert network.calls == [1]


@given(st.floats(-180, 180))
def test_boxes_alone_do_for_any_roll(angle: float) -> None:
    network = Eyes()
    faces = Landmarker(network)(face(angle), boxes=[BOX])
    (off,) = np.abs(wrapped(faces.angles - np.float32(angle)))
    assert off <= LEVEL + 2  # the dots' middles are seen to a pixel's fraction
    np.testing.assert_allclose(faces.points[0], dots(angle), atol=0.4)
    if abs(angle) < LEVEL - 2:
        assert network.calls == [1]


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_quarter_turns_are_tried_where_the_network_is_unsure(angle: int) -> None:
    network = Eyes()
    faces = Landmarker(network).align(face(angle), [BOX])
    # As it stands, by the other turns, and alone, so that its angle gives the same again.
    assert network.calls == [1, 3, 1]
    assert faces.angles.tolist() == wrapped(np.array([angle])).tolist()


@pytest.mark.parametrize("said", [30, 120, 210])
def test_a_detector_that_takes_a_face_for_turned_is_not_believed(said: int) -> None:
    faces = Landmarker(Eyes(), detects(said))(face(300))
    np.testing.assert_allclose(faces.points[0], dots(300), atol=0.3)
    assert faces.angles[0] == pytest.approx(-60, abs=LEVEL)


def test_without_uncertainty_a_face_counts_as_upright() -> None:
    network = Eyes(unsure=False)
    faces = Landmarker(network).align(face(180), [BOX])
    assert network.calls == [1]
    assert faces.angles.tolist() == [0]


def test_a_detector_without_angles_is_as_boxes_without_angles() -> None:
    boxes = np.array([BOX])
    faces = Landmarker(Eyes(), lambda _: (boxes, np.ones(1)))(face(200))
    np.testing.assert_allclose(faces.points[0], dots(200), atol=0.3)
    assert np.isnan(Landmarker(Eyes(), lambda _: (boxes, np.ones(1))).detect(face(0)).angles).all()


@pytest.mark.parametrize("angles", [[0.0, 30.0], [np.nan, 17.3], [180, np.nan]])
def test_boxes_and_angles_given_back_change_nothing(angles: list[float]) -> None:
    image = face(20, 33)
    landmarker = Landmarker(Eyes(), detects(*angles))
    found = landmarker(image)
    for again in (
        landmarker(image, found.boxes, found.angles),
        landmarker.many([image], [found.boxes], [found.angles])[0],
        next(landmarker.stream([image], [found.boxes], [found.angles])).faces,
    ):
        assert again is not None
        np.testing.assert_array_equal(again.points, found.points)
        np.testing.assert_array_equal(again.angles, found.angles)


def test_angles_of_the_caller_are_not_corrected() -> None:
    network = Eyes()
    landmarker = Landmarker(network)
    for angles, expected in ((30, [30, 30]), ([30, 370], [30, 10]), ([0, np.nan], [0, 50])):
        network.calls.clear()
        faces = landmarker(face(50, 50), [BOX, BOX + np.tile(NEXT, 2)], angles)
        np.testing.assert_allclose(faces.angles, expected, atol=1.5)
    assert network.calls == [2, 2]  # of the last, where one was not known
    (one,) = landmarker.align_each([(face(50), BOX, 30.0)])
    assert one.angle == 30
    (one,) = landmarker.align_each([(face(50), BOX, 30.0)], level=True)
    assert one.angle == pytest.approx(50, abs=1.5)
    (one,) = landmarker.align_each([(face(50), BOX)])
    assert one.angle == pytest.approx(50, abs=1.5)


@pytest.mark.parametrize(
    ("angles", "message"),
    [
        ([0, 0], r"an angle for each of 1 boxes, or one for all, got shape \(2,\)"),
        ([[0]], "an angle for each"),
        ([np.inf], "NaN where they are not known"),
        ("up", "angles as an array of numbers"),
    ],
)
def test_bad_angles(angles: Any, message: str) -> None:
    for ask in (Landmarker(Eyes()), Landmarker(Eyes()).align):
        with pytest.raises(InputError, match=message):
            ask(face(0), [BOX], angles)


def test_angles_need_boxes() -> None:
    landmarker = Landmarker(Eyes(), detects(0))
    with pytest.raises(InputError, match="together with the boxes="):
        landmarker(face(0), angles=[0])
    with pytest.raises(InputError, match="together with the boxes="):
        landmarker.many([face(0)], angles=[[0]])
    with pytest.raises(InputError, match="boxes and angles for each picture; the angles end after"):
        landmarker.many([face(0)] * 2, [[BOX]] * 2, [[0]])


def test_pictures_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Eyes()
    image = face(0)
    monkeypatch.setattr(module, "WAITING", 2 * image.nbytes)
    assert len(Landmarker(network, detects(0)).many([image] * 5)) == 5
    assert network.calls == [2, 2, 1]


def test_the_occlusion_map_and_the_box_are_of_the_turned_crop() -> None:
    (one,) = Landmarker(Eyes(), detects(90))(face(90))
    crop = Crop.around(one.box, SIZE, one.crop_factor, one.angle)
    np.testing.assert_allclose(crop.to_crop(CENTRE), (SIZE - 1) / 2)
    # The upright face's top left is at the turned one's top right.
    np.testing.assert_allclose(corners(one.box, one.angle)[0], [120, 60])
