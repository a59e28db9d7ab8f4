"""One face's landmarks over time, steadied where they only tremble.

Ours, not the paper's. From one frame to the next a face moves as a whole (a turn, a scale, a
shift), and its landmarks move within it. Each of the two is followed at once where it is larger
than the network's tremor, and taken slowly where it is not, so that what moves is not late. The
tremor of a landmark is taken to be a share of its uncertainty; one that is hidden is taken more
slowly still.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aadn.geometry import FloatArray, transform
from aadn.measures.alignment import similarity

TREMOR, HIDDEN_TREMOR = 0.16, 0.48
"""How far a landmark trembles from frame to frame, over its uncertainty, if it is seen and if it is
hidden (our choice)."""

WHOLE_TREMOR = 0.002
"""How far the face as a whole does, over the inter-ocular distance (our choice)."""

SLOW, SLOWER = 0.12, 0.05
"""What of a change that is no larger than tremor is followed in a thirtieth of a second, for seen
landmarks and for hidden ones (our choice)."""

CLEAR = 4.0
"""A change of so many tremors is followed by half, a larger one by more (our choice)."""

UNKNOWN = 0.02
"""A landmark's uncertainty over the inter-ocular distance, where the network does not say it."""

FRAME = 1 / 30
"""Seconds, of which SLOW speaks."""


class Steady:
    """The landmarks of one face, frame after frame."""

    def __init__(self) -> None:
        self.points: FloatArray | None = None

    def __call__(
        self,
        points: NDArray[np.floating],
        seen: NDArray[np.bool_],
        uncertainty: NDArray[np.floating],
        length: float,
        seconds: float,
    ) -> FloatArray:
        """The landmarks (L, 2) of the next frame, steadied.

        Args:
            points: (L, 2) pixels, as the network has them.
            seen: (L,) those that are not hidden.
            uncertainty: (L,) pixels; NaN where not known.
            length: the inter-ocular distance in pixels.
            seconds: since the frame before; 0 or less for a first one.
        """
        new = points.astype(np.float64)
        if self.points is None or seconds <= 0:
            self.points = new
            return new
        expected = np.where(np.isnan(uncertainty), UNKNOWN * length, uncertainty)
        expected = np.maximum(expected, 1e-6)
        weight = np.where(seen, 1.0, 0.05) * np.square(expected.min() / expected)
        whole = similarity(self.points, new, weight)
        moved = transform(self.points, whole)
        far = float(np.sqrt(np.average(np.square(moved - self.points).sum(1), weights=weight)))
        share = _followed(far / (WHOLE_TREMOR * max(length, 1e-6)), SLOW, seconds)
        kept = self.points + share * (moved - self.points)
        apart = new - moved
        slow, tremor = np.where(seen, SLOW, SLOWER), np.where(seen, TREMOR, HIDDEN_TREMOR)
        shares = _followed(np.linalg.norm(apart, axis=1) / (tremor * expected), slow, seconds)
        self.points = kept + shares[:, None] * apart
        return self.points


def _followed(tremors: FloatArray | float, slow: FloatArray | float, seconds: float) -> FloatArray:
    """What of a change of so many tremors is followed in a frame of so many seconds."""
    square = np.square(tremors)
    share = slow + (1 - slow) * square / (square + CLEAR**2)
    return np.asarray(1 - np.power(1 - share, seconds / FRAME))
