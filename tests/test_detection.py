"""The numbers of a detector's evaluation: by hand, and what holds for any finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import ArrayLike, NDArray

from aadn.evaluation.detection import (
    FALSE_ALARM,
    IGNORED,
    Outcomes,
    average_precision,
    curve,
    detection_scores,
    match,
    recall_at,
)


def matched(
    overlaps: ArrayLike, ignored: ArrayLike, covered: ArrayLike | None = None, **options: Any
) -> list[int]:
    table = np.array(overlaps, float)
    cover = table if covered is None else np.array(covered, float)
    return [int(face) for face in match(table, cover, np.array(ignored, bool), **options)]


def test_each_face_is_found_once() -> None:
    # Both finds overlap the first face most; the second find is left with the second face.
    assert matched([[0.9, 0.6], [0.8, 0.5]], [0, 0]) == [0, 1]
    assert matched([[0.9, 0.6], [0.8, 0.4]], [0, 0]) == [0, FALSE_ALARM]
    assert matched([[0.5, 0.6]], [0, 0]) == [1]
    assert matched([[0.49]], [0]) == [FALSE_ALARM]
    assert matched([[0.49]], [0], threshold=0.4) == [0]


def test_what_lies_on_something_ignored_does_not_count() -> None:
    # A crowd may hold any number of finds, by the share of the find that lies in it.
    assert matched([[0.1], [0.2], [0.1]], [1], [[0.9], [0.5], [0.4]]) == [
        IGNORED, IGNORED, FALSE_ALARM,
    ]  # fmt: skip
    # A face goes first, even where an ignored box overlaps more.
    assert matched([[0.9, 0.6], [0.9, 0.6]], [1, 0]) == [1, IGNORED]


def test_nothing_there_and_nothing_found() -> None:
    none = np.empty((0, 2))
    assert match(none, none, np.zeros(2, bool)).tolist() == []
    assert match(none.T, none.T, np.zeros(0, bool)).tolist() == [FALSE_ALARM, FALSE_ALARM]


@given(
    arrays(float, st.tuples(st.integers(0, 6), st.integers(0, 5)), elements=st.floats(0, 1)),
    st.data(),
)
def test_what_is_matched_does_not_depend_on_later_finds(
    overlaps: NDArray[np.float64], data: st.DataObject
) -> None:
    ignored = data.draw(arrays(bool, overlaps.shape[1]))
    first = data.draw(st.integers(0, len(overlaps)))
    covered = np.sqrt(overlaps)
    whole = match(overlaps, covered, ignored)
    assert match(overlaps[:first], covered[:first], ignored).tolist() == whole[:first].tolist()
    found = whole[whole >= 0]
    assert len(set(found.tolist())) == len(found)
    assert not ignored[found].any()


def outcomes(
    scores: ArrayLike,
    right: ArrayLike,
    *,
    sizes: ArrayLike | None = None,
    pictures: ArrayLike | None = None,
    face_sizes: ArrayLike = (),
    face_pictures: ArrayLike | None = None,
    empty: ArrayLike = (False, True),
    angle_errors: ArrayLike | None = None,
) -> Outcomes:
    count, faces = len(np.array(scores)), len(np.array(face_sizes))

    def given_or(value: ArrayLike | None, usual: float, length: int, kind: Any) -> NDArray[Any]:
        return np.full(length, usual, kind) if value is None else np.array(value, kind)

    return Outcomes(
        np.array(scores, float),
        np.array(right, bool),
        given_or(sizes, 30, count, float),
        given_or(angle_errors, np.nan, count, float),
        given_or(pictures, 0, count, np.intp),
        np.array(face_sizes, float),
        given_or(face_pictures, 0, faces, np.intp),
        np.array(empty, bool),
    )


# Four faces in the first of two pictures; the second has none, and a false alarm.
BY_HAND = outcomes(
    [0.6, 0.8, 0.9, 0.8],
    [1, 0, 1, 1],
    sizes=[20, 30, 50, 70],
    pictures=[0, 1, 0, 0],
    face_sizes=[20, 50, 70, 90],
    angle_errors=[50, np.nan, 2, 4],
)


def test_a_curve_by_hand() -> None:
    scores, recall, precision, false_alarms, faces = curve(BY_HAND)
    assert scores.tolist() == [0.9, 0.8, 0.6]
    assert recall.tolist() == [0.25, 0.5, 0.75]
    assert precision.tolist() == [1, 2 / 3, 0.75]
    assert false_alarms.tolist() == [0, 0.5, 0.5]
    assert faces == 4
    # The precision at a recall of 0.5 is that of 0.75, which is higher.
    assert average_precision(curve(BY_HAND)) == pytest.approx(0.25 + 0.25 * 0.75 + 0.25 * 0.75)
    assert recall_at(curve(BY_HAND), 0.4) == 0.25
    assert recall_at(curve(BY_HAND), 0.5) == 0.75


def test_figures_by_hand() -> None:
    scores = detection_scores(BY_HAND, 0.8)
    assert (scores.pictures, scores.empty, scores.faces) == (2, 1, 4)
    assert scores.recall == 50
    assert scores.precision == pytest.approx(200 / 3)
    assert (scores.false_alarms, scores.false_alarms_empty) == (0.5, 1)
    assert scores.average_precision == pytest.approx(0.625)
    assert scores.recall_at_alarms == {"0.01": 25, "0.1": 25, "1": 75}
    assert (scores.angle_error, scores.angle_wrong) == (3, 0)
    lower = detection_scores(BY_HAND, 0.5)
    assert (lower.recall, lower.false_alarms, lower.angle_error) == (75, 0.5, 4)
    assert lower.angle_wrong == pytest.approx(100 / 3)
    assert lower.average_precision == scores.average_precision


def test_figures_by_size() -> None:
    small = detection_scores(BY_HAND.of_size(16, 32), 0.5)
    # One face of 20 px, found below the false alarm of 30 px.
    assert (small.faces, small.recall, small.precision) == (1, 100, 50)
    assert small.average_precision == 0.5
    assert small.pictures == 2
    large = detection_scores(BY_HAND.of_size(64, 128), 0.5)
    assert (large.faces, large.recall, large.false_alarms) == (2, 50, 0)


def test_figures_of_some_pictures() -> None:
    first = np.array([True, False])
    with_faces = detection_scores(BY_HAND.of_pictures(first), 0.5)
    without = detection_scores(BY_HAND.of_pictures(~first), 0.5)
    assert (with_faces.pictures, with_faces.faces, with_faces.false_alarms) == (1, 4, 0)
    assert (without.pictures, without.empty, without.false_alarms_empty) == (1, 1, 1)
    assert without.recall is without.average_precision is without.angle_error is None
    assert without.recall_at_alarms == {"0.01": None, "0.1": None, "1": None}
    assert without.precision == 0


def test_a_detector_that_finds_nothing() -> None:
    scores = detection_scores(outcomes([], [], face_sizes=[30]), 0.5)
    assert (scores.recall, scores.average_precision, scores.false_alarms) == (0, 0, 0)
    assert scores.precision is None


finds = st.lists(st.tuples(st.integers(0, 10), st.booleans()), max_size=12)


@given(finds, st.integers(0, 3))
def test_average_precision_is_what_its_text_says(
    found: list[tuple[int, bool]], missed: int
) -> None:
    right = sum(is_right for _, is_right in found)
    if not right + missed:
        return
    steps = []
    for threshold in sorted({score for score, _ in found}, reverse=True):
        taken = [is_right for score, is_right in found if score >= threshold]
        steps.append((sum(taken) / (right + missed), sum(taken) / len(taken)))
    expected, before = 0.0, 0.0
    for i, (recall, _) in enumerate(steps):
        expected += (recall - before) * max(precision for _, precision in steps[i:])
        before = recall
    some = outcomes(
        [score / 10 for score, _ in found],
        [is_right for _, is_right in found],
        face_sizes=[30] * (right + missed),
    )
    assert average_precision(curve(some)) == pytest.approx(expected, abs=1e-12)
    # Only the order of the scores matters.
    squared = outcomes(some.scores**2, some.right, face_sizes=some.face_sizes)
    assert average_precision(curve(squared)) == average_precision(curve(some))
