"""Low-rank learning module (LM): the landmarks through a bottleneck of low rank (eq. 1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from aadn.models.paper.resnet import Float32Linear

RANK = 64
"""K, the columns of M: our choice."""

FLOOR = 1e-12
"""Eigenvalues of MᵀM count as at least this share of the largest one."""


class LowRankModule(nn.Module):
    """S = W_fcᵀ Mᵀ X, with the relaxed rank of M, ‖M‖_*, as a penalty (eq. 1).

    Args:
        in_features: length of X.
        rank: K, the most that the rank of M can be.
        out_features: numbers to regress, 2L.
    """

    def __init__(self, in_features: int, rank: int, out_features: int) -> None:
        super().__init__()
        self.m = nn.Linear(in_features, rank, bias=False)  # its weight is Mᵀ, (K, in)
        self.fc = Float32Linear(rank, out_features)  # W_fcᵀ, and a bias (our choice)

    def forward(self, x: Tensor) -> Tensor:
        """X (B, in) -> S (B, out), float32 under autocast too."""
        s: Tensor = self.fc(self.m(x))
        return s

    def nuclear_norm(self) -> Tensor:
        """‖M‖_* of eq. 1, a scalar with its gradient."""
        return nuclear_norm(self.m.weight.T)

    def folded(self) -> Float32Linear:
        """One linear layer with the same output, for inference (a copy, no gradient)."""
        out = Float32Linear(self.m.in_features, self.fc.out_features)
        out.to(self.fc.weight.device, self.fc.weight.dtype)
        with torch.no_grad():
            weight = self.fc.weight.double() @ self.m.weight.double()  # (out, in)
            out.weight.copy_(weight)
            out.bias.copy_(self.fc.bias)
        return out.requires_grad_(False).train(self.training)


def nuclear_norm(m: Tensor) -> Tensor:
    """Sum of the singular values of a matrix (n, k), a scalar, with the gradient M(MᵀM)^(-1/2).

    Value and gradient come from the small Gram matrix MᵀM (k×k), in float64 whatever the type of
    `m`, so it is cheap for n ≫ k and safe under autocast. A matrix of deficient rank (even 0) gets
    a finite subgradient. It can be differentiated once.
    """
    tall = m if m.shape[0] >= m.shape[1] else m.T
    norm: Tensor = _NuclearNorm.apply(tall)  # type: ignore[no-untyped-call]
    return norm


class _NuclearNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, m: Tensor) -> Tensor:
        with torch.autocast(m.device.type, enabled=False):
            wide = m.double()  # (n, k)
            values, vectors = torch.linalg.eigh(wide.T @ wide)  # (k,) ascending, (k, k)
            floor = (FLOOR * values[-1]).clamp(min=torch.finfo(torch.float64).tiny)
            inverse_root = (vectors * values.clamp(min=floor).rsqrt()) @ vectors.T  # (MᵀM)^(-1/2)
            ctx.save_for_backward(m, inverse_root)
            norm: Tensor = values.clamp(min=0).sqrt().sum().to(m.dtype)
        return norm

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        m, inverse_root = ctx.saved_tensors
        with torch.autocast(m.device.type, enabled=False):
            gradient: Tensor = (upstream.double() * (m.double() @ inverse_root)).to(m.dtype)
        return gradient
