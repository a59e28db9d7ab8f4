"""The numbers of an evaluation; each function's text is the definition of its number.

NME: normalised mean error of a face. CED: cumulative error distribution, the share of images with
an NME up to a value. Errors may be fractions or percent, as long as thresholds are the same.
Visibility: 1 = seen, 0 = hidden.
"""

from __future__ import annotations

from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aadn.errors import InputError
from aadn.schemes import Normaliser, Scheme

FloatArray = NDArray[np.float64]


def normalisers(
    scheme: Scheme, truth: ArrayLike, kind: Normaliser, boxes: ArrayLike | None = None
) -> FloatArray:
    """The length in pixels that each face's errors are divided by.

    Args:
        scheme: whose points they are.
        truth: (N, L, 2) pixels; NaN = not labelled.
        kind: "inter-ocular", the distance of the outer eye corners; "inter-pupil", that of the
            pupils or of the means of the eyes' points; "box", √(width·height) of the tight box
            around the labelled points; "diagonal", that box's diagonal; "width", the width of
            the face's own box in `boxes` (AFLW's protocol).
        boxes: (N, 4) x0, y0, x1, y1, for "width" only.

    Returns:
        (N,), all greater than 0.

    Raises:
        InputError: for another kind or shape, and for a face whose length is 0 or not labelled.
    """
    points = np.asarray(truth, np.float64)
    if points.ndim != 3 or points.shape[1:] != (scheme.size, 2):
        raise InputError(f"expected points (N, {scheme.size}, 2), got shape {points.shape}")
    if kind in scheme.normalisers:
        first, second = (points[:, list(group)].mean(axis=1) for group in scheme.normalisers[kind])
        lengths = np.linalg.norm(first - second, axis=1)
    elif kind in ("box", "diagonal"):
        known = labelled(points)[..., None]
        low = np.where(known, points, np.inf).min(axis=1, initial=np.inf)
        high = np.where(known, points, -np.inf).max(axis=1, initial=-np.inf)
        size = np.clip(high - low, 0, None)
        lengths = np.sqrt(size.prod(axis=1)) if kind == "box" else np.linalg.norm(size, axis=1)
    elif kind == "width":
        given = np.empty(0) if boxes is None else np.asarray(boxes, np.float64)
        if given.shape != (len(points), 4):
            raise InputError(f"expected boxes ({len(points)}, 4), got shape {given.shape}")
        lengths = given[:, 2] - given[:, 0]
    elif kind in get_args(Normaliser):
        raise InputError(
            f"the scheme {scheme.name} does not say what its {kind} distance is; choose another "
            "normaliser"
        )
    else:
        known_kinds = ", ".join(get_args(Normaliser))
        raise InputError(f"expected a normaliser of {known_kinds}; got {kind!r}")
    wrong = ~(lengths > 0)
    if wrong.any():
        raise InputError(
            f"face {int(np.argmax(wrong))}: its {kind} length is 0 or its landmarks are not "
            "labelled; choose another normaliser"
        )
    return np.asarray(lengths, np.float64)


def point_errors(predicted: ArrayLike, truth: ArrayLike, normaliser: ArrayLike) -> FloatArray:
    """Distance of each landmark to the truth over the face's normaliser.

    Args:
        predicted, truth: (N, L, 2) pixels; NaN in the truth = not labelled.
        normaliser: (N,) pixels, greater than 0.

    Returns:
        (N, L), NaN where not labelled.

    Raises:
        InputError: for other shapes or normalisers.
    """
    p, t, n = (np.asarray(a, np.float64) for a in (predicted, truth, normaliser))
    if t.ndim != 3 or t.shape[2] != 2 or p.shape != t.shape or n.shape != t.shape[:1]:
        raise InputError(
            "expected predicted and true points (N, L, 2) and normalisers (N,), got shapes "
            f"{p.shape}, {t.shape} and {n.shape}"
        )
    if not (n > 0).all():
        raise InputError("expected normalisers greater than 0")
    return np.asarray(np.linalg.norm(p - t, axis=2) / n[:, None], np.float64)


