"""Metrics against values computed by hand, brute force and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from faces import trapezoid
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.evaluation.metrics import (
    auc,
    average_precision,
    best_threshold,
    ced,
    expected_calibration_error,
    failure_rate,
    nme,
    normalisers,
    point_errors,
    rank_correlation,
    recall_at_precision,
    reliability,
    roc_auc,
)
from aadn.schemes import AFLW19, COFW29, IBUG68, Normaliser

FloatArray = NDArray[np.float64]

PIXELS = st.floats(-500, 500)
ERRORS = arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 30))


def scored(draw: st.DrawFn) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Scores with many ties, and labels."""
    count = draw(st.integers(1, 30))
    score = draw(arrays(np.float64, count, elements=st.integers(0, 6).map(lambda v: v / 6)))
    return score, draw(arrays(np.bool_, count))


SCORED = st.composite(scored)()


def test_nme_by_hand() -> None:
    truth = np.array([[[0.0, 0], [10, 0], [5, 5]], [[0, 0], [np.nan, np.nan], [5, 5]]])
    predicted = np.array([[[3.0, 4], [10, 0], [5, 6]], [[0, 2], [99, 99], [5, 5]]])
    np.testing.assert_allclose(
        point_errors(predicted, truth, [10, 4]), [[0.5, 0, 0.1], [0.5, np.nan, 0]]
    )
    np.testing.assert_allclose(nme(predicted, truth, [10, 4]), [0.2, 0.25])


def test_a_face_without_labels_has_no_nme() -> None:
    assert np.isnan(nme(np.zeros((1, 3, 2)), np.full((1, 3, 2), np.nan), [1.0])).all()
    assert nme(np.zeros((0, 3, 2)), np.zeros((0, 3, 2)), []).shape == (0,)


@given(
    arrays(np.float64, (3, 19, 2), elements=PIXELS),
    arrays(np.float64, (3, 19, 2), elements=PIXELS),
    st.floats(0.1, 10),
    st.permutations(range(19)),
    st.permutations(range(3)),
)
def test_nme_ignores_scale_shift_and_order(
    predicted: FloatArray, truth: FloatArray, scale: float, points: list[int], faces: list[int]
) -> None:
    truth[:, 0], truth[:, 1] = -600, 600  # so that no box is empty
    for kind in ("box", "diagonal"):
        result = nme(predicted, truth, normalisers(AFLW19, truth, kind))
        p, t = scale * predicted + 7, scale * truth + 7
        p, t = p[faces][:, points], t[faces][:, points]
        np.testing.assert_allclose(
            nme(p, t, normalisers(AFLW19, t, kind)), result[faces], rtol=1e-9, atol=1e-12
        )


def test_normalisers_by_hand() -> None:
    face = np.full((1, 68, 2), 50.0)
    face[0, 36], face[0, 45] = (10, 20), (40, 60)  # outer eye corners: 30, 40 -> 50
    face[0, 37:42] = (10, 20)
    face[0, 42:45] = face[0, 46:48] = (40, 60)
    face[0, 39], face[0, 40] = (14, 17), (6, 23)  # the mean stays (10, 20)
    face[0, 0], face[0, 8] = (0, 50), (100, 75)  # box: x 0…100, y 17…75
    wanted: dict[Normaliser, float] = {
        "inter-ocular": 50,
        "inter-pupil": 50,
        "box": np.sqrt(100 * 58),
        "diagonal": np.hypot(100, 58),
    }
    for kind, value in wanted.items():
        np.testing.assert_allclose(normalisers(IBUG68, face, kind), [value])
    face[0, 39] += 6  # moves that eye's mean by (1, 1)
    np.testing.assert_allclose(normalisers(IBUG68, face, "inter-ocular"), [50])
    np.testing.assert_allclose(normalisers(IBUG68, face, "inter-pupil"), [np.hypot(29, 39)])


def test_the_width_is_that_of_the_given_box() -> None:
    face = np.full((2, 19, 2), np.nan)
    boxes = [[10, 20, 40, 90], [0, 0, 7, 5]]
    assert normalisers(AFLW19, face, "width", boxes).tolist() == [30, 7]
    with pytest.raises(InputError, match=r"boxes \(2, 4\), got shape \(1, 4\)"):
        normalisers(AFLW19, face, "width", boxes[:1])
    with pytest.raises(InputError, match="expected boxes"):
        normalisers(AFLW19, face, "width")
    with pytest.raises(InputError, match="face 1: its width length is 0"):
        normalisers(AFLW19, face, "width", [[0, 0, 1, 1], [5, 0, 5, 5]])


def test_normalisers_of_29_points() -> None:
    face = np.zeros((1, 29, 2))
    face[0, 9], face[0, 17] = (30, 40), (6, 8)
    assert normalisers(COFW29, face, "inter-ocular").tolist() == [50]
    assert normalisers(COFW29, face, "inter-pupil").tolist() == [10]


