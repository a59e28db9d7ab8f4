"""Distillation: features of the visible face alone. DM is ODN's module, ADM the paper's.

Both have two pathways. C makes features; D makes P, per position the probability that what is
there belongs to the visible face. Clean features = (pathway C) ⊙ P.
"""

from __future__ import annotations

from typing import get_args

from torch import Tensor, nn

from aadn.errors import InputError
from aadn.models.paper.channel_attention import ChannelAttention
from aadn.models.paper.resnet import conv_bn_relu
from aadn.models.paper.spatial_attention import SpatialAttention
from aadn.models.registry import Order

HIDDEN = 64
"""Channels inside pathway D: our choice."""


class VisibleMap(nn.Module):
    """Pathway D: convolutions -> one channel -> sigmoid.

    Its layers are our choice: 3×3 convolution + BN + ReLU to `hidden` channels, 1×1 to one.
    """

    def __init__(self, channels: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.features = conv_bn_relu(channels, hidden, 3)
        self.conv = nn.Conv2d(hidden, 1, 1)

    def forward(self, f: Tensor) -> Tensor:
        """F (B, C, h, w) -> P (B, 1, h, w) in [0, 1], 1 where the visible face is."""
        p: Tensor = self.conv(self.features(f)).sigmoid()
        return p


class DistillationModule(nn.Module):
    """DM of ODN: pathway C is 3×3 convolutions, clean = C ⊙ P.

    Two convolutions (+ BN + ReLU) that keep all channels are our choice, after the residual block
    that they stand in for.
    """

    def __init__(self, channels: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_bn_relu(channels, channels, 3), conv_bn_relu(channels, channels, 3)
        )
        self.occlusion = VisibleMap(channels, hidden)  # the name is in the weights' keys

    def forward(self, f: Tensor) -> tuple[Tensor, Tensor]:
        """F (B, C, h, w) -> clean features (B, C, h, w), P (B, h, w) in [0, 1]."""
        p = self.occlusion(f)  # (B, 1, h, w)
        return self.features(f) * p, p[:, 0]


class AttentionedDistillationModule(nn.Module):
    """ADM of the paper: pathway C refines F by attention, Z = Z'' + F (eq. 2), clean = Z ⊙ P.

    Args:
        channels: C.
        reduction: r of the channel attention (eq. 3).
        order: which attentions make Z'' and in which order. For "parallel" we take each of F and
            add them, Z'' = M_c(F) ⊗ F + M_s(F) ⊗ F: our reading, the paper gives no formula.
            "none" (ablation) leaves eq. 2 with Z = F.
        hidden: channels inside pathway D.

    Raises:
        InputError: unknown `order`, or `reduction` does not divide `channels`.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 8,
        order: Order = "channel-spatial",
        hidden: int = HIDDEN,
    ) -> None:
        super().__init__()
        if order not in get_args(Order):
            raise InputError(f"order must be one of {', '.join(get_args(Order))}; got {order!r}")
        self.order = order
        self.channel: nn.Module = nn.Identity()
        if order not in ("spatial", "none"):
            self.channel = ChannelAttention(channels, reduction)
        self.spatial: nn.Module = nn.Identity()
        if order not in ("channel", "none"):
            self.spatial = SpatialAttention()
        self.occlusion = VisibleMap(channels, hidden)  # the name is in the weights' keys

    def forward(self, f: Tensor) -> tuple[Tensor, Tensor]:
        """F (B, C, h, w) -> clean features (B, C, h, w), P (B, h, w) in [0, 1]."""
        z = f if self.order == "none" else self._attend(f) + f  # eq. 2, (B, C, h, w)
        p = self.occlusion(f)  # (B, 1, h, w)
        return z * p, p[:, 0]

    def _attend(self, f: Tensor) -> Tensor:
        """F -> Z'', both (B, C, h, w)."""
        z: Tensor
        if self.order == "parallel":
            z = self.channel(f) + self.spatial(f)
        elif self.order == "spatial-channel":
            z = self.channel(self.spatial(f))
        else:
            z = self.spatial(self.channel(f))
        return z
