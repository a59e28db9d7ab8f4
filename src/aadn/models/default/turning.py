"""Which landmarks the head itself hides, by how all of them lie and by what is seen at each.

Ours, not the paper's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aadn.models.default.shape_completion import DEVIATION, LEAST_WEIGHT, in_frame_of
from aadn.models.paper.resnet import Float32Linear

FIRST = -3.0
"""Logit that the parts start from: few landmarks are turned away."""


class Turning(nn.Module):
    """Logits of being turned away.

    How a head is turned shows in how its landmarks lie: where they deviate from the mean face laid
    over them. A perceptron reads that; what is seen at a landmark adds to it.

    Args:
        landmarks: L.
        token: channels of a landmark's token.
        width: of the perceptron's hidden layer.
    """

    def __init__(self, landmarks: int, token: int, *, width: int = 128) -> None:
        super().__init__()
        self.inner = Float32Linear(2 * landmarks, width)
        self.outer = Float32Linear(width, landmarks)
        self.token = Float32Linear(token, 1)
        nn.init.normal_(self.token.weight, std=1e-3)
        nn.init.zeros_(self.token.bias)
        nn.init.normal_(self.outer.weight, std=1e-2)
        nn.init.constant_(self.outer.bias, FIRST)

    def forward(self, mean: Tensor, points: Tensor, visibility: Tensor, tokens: Tensor) -> Tensor:
        """Logits (B, L).

        Args:
            mean: (L, 2) the mean face.
            points: (B, L, 2) in crop units, float32; no gradient goes to them.
            visibility: (B, L) in [0, 1].
            tokens: (B, L, token).
        """
        points = points.detach()
        away, _, _ = in_frame_of(mean, points, visibility.detach() + LEAST_WEIGHT)
        pose = torch.relu(self.inner((away / DEVIATION).flatten(1)))
        logits: Tensor = self.outer(pose) + self.token(tokens).squeeze(2)
        return logits
