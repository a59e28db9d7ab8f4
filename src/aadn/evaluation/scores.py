"""What was measured on labelled faces, and the figures that sum it up.

The formulas are in `aadn.evaluation.metrics`; what each figure means stands at `Scores`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.evaluation.metrics import (
    Reliability,
    auc,
    average_precision,
    expected_calibration_error,
    failure_rate,
    mean_over,
    rank_correlation,
    recall_at_precision,
    reliability,
    roc_auc,
)
from aadn.faces import TURNED_THRESHOLD

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """The figures of some faces; None where one is undefined. "Percent" is 0…100.

    Attributes:
        images: labelled faces.
        missed: those that the detector did not find. Every other number is over the faces found: a
            missed face has no error, and is no failure in `fr`.
        nme: mean over faces of their NME, percent.
        nme_visible, nme_hidden: the same over the visible (hidden) landmarks of each face; faces
            without such landmarks are left out. Where nobody says what is hidden, all landmarks
            count as visible and the figures of visibility below are None. Where labels say that
            one is unsure, a landmark counts in neither, nor in the figures of visibility, but for
            `called_hidden`.
        fr_8, fr_10: percent of faces with an NME above 8 % (10 %).
        auc_8: area under the cumulative error curve up to 8 %, percent.
        visibility_auc: probability that a visible landmark is given a higher visibility than a
            hidden one, 0…1. A landmark beyond the picture's border is hidden, as in training,
            unless its labels say otherwise.
        hidden_points: number of hidden landmarks.
        hidden_average_precision, hidden_recall_at_precision_80: of finding them, 0…1 and percent.
        visible_called_hidden: percent of visible landmarks whose visibility is below the network's
            threshold.
        called_hidden: percent of all landmarks, seen or not, so that it is known on clean faces
            too.
        calibration_error: of visibility, expected over 15 bins, 0…1.
        map_auc: as `visibility_auc`, of the visible map P alone, at the 7×7 cells in which
            networks give it, read at the predicted landmarks. None from a network without it.
        uncertainty_ratio: mean true distance over mean predicted distance of the landmarks found
            and labelled, 1 = calibrated, above 1 = too sure.
        uncertainty_correlation: Spearman's of the two, -1…1. Both over all landmarks together,
            distances divided by their face's normaliser, so that faces count alike and a large
            picture is not called uncertain. None from a network without uncertainty.
        turned_auc: probability that a landmark that the head itself hides is given a higher
            probability of being turned away than one that it does not hide, 0…1; over those whose
            labels say it. None from a network that does not tell, and without such labels.
        turned_points: number of landmarks labelled turned away.
        turned_called_turned, others_called_turned: percent of these, and of those labelled not
            turned away, whose probability is at least the network's threshold.
        nme_p90, nme_p95, nme_p99: percentiles of the faces' NME, percent.
        fr, auc: as `fr_8` and `auc_8`, at the protocol's own threshold.
    """

    images: int
    missed: int
    nme: float | None = None
    nme_visible: float | None = None
    nme_hidden: float | None = None
    fr_8: float | None = None
    fr_10: float | None = None
    auc_8: float | None = None
    visibility_auc: float | None = None
    hidden_points: int | None = None
    hidden_average_precision: float | None = None
    hidden_recall_at_precision_80: float | None = None
    visible_called_hidden: float | None = None
    called_hidden: float | None = None
    calibration_error: float | None = None
    map_auc: float | None = None
    uncertainty_ratio: float | None = None
    uncertainty_correlation: float | None = None
    turned_auc: float | None = None
    turned_points: int | None = None
    turned_called_turned: float | None = None
    others_called_turned: float | None = None
    nme_p90: float | None = None
    nme_p95: float | None = None
    nme_p99: float | None = None
    fr: float | None = None
    auc: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The figures by name, as reports in JSON have them."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured on N labelled faces, one row each.

    Attributes:
        errors: (N, L) distance of each landmark to the truth, in percent of the normaliser; NaN
            where it is not labelled and for a missed face.
        missed: (N,) the detector did not find the face.
        visible: (N, L) true visibility, 1 seen, 0 hidden, NaN unknown; None where the labels do not
            say and nothing was put on the faces.
        visibility: (N, L) predicted probability in [0, 1] that nothing covers a landmark that is
            not turned away (`aadn.faces.uncovered`); NaN for a missed face.
        uncertainty: (N, L) expected distance to the truth, in percent of the normaliser as
            `errors`; NaN for a missed face, or everywhere from a network without it.
        visible_map: (N, L) the map P, 1 = visible face, read at the predicted landmarks; NaN as for
            `uncertainty`.
        turned: (N, L) whether the head itself hides the landmark, 1 or 0, NaN unknown; None where
            the labels do not say.
        away: (N, L) predicted probability of that, NaN for a missed face; None from a network that
            does not tell.
    """

    errors: FloatArray
    missed: BoolArray
    visible: FloatArray | None
    visibility: FloatArray
    uncertainty: FloatArray
    visible_map: FloatArray
    turned: FloatArray | None = None
    away: FloatArray | None = None

    def __getitem__(self, rows: NDArray[Any]) -> Measured:
        return Measured(
            self.errors[rows],
            self.missed[rows],
            None if self.visible is None else self.visible[rows],
            self.visibility[rows],
            self.uncertainty[rows],
            self.visible_map[rows],
            None if self.turned is None else self.turned[rows],
            None if self.away is None else self.away[rows],
        )

    @property
    def nme(self) -> FloatArray:
        """NME of each face in percent, (N,); NaN for a face that is missed or has no labels."""
        return mean_over(self.errors, np.isfinite(self.errors))

    def reliability(self, bins: int = 10) -> Reliability | None:
        """Predicted visibility beside the true one, over the landmarks found and labelled.

        None where the true visibility is not known, or none is predicted.
        """
        if self.visible is None:
            return None
        judged = np.isfinite(self.visibility + self.errors + self.visible)
        if not judged.any():
            return None
        return reliability(self.visibility[judged], self.visible[judged] > 0.5, bins)

    def turned_reliability(self, bins: int = 10) -> Reliability | None:
        """The predicted probability of being turned away beside how often landmarks are.

        None where the labels do not say it, or none is predicted.
        """
        if self.turned is None or self.away is None:
            return None
        judged = np.isfinite(self.turned) & np.isfinite(self.away)
        if not judged.any():
            return None
        return reliability(self.away[judged], self.turned[judged] > 0.5, bins)

    def scores(
        self,
        threshold: float,
        visibility_threshold: float,
        turned_threshold: float = TURNED_THRESHOLD,
    ) -> Scores:
        """The figures of these faces.

        `threshold` is that of `fr` and `auc`, percent; the others are the network's.
        """
        labelled = np.isfinite(self.errors)
        truth = np.ones(labelled.shape) if self.visible is None else self.visible
        visible, hidden = labelled & (truth == 1), labelled & (truth == 0)
        return Scores(
            images=len(self.errors),
            missed=int(self.missed.sum()),
            nme_visible=_mean(mean_over(self.errors, visible)),
            nme_hidden=_mean(mean_over(self.errors, hidden)),
            **self._of_errors(threshold),
            **self._of_visibility(visible, hidden, visibility_threshold),
            **self._of_turning(turned_threshold),
            **self._of_uncertainty(),
        )

    def _of_errors(self, threshold: float) -> dict[str, Any]:
        nme = self.nme[np.isfinite(self.nme)]
        if not len(nme):
            return {}
        return {
            "nme": float(nme.mean()),
            "fr_8": 100 * failure_rate(nme, 8),
            "fr_10": 100 * failure_rate(nme, 10),
            "auc_8": 100 * auc(nme, 8),
            "nme_p90": float(np.percentile(nme, 90)),
            "nme_p95": float(np.percentile(nme, 95)),
            "nme_p99": float(np.percentile(nme, 99)),
            "fr": 100 * failure_rate(nme, threshold),
            "auc": 100 * auc(nme, threshold),
        }

    def _of_visibility(
        self, visible: BoolArray, hidden: BoolArray, threshold: float
    ) -> dict[str, Any]:
        # A landmark without a label has no true visibility either.
        found = np.isfinite(self.visibility) & np.isfinite(self.errors)
        called = (self.visibility < threshold).astype(float)
        called_hidden = {"called_hidden": _percent(_mean(called[found]))}
        if self.visible is None:
            return called_hidden
        judged = found & (visible | hidden)
        given, seen = self.visibility[judged], visible[judged]
        in_map = np.isfinite(self.visible_map) & (visible | hidden)
        return called_hidden | {
            "visibility_auc": roc_auc(given, seen),
            "hidden_points": int(hidden.sum()),
            "hidden_average_precision": average_precision(1 - given, ~seen),
            "hidden_recall_at_precision_80": _percent(recall_at_precision(1 - given, ~seen, 0.8)),
            "visible_called_hidden": _percent(_mean(called[found & visible])),
            "calibration_error": expected_calibration_error(given, seen),
            "map_auc": roc_auc(self.visible_map[in_map], visible[in_map]),
        }

    def _of_turning(self, threshold: float) -> dict[str, Any]:
        if self.turned is None or self.away is None:
            return {}
        judged = np.isfinite(self.turned) & np.isfinite(self.away)
        given, turned = self.away[judged], self.turned[judged] > 0.5
        called = (given >= threshold).astype(float)
        return {
            "turned_auc": roc_auc(given, turned),
            "turned_points": int(turned.sum()),
            "turned_called_turned": _percent(_mean(called[turned])),
            "others_called_turned": _percent(_mean(called[~turned])),
        }

    def _of_uncertainty(self) -> dict[str, Any]:
        known = np.isfinite(self.uncertainty) & np.isfinite(self.errors)
        predicted, true = self.uncertainty[known], self.errors[known]
        total = predicted.sum()
        return {
            "uncertainty_ratio": float(true.sum() / total) if total > 0 else None,
            "uncertainty_correlation": rank_correlation(predicted, true),
        }


def _mean(values: FloatArray) -> float | None:
    """Mean of what is not NaN; None if nothing is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
