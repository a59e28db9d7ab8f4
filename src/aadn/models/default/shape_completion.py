"""Where a face's landmarks lie, given where the seen ones do: geometry recovers the hidden ones.

Ours, not the paper's, whose low-rank module has this task there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aadn.models.paper.resnet import Float32Linear, check_mean_shape

LEAST_WEIGHT = 0.02
"""What a hidden landmark counts in the fit of the mean face; more than 0, for all may be hidden."""

LEAST_SCALE = 0.03
"""Points are taken to span at least this much, in crop units, so that nothing is divided by 0."""

DEVIATION = 0.1
"""About how far landmarks lie from the mean face's, which has a root-mean-square radius of 1."""


class ShapeCompletion(nn.Module):
    """Moves every landmark to where the others say, those above all that are seen.

    The mean face is laid over the points by the similarity with the least squared distances,
    weighted by visibility. What deviates from it, in its frame, goes through a linear layer and a
    perceptron beside it, apart for what is seen and what is hidden; they give the shifts. They
    start at 0: an untrained completion leaves the points as they are.

    Args:
        landmarks: L.
        mean_shape: (L, 2) the mean face, in any unit, NaN where it is not known; None for a
            circle, until weights are loaded.
        width: of the perceptron's hidden layers.
        dropout: share of its hidden values that training leaves out.

    Raises:
        InputError: `mean_shape` has another shape.
    """

    mean: Tensor

    def __init__(
        self,
        landmarks: int,
        mean_shape: Tensor | None = None,
        *,
        width: int = 384,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if mean_shape is None:
            angle = torch.arange(landmarks) * (2 * math.pi / landmarks)
            mean_shape = torch.stack([angle.cos(), angle.sin()], dim=1)
        check_mean_shape(mean_shape, landmarks)
        centred = (mean_shape - mean_shape.nanmean(0)).nan_to_num(0.0)
        self.register_buffer("mean", centred / centred.square().sum(1).mean().sqrt())
        inputs = 6 * landmarks
        self.linear = Float32Linear(inputs, 2 * landmarks)
        self.perceptron = nn.Sequential(
            Float32Linear(inputs, width), nn.GELU(), nn.Dropout(dropout),
            Float32Linear(width, width), nn.GELU(), nn.Dropout(dropout),
        )  # fmt: skip
        self.shift = Float32Linear(width, 2 * landmarks)
        for layer in (self.linear, self.shift):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, points: Tensor, visibility: Tensor, uncertainty: Tensor) -> Tensor:
        """Shifts of the points, (B, L, 2) in crop units.

        Args:
            points: (B, L, 2) in crop units, float32.
            visibility: (B, L) in [0, 1].
            uncertainty: (B, L) how far from the truth they are expected once they are moved, in
                crop units.
        """
        away, turn, scale = in_frame_of(self.mean, points, visibility + LEAST_WEIGHT)
        away = away / DEVIATION
        seen = visibility[..., None]
        unsure = uncertainty / scale[:, None] / DEVIATION
        inputs = torch.cat(
            [(away * seen).flatten(1), (away * (1 - seen)).flatten(1), visibility - 0.5, unsure], 1
        )
        shifts = self.linear(inputs) + self.shift(self.perceptron(inputs))
        return rotated(DEVIATION * shifts.view_as(points), turn)


def in_frame_of(shape: Tensor, points: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How points deviate from a shape that is laid over them, in the shape's own frame and unit.

    Args:
        shape, points, weight: as `fit_similarity` has them.

    Returns:
        deviations (B, L, 2), the shape's turn (B, 2), and its scale (B,), at least LEAST_SCALE.
    """
    centre, turn = fit_similarity(shape, points, weight)
    scale = torch.linalg.vector_norm(turn, dim=1).clamp(min=LEAST_SCALE)  # B
    # Turned back by the transpose: for a similarity, the inverse but for the scale's square.
    with torch.autocast(points.device.type, enabled=False):
        back = (points - centre[:, None]) @ _matrix(turn).transpose(1, 2)
    return back / scale.square()[:, None, None] - shape, turn, scale


def fit_similarity(shape: Tensor, points: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The similarity that lays a shape over points with the least weighted squared distances.

    Args:
        shape: (L, 2).
        points: (B, L, 2).
        weight: (B, L), positive.

    Returns:
        centre (B, 2) and turn (B, 2), (scale · cos, scale · sin) of the rotation: a point s of
        the shape comes to centre + rotated(s, turn).
    """
    weight = weight / weight.sum(1, keepdim=True)
    # Few large operations: each costs about as much as the sums in it where a face is alone.
    with torch.autocast(points.device.type, enabled=False):
        middle = weight @ shape  # B, 2
        # About their middles, or what is left of nearly equal sums would be rounding.
        around = shape - middle[:, None]  # B, L, 2
        weighted = weight[..., None] * around
        target = (weight[:, None] @ points)[:, 0]  # B, 2
        products = weighted.transpose(1, 2) @ (points - target[:, None])  # B, 2, 2: xu xv, yu yv
        along = products.flatten(1) @ products.new_tensor(_ALONG)
        size = (weighted * around).sum(dim=(1, 2))
        turn = along / size[:, None]
        return target - (middle[:, None] @ _matrix(turn))[:, 0], turn


_ALONG = [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 0.0]]
"""From the products xu, xv, yu, yv to xu + yv and xv - yu."""

_MATRIX = [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, -1.0, 0.0]]
"""From cos and sin to the matrix by which rows are multiplied to be rotated."""


def _matrix(turn: Tensor) -> Tensor:
    """The matrices (B, 2, 2) of turns (B, 2): rows times them are rotated and scaled."""
    return (turn @ turn.new_tensor(_MATRIX)).view(-1, 2, 2)


def rotated(points: Tensor, turn: Tensor) -> Tensor:
    """Points (B, L, 2) rotated and scaled about 0 by turn (B, 2), (scale · cos, scale · sin)."""
    with torch.autocast(points.device.type, enabled=False):
        return points @ _matrix(turn)
