"""Faces followed from frame to frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aadn import FaceDetector, Faces, Landmarker, Tracker, load_image
from aadn.errors import InputError
from aadn.tracking.steady import SLOW, Steady

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
SEEN, UNSURE = np.ones(68, bool), np.full(68, 2.0)
Frame = NDArray[np.uint8]


# One face's landmarks


def shape(seed: int = 0) -> NDArray[np.float64]:
    """A face's points, 100 pixels between the eyes."""
    return np.asarray(np.random.default_rng(seed).uniform(0, 200, (68, 2)))


def steadied(frames: list[NDArray[np.float64]], **changes: Any) -> NDArray[np.float64]:
    steady = Steady()
    options: dict[str, Any] = {"seen": SEEN, "uncertainty": UNSURE, "length": 100.0} | changes
    return np.array([steady(points, seconds=1 / 30, **options) for points in frames])


def test_trembling_is_steadied() -> None:
    rng = np.random.default_rng(0)
    frames = [shape() + rng.normal(0, 0.15, (68, 2)) for _ in range(60)]
    found = steadied(frames)
    movement = [np.abs(np.diff(f, axis=0)).mean() for f in (np.array(frames)[10:], found[10:])]
    assert movement[1] < 0.3 * movement[0]
    assert np.abs(found[10:] - shape()).mean() < 0.6 * np.abs(np.array(frames) - shape()).mean()


def test_what_moves_is_not_late() -> None:
    """A face that moves by 6 % of the distance between its eyes a frame, and eyes that close."""
    moving = [shape() + np.array([6.0, -3.0]) * i for i in range(10)]
    np.testing.assert_allclose(steadied(moving), moving, atol=0.3)
    closing = [shape() for _ in range(3)]
    for i in range(3):
        closed = shape()
        closed[[37, 38, 43, 44], 1] += 3.0 * (i + 1)
        closing.append(closed)
    found = steadied(closing)
    assert np.abs(found - closing)[:, [37, 38, 43, 44]].max() < 0.75


def test_hidden_and_uncertain_landmarks_are_steadied_more() -> None:
    seen, uncertainty = SEEN.copy(), UNSURE.copy()
    seen[:20] = False
    uncertainty[20:40] = 8.0
    rng = np.random.default_rng(1)
    frames = [shape() + rng.normal(0, 0.4, (68, 2)) for _ in range(80)]
    found = steadied(frames, seen=seen, uncertainty=uncertainty)[10:]
    hidden, unsure, plain = (
        np.abs(np.diff(found[:, part], axis=0)).mean()
        for part in (slice(0, 20), slice(20, 40), slice(40, 68))
    )
    assert hidden < 0.6 * plain
    assert unsure < 0.8 * plain


@given(st.integers(1, 4))
def test_frames_that_come_more_often_are_followed_less_each(parts: int) -> None:
    """So that what is followed in a second is the same."""
    steady = Steady()
    common: dict[str, Any] = {"seen": SEEN, "uncertainty": UNSURE, "length": 100.0}
    start = shape()
    steady(start, seconds=0.0, **common)
    aim = start + np.random.default_rng(2).normal(0, 0.02, (68, 2))
    for _ in range(parts):
        found = steady(aim, seconds=1 / 30 / parts, **common)
    share = ((found - start) * (aim - start)).sum() / np.square(aim - start).sum()
    assert share == pytest.approx(SLOW, rel=0.15)


def test_the_first_frame_is_as_it_is() -> None:
    np.testing.assert_array_equal(steadied([shape()])[0], shape())
    unknown = steadied([shape(), shape() + 0.1], uncertainty=np.full(68, np.nan))
    assert np.isfinite(unknown).all()


# Faces of a film


