"""The numbers of a face detector's evaluation; each function's text defines its number.

A find is a box with a score. It is *right* if it is matched with a labelled face, a *false alarm*
if not, and neither if it lies on something that is to be ignored. A find of a higher score goes
first, and what is matched does not depend on finds of lower scores; the same is true of the
suppression of overlapping boxes in detectors. So one look with a low minimum score gives every
higher one too: finds below it are left out afterwards.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

OVERLAP = 0.5
"""Intersection over union from which a find is a face's, as PASCAL VOC and WIDER FACE have it."""

FALSE_ALARM, IGNORED = -1, -2
"""In place of a face, of a find that has none."""

SIZES: dict[str, tuple[float, float]] = {
    "below 16": (0, 16),
    "16 to 32": (16, 32),
    "32 to 64": (32, 64),
    "64 to 128": (64, 128),
    "128 and more": (128, np.inf),
    "below 40": (0, 40),
}
"""Bands of a face's size, the longer side of its box in pixels of the picture: from the first
number up to, without, the second (our choice). The last one overlaps the others."""

ALARM_LEVELS = (0.01, 0.1, 1.0)
"""False alarms a picture at which the recall is told (our choice)."""


def match(
    overlaps: FloatArray,
    covered: FloatArray,
    ignored: NDArray[np.bool_],
    threshold: float = OVERLAP,
) -> NDArray[np.intp]:
    """Which labelled face each find of a picture is, (D,); FALSE_ALARM or IGNORED where none.

    In the order given, each find takes the face that it overlaps most, of those that are to be
    found, that no earlier one has taken and that it overlaps by the threshold: a second find of
    one face is a false alarm. Without one it is IGNORED if so much of it lies in an ignored box,
    which any number of finds may do (COCO's rule for crowds).

    Args:
        overlaps: (D, F) intersection over union of the finds, the best score first, with the F
            labelled boxes.
        covered: (D, F) intersection over the area of the find.
        ignored: (F,) bool, which of the boxes are to be ignored.
        threshold: in (0, 1].
    """
    free = ~ignored
    faces = np.full(len(overlaps), FALSE_ALARM, np.intp)
    for find, row in enumerate(overlaps):
        open_to_it = np.where(free & (row >= threshold), row, -1.0)
        if open_to_it.max(initial=-1.0) >= 0:
            faces[find] = np.argmax(open_to_it)
            free[faces[find]] = False
        elif (ignored & (covered[find] >= threshold)).any():
            faces[find] = IGNORED
    return faces


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of the finds and of the faces of some pictures.

    Ignored finds and ignored boxes are not in it.

    Attributes:
        scores: (K,) of the finds.
        right: (K,) bool, whether a face was found by it.
        sizes: (K,) longer side in pixels, of the face where it is right, else of the find.
        angle_errors: (K,) degrees, from 0 to 180, by which the found angle is off; NaN where the
            find is not right or has no angle.
        pictures: (K,) index of the picture.
        face_sizes: (F,) longer side in pixels of each face that is to be found.
        face_pictures: (F,) index of its picture.
        empty: (P,) bool, for each picture whether it has no face, nor an ignored one.
    """

    scores: FloatArray
    right: NDArray[np.bool_]
    sizes: FloatArray
    angle_errors: FloatArray
    pictures: NDArray[np.intp]
    face_sizes: FloatArray
    face_pictures: NDArray[np.intp]
    empty: NDArray[np.bool_]

    def of_size(self, low: float, high: float) -> Outcomes:
        """Those of faces and false alarms in a band of sizes, [low, high), in all pictures."""
        finds = (self.sizes >= low) & (self.sizes < high)
        faces = (self.face_sizes >= low) & (self.face_sizes < high)
        return self._only(finds, faces)

    def of_pictures(self, chosen: NDArray[np.bool_]) -> Outcomes:
        """Those of some of the pictures, (P,) bool; the pictures are counted anew."""
        number = np.cumsum(chosen) - 1
        some = self._only(chosen[self.pictures], chosen[self.face_pictures])
        return replace(
            some,
            pictures=number[some.pictures],
            face_pictures=number[some.face_pictures],
            empty=self.empty[chosen],
        )

    def _only(self, finds: NDArray[np.bool_], faces: NDArray[np.bool_]) -> Outcomes:
        return replace(
            self,
            scores=self.scores[finds],
            right=self.right[finds],
            sizes=self.sizes[finds],
            angle_errors=self.angle_errors[finds],
            pictures=self.pictures[finds],
            face_sizes=self.face_sizes[faces],
            face_pictures=self.face_pictures[faces],
        )


class Curve(NamedTuple):
    """What a detector does at each minimum score, from the highest score of any find down.

    Attributes:
        scores: (K,) distinct scores, descending.
        recall: (K,) share of the faces, 0…1, found by a find of that score or more; NaN where
            there is no face.
        precision: (K,) share of these finds that are right, 0…1.
        false_alarms: (K,) a picture.
        faces: how many there are to be found.
    """

    scores: FloatArray
    recall: FloatArray
    precision: FloatArray
    false_alarms: FloatArray
    faces: int


def curve(outcomes: Outcomes) -> Curve:
    """The curve of some outcomes; equal scores make one step."""
    order = np.argsort(-outcomes.scores, kind="stable")
    scores = outcomes.scores[order]
    last = np.append(np.diff(scores) != 0, True)[: len(scores)]  # of a run of equal scores
    right = np.cumsum(outcomes.right[order])[last]
    finds = np.flatnonzero(last) + 1
    faces, pictures = len(outcomes.face_sizes), len(outcomes.empty)
    recall = right / faces if faces else np.full(len(right), np.nan)
    return Curve(scores[last], recall, right / finds, (finds - right) / pictures, faces)


def average_precision(curve: Curve) -> float | None:
    """Area under the precision as a function of the recall, 0…1; None where there is no face.

    The precision at a recall is the highest of any threshold that reaches it (interpolated at all
    points, as PASCAL VOC since 2010 and WIDER FACE have it). Recalls that are not reached have 0.
    """
    if not curve.faces:
        return None
    best = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * best))


def recall_at(curve: Curve, false_alarms: float) -> float | None:
    """Highest recall, 0…1, with at most so many false alarms a picture; None without a face."""
    if not curve.faces:
        return None
    return float(curve.recall[curve.false_alarms <= false_alarms].max(initial=0.0))


@dataclass(frozen=True)
class DetectionScores:
    """The figures of a detector on some pictures.

    Those in percent and a picture count finds of the setting's minimum score or more.

    Attributes:
        pictures: how many.
        empty: pictures without any face.
        faces: to be found.
        recall: percent of the faces that are found.
        precision: percent of the finds that are right.
        false_alarms: a picture.
        false_alarms_empty: a picture, in those without any face.
        average_precision: 0…1, over all scores.
        recall_at_alarms: percent of the faces found with at most so many false alarms a picture,
            for each of ALARM_LEVELS.
        angle_error: median in degrees over the faces found, of the angle found to that by which the
            picture is turned (labels do not say how a face is turned in the picture as it is).
        angle_wrong: percent of them for which that is more than 45°.

    What cannot be said, for want of faces, finds, pictures or angles, is None.
    """

    pictures: int
    empty: int
    faces: int
    recall: float | None
    precision: float | None
    false_alarms: float | None
    false_alarms_empty: float | None
    average_precision: float | None
    recall_at_alarms: dict[str, float | None]
    angle_error: float | None
    angle_wrong: float | None

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


def detection_scores(outcomes: Outcomes, min_score: float) -> DetectionScores:
    """The figures of some outcomes, with that minimum score."""
    taken = outcomes.scores >= min_score
    right, faces = int(outcomes.right[taken].sum()), len(outcomes.face_sizes)
    alarms = taken & ~outcomes.right
    pictures, empty = len(outcomes.empty), int(outcomes.empty.sum())
    errors = outcomes.angle_errors[taken & np.isfinite(outcomes.angle_errors)]
    whole = curve(outcomes)
    return DetectionScores(
        pictures,
        empty,
        faces,
        _ratio(100 * right, faces),
        _ratio(100 * right, int(taken.sum())),
        _ratio(int(alarms.sum()), pictures),
        _ratio(int(outcomes.empty[outcomes.pictures[alarms]].sum()), empty),
        average_precision(whole),
        {
            f"{level:g}": None if (share := recall_at(whole, level)) is None else 100 * share
            for level in ALARM_LEVELS
        },
        float(np.median(errors)) if len(errors) else None,
        _ratio(100 * int((errors > 45).sum()), len(errors)),
    )


def _ratio(count: float, of: int) -> float | None:
    return count / of if of else None
