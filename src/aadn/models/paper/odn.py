"""ODN = GM + DM + LM (Zhu et al., CVPR 2019), and the wiring that AADN shares with it."""

from __future__ import annotations

from typing import Self, TypedDict, Unpack

import torch
from torch import Tensor

from aadn.errors import InputError
from aadn.models.network import Network
from aadn.models.paper.distillation import AttentionedDistillationModule, DistillationModule
from aadn.models.paper.geometry_aware import WIDTH, GeometryAwareModule
from aadn.models.paper.low_rank import RANK, LowRankModule
from aadn.models.paper.resnet import (
    CHANNELS,
    STRIDE,
    Float32Linear,
    Trunk,
    check_image,
    check_size,
    start_at,
)
from aadn.models.prediction import Prediction


class Options(TypedDict, total=False):
    """Keyword arguments of OcclusionAdaptiveNetwork, which ODN and AADN pass on."""

    geometry: bool
    low_rank: bool
    width: int
    rank: int
    size: int
    mean_shape: Tensor | None


class OcclusionAdaptiveNetwork(Network):
    """Trunk -> F; X = [GM(F); distillation(F)]; LM(X) -> landmarks.

    Args:
        landmarks: L.
        distillation: DM or ADM; None (ablation) lets F go on as it is.
        geometry: False (ablation) leaves G out of X.
        low_rank: False (ablation) puts one plain linear layer in the place of LM.
        width: channels of GM's pathways.
        rank: K of LM.
        size: side of the input in pixels, a multiple of 32; the length of X depends on it.
        mean_shape: (L, 2) in crop units, where the untrained network starts; None: all at 0.5.

    Raises:
        InputError: wrong `size`, `rank` or shape of `mean_shape`; on a call, wrong shape of the
            images.
    """

    def __init__(
        self,
        landmarks: int,
        distillation: DistillationModule | AttentionedDistillationModule | None,
        *,
        geometry: bool = True,
        low_rank: bool = True,
        width: int = WIDTH,
        rank: int = RANK,
        size: int = 224,
        mean_shape: Tensor | None = None,
    ) -> None:
        super().__init__()
        check_size(size)
        if rank < 1:
            raise InputError(f"expected a rank K of at least 1, got {rank}")
        self.landmarks = landmarks
        self.size = size
        self.trunk = Trunk()
        self.geometry = GeometryAwareModule(CHANNELS, width) if geometry else None
        self.distillation = distillation
        length = CHANNELS * (size // STRIDE) ** 2 + (width**2 if geometry else 0)  # of X
        self.regression: LowRankModule | Float32Linear
        if low_rank:
            self.regression = LowRankModule(length, rank, 2 * landmarks)
            start_at(self.regression.fc, mean_shape, landmarks)
        else:
            self.regression = Float32Linear(length, 2 * landmarks)
            start_at(self.regression, mean_shape, landmarks)
        # Our addition, not the paper's: visibility, on pooled F, beside eq. 1 and not through M.
        self.visibility = Float32Linear(CHANNELS, landmarks)

    def forward(self, image: Tensor) -> Prediction:
        """Image (B, 3, size, size), ImageNet mean/std -> Prediction (heatmaps None)."""
        check_image(image, self.size)
        f = self.trunk(image)  # (B, 512, h, w)
        clean, visible_map = f, None
        if self.distillation is not None:
            clean, visible_map = self.distillation(f)  # (B, 512, h, w), (B, h, w)
        x = clean.flatten(1)  # (B, 512·h·w)
        if self.geometry is not None:
            x = torch.cat([self.geometry(f), x], dim=1)  # X (B, width² + 512·h·w)
        points = self.regression(x).unflatten(1, (self.landmarks, 2))  # (B, L, 2)
        visibility = self.visibility(f.mean(dim=(2, 3)))  # (B, L)
        return Prediction(points, visibility, visible_map)

    def regularisation(self) -> Tensor:
        """‖M‖_* of eq. 1, to be weighted by α; 0 without LM. A scalar."""
        if isinstance(self.regression, LowRankModule):
            return self.regression.nuclear_norm()
        return self.visibility.weight.new_zeros(())

    def folded(self) -> Self:
        """A copy for inference with the same output, LM as one linear layer where that is smaller.

        It is smaller where 2L < K, about; with K = 64 and 68 points LM's two layers stay.
        """
        network = super().folded()
        if isinstance(network.regression, LowRankModule):
            one = network.regression.folded()
            if one.weight.numel() < sum(p.numel() for p in network.regression.parameters()):
                network.regression = one.eval()
        return network


class Odn(OcclusionAdaptiveNetwork):
    """ODN: GM + DM + LM. Arguments as in OcclusionAdaptiveNetwork; `distillation` False: no DM."""

    def __init__(
        self, landmarks: int, *, distillation: bool = True, **options: Unpack[Options]
    ) -> None:
        super().__init__(
            landmarks, DistillationModule(CHANNELS) if distillation else None, **options
        )