def test_box_leaves_out_what_is_not_labelled() -> None:
    face = np.full((1, 19, 2), np.nan)
    face[0, :2] = (0, 0), (9, 4)
    face[0, 2, 0] = 1000  # half a label is none
    assert normalisers(AFLW19, face, "box").tolist() == [6]
    with pytest.raises(InputError, match="face 0: its inter-ocular length"):
        normalisers(AFLW19, face, "inter-ocular")
    face[:] = np.nan
    with pytest.raises(InputError, match="face 0: its box length"):
        normalisers(AFLW19, face, "box")


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match=r"inter-ocular, .*, diagonal, width; got .ears"):
        normalisers(IBUG68, np.zeros((1, 68, 2)), "ears")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"\(N, 68, 2\)"):
        normalisers(IBUG68, np.zeros((1, 67, 2)), "box")
    with pytest.raises(InputError, match="shapes"):
        nme(np.zeros((1, 68, 2)), np.zeros((1, 67, 2)), [1])
    with pytest.raises(InputError, match="greater than 0"):
        nme(np.zeros((1, 68, 2)), np.zeros((1, 68, 2)), [0])
    for wrong in ([], [1.0, np.nan], [-1.0], 3.0):
        with pytest.raises(InputError, match="at least one image"):
            failure_rate(wrong, 8)
    with pytest.raises(InputError, match="threshold"):
        auc([1.0], 0)
    with pytest.raises(InputError, match="without NaN"):
        roc_auc([np.nan], [True])
    with pytest.raises(InputError, match="probabilities"):
        expected_calibration_error([1.2], [True])


def test_failure_rate_auc_and_ced_by_hand() -> None:
    errors = [2.0, 4, 8, 12]
    assert failure_rate(errors, 8) == 0.25  # 8 itself is no failure
    assert failure_rate(errors, 7.9) == 0.5
    assert auc(errors, 8) == 1 - (2 + 4 + 8 + 8) / 4 / 8
    assert ced(errors, [0, 2, 3.9, 4, 12, 99]).tolist() == [0, 0.25, 0.25, 0.5, 1, 1]
    assert auc([0.0], 8) == 1
    assert auc([9.0], 8) == 0


@given(ERRORS, st.floats(0.5, 20))
def test_auc_is_the_integral_of_the_ced(errors: FloatArray, threshold: float) -> None:
    grid = np.linspace(0, threshold, 20_001)
    integral = trapezoid(ced(errors, grid), grid) / threshold
    assert auc(errors, threshold) == pytest.approx(integral, abs=1e-4)
    # In percent or as fractions, it is the same number; and no worse a face makes it better.
    assert auc(errors / 100, threshold / 100) == pytest.approx(auc(errors, threshold))
    assert auc(errors + 1, threshold) <= auc(errors, threshold)


@given(ERRORS, st.floats(0.5, 20))
def test_failure_rate_ends_the_ced(errors: FloatArray, threshold: float) -> None:
    rate = failure_rate(errors, threshold)
    assert rate == pytest.approx(1 - ced(errors, [threshold])[0])
    if rate == 0:  # the identity by which published figures can be checked
        assert auc(errors, threshold) == pytest.approx(1 - errors.mean() / threshold)


