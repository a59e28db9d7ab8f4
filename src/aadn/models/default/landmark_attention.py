"""Landmarks look at each other: a hidden one is put where the seen ones and geometry say.

Ours, not the paper's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LandmarkAttention(nn.Module):
    """A transformer block over landmarks: (B, L, C) -> (B, L, C).

    Layer norm, attention between the landmarks, layer norm, two-layer perceptron; each with a
    residual.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        batch, count, channels = tokens.shape
        qkv = self.qkv(self.norm1(tokens)).view(batch, count, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each B, heads, L, C/heads
        weights = torch.softmax(q @ k.transpose(2, 3) * q.shape[-1] ** -0.5, dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, count, channels)
        tokens = tokens + self.out(mixed)
        result: Tensor = tokens + self.mlp(self.norm2(tokens))
        return result
