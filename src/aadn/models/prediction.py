"""What every network of ours returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Prediction(NamedTuple):
    """A batch of predictions for square crops of S×S pixels.

    Attributes:
        points: (B, L, 2) in crop units: 0 is the left (top) edge of the crop, 1 the right
            (bottom) edge, so a pixel coordinate is `points * S - 0.5`.
        visibility: (B, L) logits; sigmoid is the probability that the landmark is seen.
        visible_map: (B, h, w) the distillation module's P in [0, 1]: per position, the probability
            that what is there belongs to the visible face. None for a network without that module.
        heatmaps: (B, L, H, W) logits of each landmark's place, or None for regression heads.
        uncertainty: (B, L) expected distance of each point to the true place, in crop units,
            greater than 0; None for a network without that head.
        turned: (B, L) logits; sigmoid is the probability that the head itself hides the landmark.
            `visibility` then is of those that it does not hide. None for a network without that
            head.
    """

    points: Tensor
    visibility: Tensor
    visible_map: Tensor | None = None
    heatmaps: Tensor | None = None
    uncertainty: Tensor | None = None
    turned: Tensor | None = None
