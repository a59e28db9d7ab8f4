"""Geometry-aware module (GM): relations between distant parts of the face."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aadn.models.paper.resnet import conv_bn_relu

WIDTH = 64
"""Channels of each of the pathways A and B: our choice, so G has 64·64 = 4096 numbers."""

EPSILON = 1e-4


class GeometryAwareModule(nn.Module):
    """Two pathways A and B, and their outer products pooled over all positions.

    The paper says: two pathways, similar to a quadratic kernel expansion. Our reading is bilinear
    pooling, G = (1/HW) Σ_p a_p b_pᵀ, then the signed square root and L2 normalisation usual for it.
    A and B are 1×1 convolutions (our choice) + BN + ReLU.

    Args:
        channels: channels of F.
        width: channels of each pathway.
    """

    def __init__(self, channels: int, width: int = WIDTH) -> None:
        super().__init__()
        self.a = conv_bn_relu(channels, width, 1)
        self.b = conv_bn_relu(channels, width, 1)

    def forward(self, f: Tensor) -> Tensor:
        """F (B, C, h, w) -> G (B, width²), its length at most 1; entry i·width + j is a_i b_j."""
        a = self.a(f).flatten(2)  # (B, width, hw)
        b = self.b(f).flatten(2)  # (B, width, hw)
        g = torch.bmm(a, b.transpose(1, 2)) / a.shape[2]  # (B, width, width)
        return normalise(signed_sqrt(_wide(g).flatten(1)))


def signed_sqrt(x: Tensor) -> Tensor:
    """sign(x)·(√(|x| + ε) - √ε), any shape.

    Written as one quotient, whose slope is finite everywhere; at 0, where ReLU puts many entries,
    it is 1/(2√ε) and that of the plain root would be infinite.
    """
    root: Tensor = (x.abs() + EPSILON).sqrt() + EPSILON**0.5
    return x / root


def normalise(x: Tensor) -> Tensor:
    """x/√(‖x‖² + ε) along the last axis: L2 normalisation that leaves 0 at 0, slope finite."""
    return x * (x.square().sum(dim=-1, keepdim=True) + EPSILON).rsqrt()


def _wide(x: Tensor) -> Tensor:
    """Roots and squares of half-precision numbers in float32."""
    return x if x.dtype == torch.float64 else x.float()