class Counted:
    """A detector that counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0
        self._detector = FaceDetector(min_size=1 / 10)

    def __call__(self, image: Frame) -> Any:
        self.calls += 1
        return self._detector(image)


@pytest.fixture(scope="module")
def picture() -> Frame:
    """Her head and what is around it, small."""
    return np.ascontiguousarray(load_image(ASTRONAUT)[40:240, 120:330])


def moved(picture: Frame, x: float, y: float, turn: float = 0.0) -> Frame:
    """A frame with the picture shifted, and turned clockwise about its middle."""
    height, width = picture.shape[:2]
    matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), -turn, 1.0), np.float64)
    matrix[:, 2] += np.array([x, y])
    frame = cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(frame, np.uint8)


def test_a_face_keeps_its_number_and_needs_no_finder(picture: Frame) -> None:
    detector = Counted()
    landmarker = Landmarker(detector=detector, threads=1)
    tracker = Tracker(landmarker, find_every=10)
    path = [(2.0 * i, 1.0 * i, 3.0 * i) for i in range(10)]
    for i, (x, y, turn) in enumerate(path):
        faces = tracker(moved(picture, x, y, turn), i / 30)
        assert faces.ids.tolist() == [1]
        assert (faces[0].id, faces[0].to_dict()["id"]) == (1, 1)
        alone = landmarker(moved(picture, x, y, turn))
        length = np.linalg.norm(alone.points[0, 36] - alone.points[0, 45])
        off = np.linalg.norm(faces.points[0] - alone.points[0], axis=1).mean()
        assert off < 0.02 * length
        assert abs(faces.angles[0] - alone.angles[0]) < 15
    assert detector.calls == 1 + len(path)  # once for the film, and for each frame alone


def test_the_finder_looks_for_new_faces_every_so_often(picture: Frame) -> None:
    detector = Counted()
    tracker = Tracker(Landmarker(detector=detector, threads=1), find_every=0.1)
    for i in range(12):
        tracker(picture, i / 30)
    assert detector.calls == pytest.approx(4, abs=1)
    wide = np.concatenate([picture, picture[:, ::-1]], axis=1)
    faces = [tracker(wide, (12 + i) / 30) for i in range(5)]
    assert faces[-1].ids.tolist() == [1, 2]


def test_no_finder_where_all_faces_that_are_wanted_are_followed(picture: Frame) -> None:
    detector = Counted()
    landmarker = Landmarker(detector=detector, threads=1, max_faces=1)
    tracker = Tracker(landmarker, find_every=0.1)
    wide = np.concatenate([picture, picture[:, ::-1]], axis=1)
    numbers = {tuple(tracker(wide, i / 30).ids.tolist()) for i in range(10)}
    assert (numbers, detector.calls) == ({(1,)}, 1)
    assert len(tracker(np.full_like(wide, 100), 10 / 30)) == 0
    assert detector.calls == 2  # it was lost


def test_a_face_that_is_lost_for_a_moment_keeps_its_number(picture: Frame) -> None:
    def seen_again(after: float) -> list[int]:
        tracker = Tracker(Landmarker(threads=1), patience=0.5)
        for i in range(3):
            tracker(picture, i / 30)
        blank = np.full_like(picture, 100)
        assert len(tracker(blank, 0.1 + 1 / 30)) == 0
        assert len(tracker(blank, 0.1 + after)) == 0
        return list(map(int, tracker(moved(picture, 5, 3), 0.1 + after + 1 / 30).ids))

    assert seen_again(0.3) == [1]
    assert seen_again(0.8) == [2]


def test_who_comes_long_after_is_somebody_else(picture: Frame) -> None:
    """However long a lost face keeps its number, another is not kept waiting for it.

    Here it is one that is lit from the side, and so looks otherwise.
    """
    light = np.clip(np.linspace(-0.75, 1.75, picture.shape[1]), 0, 1)[:, None]
    other = np.clip(picture[:, ::-1] * (0.1 + 1.5 * light), 0, 255).astype(np.uint8)
    tracker = Tracker(Landmarker(threads=1), patience=10)
    for i in range(3):
        assert tracker(picture, i / 30).ids.tolist() == [1]
    blank = np.full_like(picture, 100)
    for i in range(36):
        tracker(blank, (3 + i) / 30)
    found = [tracker(other, (39 + i) / 30).ids.tolist() for i in range(5)]
    assert found[-1] == [2]
    for i in range(6):
        tracker(blank, (44 + i) / 30)
    assert [tracker(picture, (50 + i) / 30).ids.tolist() for i in range(5)][-1] == [1]


def test_two_faces_that_pass_each_other_keep_their_numbers(picture: Frame) -> None:
    """One behind the other: it is lost, and found again on the other side."""
    one = picture[20:150, 25:175]
    other = np.clip(one[:, ::-1] * [1.1, 0.8, 0.6], 0, 255).astype(np.uint8)
    tracker = Tracker(Landmarker(threads=1))
    numbers = []
    for i in range(40):
        frame = np.full((180, 480, 3), 120, np.uint8)
        for face, x in ((other, 320 - 8 * i), (one, 8 * i)):
            frame[20 : 20 + len(face), x : x + face.shape[1]] = face
        numbers.append(dict(zip(*_sides(tracker(frame, i / 30)), strict=True)))
    assert numbers[3] == {"left": 1, "right": 2} or numbers[3] == {"left": 2, "right": 1}
    start, end = numbers[3], numbers[-1]
    assert end == {"left": start["right"], "right": start["left"]}


def _sides(faces: Faces) -> tuple[list[str], list[int]]:
    middles = (faces.boxes[:, 0] + faces.boxes[:, 2]) / 2
    return ["left" if x < 240 else "right" for x in middles], faces.ids.tolist()


def test_without_a_quality_the_finder_says_what_is_gone(picture: Frame) -> None:
    landmarker = Landmarker(threads=1)
    backend: Any = landmarker.backend
    backend.card = replace(backend.card, quality=None)
    tracker = Tracker(Landmarker(backend), find_every=0.1, patience=0.2)
    for i in range(3):
        assert np.isnan(tracker(picture, i / 30).quality).all()
    counts = [len(tracker(np.full_like(picture, 100), 0.1 + i / 30)) for i in range(15)]
    assert counts[-1] == 0
    assert tracker(picture, 1.0).ids.tolist() == [2]


def test_times_must_grow(picture: Frame) -> None:
    tracker = Tracker(Landmarker(threads=1))
    tracker(picture, 1.0)
    for wrong in (1.0, 0.5, float("nan")):
        with pytest.raises(InputError, match=r"expected a time later than 1\.0 s"):
            tracker(picture, wrong)
    with pytest.raises(InputError, match="patience of 0 seconds or more, got -1"):
        Tracker(Landmarker(threads=1), patience=-1)


def test_a_film_without_faces() -> None:
    tracker = Tracker(Landmarker(threads=1))
    for i in range(3):
        faces = tracker(np.zeros((60, 80, 3), np.uint8), i / 30)
        assert len(faces) == 0
        assert faces.ids.shape == (0,)


def test_numbers_are_rows_like_any_other(picture: Frame) -> None:
    faces = Landmarker(threads=1)(picture)
    assert faces.ids.tolist() == [-1]
    assert "id" not in faces[0].to_dict()
    with pytest.raises(InputError, match="expected ids of shape"):
        Faces(**{**_fields(faces), "ids": np.array([1, 2])})
    numbered = Faces(**{**_fields(faces), "ids": np.array([7])})
    assert numbered[[0, 0]].ids.tolist() == [7, 7]


def _fields(faces: Faces) -> dict[str, Any]:
    return faces.__getstate__()
