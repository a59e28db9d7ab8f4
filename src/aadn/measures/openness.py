"""How open eyes and mouths are, from landmarks that are seen.

The ratio of height to width: the mean distance between opposite points of the lids, or of the lips'
inner edges, over the distance between the corners (the eye aspect ratio of Soukupová and Čech,
*Real-Time Eye Blink Detection using Facial Landmarks*, CVWW 2016; for the mouth alike). A head that
turns narrows the width, so that the ratio grows: by a sixth at a yaw of 30°.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aadn.geometry import FloatArray
from aadn.schemes import COFW29, IBUG68, WFLW98, Scheme


@dataclass(frozen=True)
class Opening:
    """The landmarks of an eye or a mouth.

    Attributes:
        corners: indices of the two.
        above, below: of opposite points on the upper and the lower lid, or lip.
    """

    corners: tuple[int, int]
    above: tuple[int, ...]
    below: tuple[int, ...]

    def ratio(self, points: NDArray[np.floating], seen: NDArray[np.bool_]) -> FloatArray:
        """(…) height over width, for points (…, L, 2); NaN where one that it needs is not seen."""
        first, second = self.corners
        heights = np.linalg.norm(points[..., self.above, :] - points[..., self.below, :], axis=-1)
        width = np.linalg.norm(points[..., first, :] - points[..., second, :], axis=-1)
        needed = seen[..., [*self.corners, *self.above, *self.below]].all(axis=-1)
        known = needed & (width > 0)
        return np.where(known, heights.mean(axis=-1) / np.where(known, width, 1), np.nan)


EYES = {
    IBUG68: (Opening((36, 39), (37, 38), (41, 40)), Opening((42, 45), (43, 44), (47, 46))),
    WFLW98: (
        Opening((60, 64), (61, 62, 63), (67, 66, 65)),
        Opening((68, 72), (69, 70, 71), (75, 74, 73)),
    ),
    COFW29: (Opening((8, 10), (12,), (13,)), Opening((9, 11), (14,), (15,))),
}
"""By scheme: the person's right eye and the left."""

MOUTHS = {
    IBUG68: Opening((60, 64), (61, 62, 63), (67, 66, 65)),
    WFLW98: Opening((88, 92), (89, 90, 91), (95, 94, 93)),
    COFW29: Opening((22, 23), (25,), (26,)),
}
"""By scheme: the lips' inner edges."""


def eye_openness(
    scheme: Scheme, points: NDArray[np.floating], seen: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(…, 2) of the person's right eye and the left: height over width, 0 = closed.

    Args:
        scheme: whose landmarks they are; NaN for one without lids.
        points: (…, L, 2) pixels.
        seen: (…, L) an eye of which a landmark is not seen is NaN.
    """
    if scheme not in EYES:
        return np.full((*seen.shape[:-1], 2), np.nan, np.float32)
    return np.stack([eye.ratio(points, seen) for eye in EYES[scheme]], axis=-1).astype(np.float32)


def mouth_openness(
    scheme: Scheme, points: NDArray[np.floating], seen: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(…) height over width of the lips' inner edges, 0 = closed; arguments as `eye_openness`."""
    if scheme not in MOUTHS:
        return np.full(seen.shape[:-1], np.nan, np.float32)
    return np.asarray(MOUTHS[scheme].ratio(points, seen), np.float32)