def nme(predicted: ArrayLike, truth: ArrayLike, normaliser: ArrayLike) -> FloatArray:
    """NME of each face as a fraction, (N,): mean of `point_errors` over its labelled points.

    NaN for a face without any. The NME of a data set is the mean over its images.
    """
    errors = point_errors(predicted, truth, normaliser)
    return mean_over(errors, labelled(np.asarray(truth, np.float64)))


def labelled(points: FloatArray) -> NDArray[np.bool_]:
    """Which points of (..., 2) have both coordinates; shape (...)."""
    return np.asarray(np.isfinite(points).all(axis=-1), bool)


def mean_over(errors: FloatArray, chosen: NDArray[np.bool_]) -> FloatArray:
    """Mean of each row of (N, L) over its chosen entries, (N,); NaN where a row has none."""
    count = chosen.sum(axis=1)
    total = np.where(chosen, errors, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def failure_rate(nme: ArrayLike, threshold: float) -> float:
    """Share of images, 0…1, with an NME greater than the threshold."""
    return float(np.mean(_errors(nme) > threshold))


def auc(nme: ArrayLike, threshold: float) -> float:
    """Area under the CED from 0 to the threshold, over the threshold: 0…1, 1 = no error.

    By the identity 1 - mean(min(NME, t)) / t, which is exact; published scripts integrate the
    curve numerically instead and differ from it in the third decimal.
    """
    if not threshold > 0:
        raise InputError(f"expected a threshold greater than 0, got {threshold}")
    return float(1 - np.mean(np.minimum(_errors(nme), threshold)) / threshold)


def ced(nme: ArrayLike, grid: ArrayLike) -> FloatArray:
    """Share of images, 0…1, with an NME up to each value of `grid` (K,); shape (K,)."""
    errors = np.sort(_errors(nme))
    return np.searchsorted(errors, np.asarray(grid, np.float64), side="right") / len(errors)


def roc_auc(score: ArrayLike, label: ArrayLike) -> float | None:
    """Probability that a positive scores higher than a negative; ties count half.

    Args:
        score: (N,), higher = more likely positive.
        label: (N,) bool.

    Returns:
        0…1; None if all labels are the same.
    """
    scores, labels = _scored(score, label)
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        return None
    total = _ranks(scores)[labels].sum()
    return float((total - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(score: ArrayLike, label: ArrayLike) -> float | None:
    """Mean of the precision over the steps of the recall (no interpolation), 0…1.

    Arguments as for `roc_auc`; equal scores make one step. None without positives.
    """
    precision, recall = _precision_recall(*_scored(score, label))
    if len(recall) == 0:
        return None
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def recall_at_precision(score: ArrayLike, label: ArrayLike, precision: float = 0.8) -> float | None:
    """Highest recall, 0…1, of any threshold whose precision is at least `precision`.

    Arguments as for `roc_auc`. 0 if no threshold reaches it, None without positives. The figure
    of merit of COFW with "hidden" as the positives and a precision of 0.8.
    """
    reached, recall = _precision_recall(*_scored(score, label))
    if len(recall) == 0:
        return None
    return float(recall[reached >= precision].max(initial=0.0))


def best_threshold(visibility: ArrayLike, visible: ArrayLike) -> float | None:
    """The threshold by which hidden landmarks are found best: with the highest F1.

    Args:
        visibility: (N,) predicted, in [0, 1]; a landmark below the threshold is called hidden.
        visible: (N,) bool.

    Returns:
        One of 0.05, 0.06 … 0.95, the one nearest to 0.5 of several that are as good; None unless
        some landmarks are hidden and some visible.
    """
    seen, truth = _scored(visibility, visible)
    if truth.all() or not truth.any():
        return None
    grid = np.arange(5, 96) / 100
    called = np.searchsorted(np.sort(seen), grid)
    found = np.searchsorted(np.sort(seen[~truth]), grid)
    f1 = 2 * found / (called + (~truth).sum())
    best = np.flatnonzero(np.isclose(f1, f1.max(), rtol=1e-12))
    return float(grid[best[np.argmin(np.abs(grid[best] - 0.5))]])


def expected_calibration_error(
    probability: ArrayLike, label: ArrayLike, bins: int = 15
) -> float | None:
    """Mean distance, 0…1, of what is predicted to what happens.

    Entries fall into `bins` equal intervals of the predicted probability of a positive; the
    result is the mean over entries of |mean probability - share of positives| of their interval.
    None without entries. (15 intervals, as is usual.)
    """
    mean, share, entries = reliability(probability, label, bins)
    if not entries.any():
        return None
    return float(np.nansum(entries * np.abs(mean - share)) / entries.sum())


class Reliability(NamedTuple):
    """A reliability diagram of K intervals.

    Attributes:
        mean: (K,) mean predicted probability of the interval's entries; NaN where there are none.
        share: (K,) share of positives among them, 0…1; NaN where there are none.
        entries: (K,) how many there are.
    """

    mean: FloatArray
    share: FloatArray
    entries: NDArray[np.int64]


def reliability(probability: ArrayLike, label: ArrayLike, bins: int = 10) -> Reliability:
    """What is predicted and what happens, in `bins` equal intervals of the prediction.

    The points of a reliability diagram (10 intervals, as is usual); an interval has its lower end,
    the last also 1.

    Args:
        probability: (N,) of a positive, in [0, 1].
        label: (N,) bool.

    Raises:
        InputError: for other shapes or values, or fewer than 1 interval.
    """
    predicted, labels = _scored(probability, label)
    if bins < 1:
        raise InputError(f"expected 1 interval or more, got {bins}")
    if not ((predicted >= 0) & (predicted <= 1)).all():
        raise InputError("expected probabilities in [0, 1]")
    place = np.minimum((predicted * bins).astype(int), bins - 1)
    entries = np.bincount(place, minlength=bins)
    mean, share = (
        np.where(entries > 0, np.bincount(place, values, bins) / np.maximum(entries, 1), np.nan)
        for values in (predicted, labels)
    )
    return Reliability(mean, share, entries)


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float | None:
    """Spearman's correlation, -1…1: that of the ranks, of which equal values get the mean.

    Args:
        first, second: (N,) without NaN.

    Returns:
        None if all values of either are equal, or there are none.

    Raises:
        InputError: for other shapes, or NaN.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.ndim != 1 or a.shape != b.shape or np.isnan(a).any() or np.isnan(b).any():
        raise InputError(f"expected two times (N,) without NaN, got {a.shape} and {b.shape}")
    middle = (len(a) + 1) / 2
    a, b = _ranks(a) - middle, _ranks(b) - middle
    length = np.sqrt(np.sum(a * a) * np.sum(b * b))
    return float(np.sum(a * b) / length) if length > 0 else None


def _ranks(values: FloatArray) -> FloatArray:
    """Rank of each value from 1 for the lowest, (N,); equal values get the mean of their ranks."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place], np.float64)


def _errors(nme: ArrayLike) -> FloatArray:
    errors = np.asarray(nme, np.float64)
    if errors.ndim != 1 or len(errors) == 0 or not (errors >= 0).all():
        raise InputError(
            f"expected the NME of at least one image, (N,) and none of it NaN; got {errors.shape}"
        )
    return errors


def _scored(score: ArrayLike, label: ArrayLike) -> tuple[FloatArray, NDArray[np.bool_]]:
    scores, labels = np.asarray(score, np.float64), np.asarray(label)
    if scores.ndim != 1 or scores.shape != labels.shape or np.isnan(scores).any():
        raise InputError(
            f"expected scores (N,) without NaN and labels (N,), got {scores.shape} and "
            f"{labels.shape}"
        )
    return scores, labels.astype(bool)


def _precision_recall(
    scores: FloatArray, labels: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Precision and recall at each distinct threshold, from the highest; empty if no positives."""
    if not labels.any():
        return np.empty(0), np.empty(0)
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of a run of equal scores
    found = np.cumsum(labels[order])[last]
    called = np.flatnonzero(last) + 1
    return found / called, found / labels.sum()
