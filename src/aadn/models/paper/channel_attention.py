"""Channel attention (eq. 3 of the paper): which features matter."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from aadn.errors import InputError


class ChannelAttention(nn.Module):
    """M_c = σ(MLP(avgpool F) + MLP(maxpool F)), Z' = M_c ⊗ F (eq. 3).

    One MLP serves both poolings; it has one hidden layer of C/r and ReLU. It has no biases: our
    choice (the paper does not say), so it costs 2·C²/r parameters.

    Args:
        channels: C.
        reduction: r, a divisor of C; the paper tried 8, 16, 32, 64 and took 8.

    Raises:
        InputError: `reduction` does not divide `channels`.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        if reduction < 1 or channels % reduction:
            raise InputError(f"reduction must divide the {channels} channels, got {reduction}")
        self.squeeze = nn.Linear(channels, channels // reduction, bias=False)
        self.excite = nn.Linear(channels // reduction, channels, bias=False)

    def forward(self, f: Tensor) -> Tensor:
        """F (B, C, h, w) -> Z' (B, C, h, w)."""
        average = f.mean(dim=(2, 3))  # (B, C)
        maximum = f.amax(dim=(2, 3))  # (B, C)
        m_c = (self._mlp(average) + self._mlp(maximum)).sigmoid()  # (B, C) in (0, 1)
        return m_c[:, :, None, None] * f

    def _mlp(self, pooled: Tensor) -> Tensor:
        out: Tensor = self.excite(functional.relu(self.squeeze(pooled)))  # (B, C) -> (B, C)
        return out
