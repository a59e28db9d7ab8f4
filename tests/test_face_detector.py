"""The embedded face detector: what it finds, on what copy of a picture, and how it runs."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aadn import FaceDetector, InputError, WeightsError, load_image
from aadn.geometry import turn, turned_extent
from aadn.inference.detections import Detections, suppress
from aadn.inference.face_detector import WEIGHTS
from aadn.inference.face_proposals import OVERLAP, TILE, _cells, _views
from aadn.inference.face_refinement import refined
from aadn.inference.weights import FOLDER

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"

FACE = (222.0, 134.0)
"""The middle of the astronaut's face, in pixels."""


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return load_image(EXAMPLE)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


def turned(image: NDArray[np.uint8], angle: float, scale: float = 1.0) -> NDArray[np.uint8]:
    """A picture turned about the astronaut's face, which is in its middle, 400 pixels a side."""
    matrix = np.hstack([scale * turn(angle), np.zeros((2, 1))])
    matrix[:, 2] = 199.5 - matrix[:, :2] @ FACE
    return np.asarray(cv2.warpAffine(image, matrix, (400, 400)), np.uint8)


def middles(found: Detections) -> NDArray[np.float64]:
    return (found.boxes[:, :2] + found.boxes[:, 2:]) / 2


@pytest.mark.parametrize("angle", range(-180, 180, 30))
def test_a_face_is_found_and_levelled_at_any_angle(
    picture: NDArray[np.uint8], detector: FaceDetector, angle: int
) -> None:
    upright = detector(turned(picture, 0))
    found = detector(turned(picture, angle))
    assert np.hypot(*(middles(found)[0] - 199.5)) < 15
    difference = (found.angles[0] - upright.angles[0] - angle + 180) % 360 - 180
    assert abs(difference) < 12


@pytest.mark.parametrize("scale", [0.12, 0.25, 0.5, 1.0, 2.5])
def test_a_face_of_any_size_is_found(
    picture: NDArray[np.uint8], detector: FaceDetector, scale: float
) -> None:
    found = detector(turned(picture, 0, scale))
    assert np.hypot(*(middles(found)[0] - 199.5)) < 15 * max(scale, 0.3)
    side = (found.boxes[0, 2:] - found.boxes[0, :2]).max()
    assert 75 * scale < side < 130 * scale


def test_a_small_face_in_a_large_picture_needs_a_small_min_size(
    picture: NDArray[np.uint8],
) -> None:
    large = np.full((2400, 3200, 3), 90, np.uint8)
    large[1700:2100, 2300:2700] = turned(picture, 0, 0.2)
    coarse, fine = FaceDetector(), FaceDetector(min_size=15)
    near = np.hypot(*(middles(fine(large))[0] - [2499.5, 1899.5]))
    assert near < 5
    assert not any(np.hypot(*(m - [2499.5, 1899.5])) < 5 for m in middles(coarse(large)))


def test_smaller_faces_are_left_out(picture: NDArray[np.uint8]) -> None:
    image = turned(picture, 0)
    assert len(FaceDetector(min_size=60)(image).boxes) == 1
    assert len(FaceDetector(min_size=200)(image).boxes) == 0
    assert len(FaceDetector(min_size=0.15)(image).boxes) == 1
    assert len(FaceDetector(min_size=0.5)(image).boxes) == 0


def test_min_score_and_max_faces(picture: NDArray[np.uint8]) -> None:
    two = np.hstack([turned(picture, 0), turned(picture, 30)])
    everything = FaceDetector(min_score=0.05)(two)
    assert (np.diff(everything.scores) <= 0).all()
    assert len(FaceDetector()(two).boxes) == 2
    one = FaceDetector(max_faces=1)(two)
    np.testing.assert_array_equal(one.boxes, everything.boxes[:1])
    assert len(FaceDetector(min_score=1.0)(two).boxes) == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (7, 3), (64, 1000), (33, 31)])
def test_pictures_of_any_size(detector: FaceDetector, size: tuple[int, int]) -> None:
    found = detector(np.full((*size, 3), 127, np.uint8))
    assert found.boxes.shape == (len(found.scores), 4)