@given(SCORED)
def test_roc_auc_is_a_probability_of_pairs(data: tuple[FloatArray, NDArray[np.bool_]]) -> None:
    score, label = data
    pairs = score[label][:, None] - score[~label][None, :]
    if pairs.size == 0:
        assert roc_auc(score, label) is None
        return
    brute = float(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    result = roc_auc(score, label)
    assert result == pytest.approx(brute)
    assert roc_auc(-score, ~label) == pytest.approx(brute)
    assert roc_auc(np.exp(3 * score), label) == pytest.approx(brute)  # only the order counts
    assert roc_auc(score[::-1], label[::-1]) == pytest.approx(brute)


def test_precision_and_recall_by_hand() -> None:
    #        recall 1/3, precision 1 | tie of two: 2/3, 2/3 | 2/3, 1/2 | 1, 3/5
    score = [0.9, 0.7, 0.7, 0.4, 0.2]
    label = [True, True, False, False, True]
    assert average_precision(score, label) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert recall_at_precision(score, label, 0.8) == pytest.approx(1 / 3)
    assert recall_at_precision(score, label, 0.6) == 1
    assert recall_at_precision([0.1, 0.2], [True, False], 0.8) == 0
    # 4 of 5 is 80 % precisely.
    assert recall_at_precision([5, 4, 3, 2, 1], [True, False, True, True, True], 0.8) == 1


def test_undefined_is_none() -> None:
    assert roc_auc([0.1, 0.2], [True, True]) is None
    assert roc_auc([], []) is None
    assert average_precision([0.1], [False]) is None
    assert average_precision([], []) is None
    assert recall_at_precision([0.1], [False]) is None
    assert expected_calibration_error([], []) is None


@given(SCORED)
def test_precision_and_recall_by_brute_force(data: tuple[FloatArray, NDArray[np.bool_]]) -> None:
    score, label = data
    area, best, previous = 0.0, 0.0, 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        called = score >= threshold
        precision, found = label[called].mean(), (label & called).sum()
        recall = found / max(label.sum(), 1)
        area += (recall - previous) * precision
        previous = recall
        if precision >= 0.8:
            best = max(best, recall)
    if label.any():
        assert average_precision(score, label) == pytest.approx(area)
        assert recall_at_precision(score, label) == pytest.approx(best)
    else:
        assert average_precision(score, label) is None


def test_reliability_by_hand() -> None:
    # Halves: 0.1 and 0.3 below, of which one happens; 0.5 (the upper one's end), 0.9 and 1 above.
    got = reliability([0.1, 0.3, 0.5, 0.9, 1.0], [True, False, True, True, False], 2)
    np.testing.assert_allclose(got.mean, [0.2, 0.8])
    np.testing.assert_allclose(got.share, [1 / 2, 2 / 3])
    assert got.entries.tolist() == [2, 3]
    got = reliability([0.05], [True])
    assert got.entries.tolist() == [1] + [0] * 9
    assert np.isnan(got.mean[1:]).all()
    assert np.isnan(got.share[1:]).all()
    assert not reliability([], []).entries.any()
    for score, bins in (([1.2], 10), ([-0.1], 10), ([0.5], 0)):
        with pytest.raises(InputError, match="expected"):
            reliability(score, [True], bins)


def test_rank_correlation_by_hand() -> None:
    # Ranks 1 2 3 4 and 2 1 4 3: 1 - 6·Σd²/(n(n²-1)) = 1 - 6·4/60.
    assert rank_correlation([1, 2, 3, 9], [0.2, 0.1, 7, 5]) == pytest.approx(0.6)
    # Ties: ranks 1 2.5 2.5 4 and 1 2 3 4; covariance 4.5 of lengths √4.5 and √5.
    assert rank_correlation([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert rank_correlation([1, 2], [5, 3]) == pytest.approx(-1)
    assert rank_correlation([1, 1], [1, 2]) is None
    assert rank_correlation([3], [3]) is None
    assert rank_correlation([], []) is None
    for wrong in ([1.0, np.nan], [1.0], [[1.0, 2.0]]):
        with pytest.raises(InputError, match="without NaN"):
            rank_correlation(wrong, [1, 2])


def test_calibration_error_by_hand() -> None:
    # Of 0.9 half happens, of 0.1 none: (2·|0.9 - 0.5| + 2·|0.1 - 0|) / 4.
    error = expected_calibration_error([0.9, 0.9, 0.1, 0.1], [True, False, False, False])
    assert error == pytest.approx(0.25)
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0
    assert expected_calibration_error([1.0, 0.0], [False, True]) == 1


@given(SCORED)
def test_calibration_error_stays_in_range(data: tuple[FloatArray, NDArray[np.bool_]]) -> None:
    score, label = data
    error = expected_calibration_error(score, label)
    assert error is not None
    gap = abs(score.mean() - label.mean())  # what a single bin gives is the least
    assert gap - 1e-12 <= error <= 1 + 1e-12
    assert expected_calibration_error(score, label, bins=1) == pytest.approx(gap)


def test_best_threshold_by_hand() -> None:
    seen = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.9])
    visible = np.array([False, False, True, False, True, True])
    # Below 0.25: 2 of 3 found, none wrong, F1 = 4/5; below 0.65: 3 of 3, one wrong, F1 = 6/7.
    assert best_threshold(seen, visible) == pytest.approx(0.61)
    # As good from just above 0.2 on up to 0.7: the middle.
    apart = best_threshold([0.1, 0.2, 0.7, 0.9], [False, False, True, True])
    assert apart == pytest.approx(0.5)
    assert best_threshold([0.1, 0.9], [True, True]) is None
    assert best_threshold([0.1, 0.9], [False, False]) is None


@given(arrays(np.float64, st.integers(2, 30), elements=st.floats(0, 1)), st.integers(0, 2**30 - 1))
def test_no_other_threshold_is_better(seen: FloatArray, bits: int) -> None:
    visible = (bits >> np.arange(len(seen))) & 1 == 1
    chosen = best_threshold(seen, visible)
    if chosen is None:
        assert visible.all() or not visible.any()
        return

    def f1(threshold: float) -> float:
        hidden = seen < threshold
        right = (hidden & ~visible).sum()
        return float(2 * right / (hidden.sum() + (~visible).sum()))

    assert f1(chosen) >= max(f1(t) for t in np.arange(5, 96) / 100) - 1e-12
