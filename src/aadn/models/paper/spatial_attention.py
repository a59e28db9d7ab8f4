"""Spatial attention (eq. 4 of the paper): which positions matter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aadn.errors import InputError


class SpatialAttention(nn.Module):
    """M_s = σ(conv[mean over channels; max over channels]), Z'' = M_s ⊗ Z' (eq. 4).

    Args:
        kernel: side of the convolution's kernel, odd. The paper leaves it open; 7, and no bias,
            are our choice.

    Raises:
        InputError: `kernel` is not odd and positive.
    """

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise InputError(f"kernel must be odd and positive, got {kernel}")
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        """Z' (B, C, h, w) -> Z'' (B, C, h, w)."""
        mean = z.mean(dim=1, keepdim=True)  # (B, 1, h, w)
        maximum = z.amax(dim=1, keepdim=True)  # (B, 1, h, w)
        m_s: Tensor = self.conv(torch.cat([mean, maximum], dim=1)).sigmoid()  # (B, 1, h, w)
        return m_s * z