def test_it_does_not_find_faces_in_noise(detector: FaceDetector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    assert len(detector(noise).boxes) == 0


def test_it_pickles_with_its_options() -> None:
    detector = FaceDetector(min_score=0.3, min_size=0.1, max_faces=2, threads=1)
    text = pickle.dumps(detector)
    assert len(text) < 1000
    again = pickle.loads(text)
    assert (again.min_score, again.min_size, again.max_faces, again.threads) == (0.3, 0.1, 2, 1)


def test_threads_get_the_same_answers(picture: NDArray[np.uint8], detector: FaceDetector) -> None:
    pictures = [turned(picture, angle) for angle in range(0, 360, 45)]
    alone = [detector(image) for image in pictures]
    with ThreadPoolExecutor(8) as pool:
        for one, other in zip(alone, pool.map(detector, pictures), strict=True):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a, b)


def test_it_works_in_a_forked_process(picture: NDArray[np.uint8], detector: FaceDetector) -> None:
    expected = detector(picture).boxes.tolist()

    def ask() -> None:
        os._exit(detector(picture).boxes.tolist() != expected)

    process = multiprocessing.get_context("fork").Process(target=ask)
    process.start()
    process.join(60)
    assert process.exitcode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_score": 1.1}, r"expected a minimum score in \[0, 1\], got 1.1"),
        ({"min_size": 0.0}, "more than 0 pixels"),
        ({"min_size": float("nan")}, "more than 0 pixels"),
        ({"max_faces": 0}, "expected 1 face or more"),
        ({"threads": 0}, "expected 1 thread or more"),
    ],
)
def test_options_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FaceDetector(**options)  # type: ignore[arg-type]


def test_files_that_are_none_of_ours(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        FaceDetector(tmp_path / "missing.onnx")
    with pytest.raises(WeightsError, match="no face detector of aadn's"):
        FaceDetector(FOLDER / "default.onnx")
    shutil.copy(WEIGHTS, tmp_path / "copy.onnx")
    with pytest.raises(WeightsError, match=r"copy_refiner\.onnx: cannot be read"):
        FaceDetector(tmp_path / "copy.onnx")


@given(st.integers(1, 9000), st.integers(1, 9000), st.floats(4, 500) | st.none())
@settings(max_examples=60)
def test_the_views_cover_the_picture_and_are_bounded(
    height: int, width: int, smallest: float | None
) -> None:
    views = list(_views((height, width), smallest))
    for view in views:
        assert 0 <= view.top < view.bottom <= height
        assert 0 <= view.left < view.right <= width
        assert max(view.bottom - view.top, view.right - view.left) * view.scale <= TILE + 1
    if len(views) > 1:
        # Every place is well inside of one tile, which owns what is found there.
        rng = np.random.default_rng(height * width)
        places = rng.uniform(-0.5, [width - 0.5, height - 0.5], (200, 2))
        owned = [v.owns(places - [v.left, v.top], (height, width)) for v in views[1:]]
        assert np.any(owned, axis=0).all()
        assert OVERLAP < TILE


@pytest.mark.parametrize("shape", [(480, 640), (33, 100), (64, 64), (1, 1)])
def test_cells_lie_where_the_network_has_them(shape: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    from aadn.models.face_detector import STRIDES, FaceDetectorNetwork, cell_middles

    middles, strides = cell_middles(*shape)
    ours, steps = _cells(shape, STRIDES, np.arange(len(middles)))
    np.testing.assert_array_equal(ours, middles.numpy())
    np.testing.assert_array_equal(steps[:, 0], strides.numpy())
    with torch.no_grad():
        answers = FaceDetectorNetwork().eval()(torch.zeros(1, 3, *shape))
    assert answers.shape == (1, len(middles), 7)


def test_what_the_second_look_says_by_hand() -> None:
    found = Detections(np.array([[80.0, 90, 120, 110]]), np.array([0.4]), np.array([90.0]))
    # A quarter of the longer side (40) to the right of a crop that is turned clockwise: down.
    answers = np.array([[0.0, 0.25, 0.0, np.log(0.5), np.log(2), 0.0, 1.0]])
    again = refined(found, answers)
    np.testing.assert_allclose(again.boxes, [[90, 90, 110, 130]])
    np.testing.assert_allclose(again.scores, [0.5])
    np.testing.assert_allclose(again.angles, [180])


def test_suppression_by_hand() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [2, 2, 6, 6]])
    kept = suppress(boxes, np.array([0.8, 0.9, 0.5, 0.7]))
    assert kept.tolist() == [1, 2]
    assert suppress(boxes[:0], np.empty(0)).tolist() == []


@given(st.floats(-180, 180))
def test_the_extent_of_a_round_face_does_not_turn(angle: float) -> None:
    box = np.array([[10.0, 20, 50, 60]])
    np.testing.assert_allclose(turned_extent(box, np.array([angle])), box)
