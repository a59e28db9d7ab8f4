"""Residual blocks of few multiplications: widened, 3×3 on each channel alone, narrowed again.

Ours, not the paper's; after Sandler et al., *MobileNetV2: Inverted Residuals and Linear
Bottlenecks* (CVPR 2018).
"""

from __future__ import annotations

from torch import Tensor, nn


class InvertedBlock(nn.Module):
    """(B, in, H, W) -> (B, out, H/stride, W/stride); what comes out may be negative.

    Args:
        in_channels, out_channels: where they are equal and the stride is 1, what comes in is added
            to what comes out.
        stride: 1 or 2.
        expansion: how many times as many channels lie between.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, *, expansion: int = 2
    ) -> None:
        super().__init__()
        inner = expansion * in_channels
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H/stride, W/stride)."""
        out: Tensor = self.layers(x)
        return x + out if self.residual else out
