"""AADN = GM + ADM + LM, the paper's network: ODN with ADM in the place of DM."""

from __future__ import annotations

from typing import Unpack

from aadn.models.paper.distillation import AttentionedDistillationModule
from aadn.models.paper.odn import OcclusionAdaptiveNetwork, Options
from aadn.models.paper.resnet import CHANNELS
from aadn.models.registry import Order


class Aadn(OcclusionAdaptiveNetwork):
    """AADN: GM + ADM + LM. Arguments as in OcclusionAdaptiveNetwork and those of ADM.

    Args:
        reduction: r of the channel attention; the paper tried 8, 16, 32, 64 and took 8.
        order: of ADM's attentions; the paper took "channel-spatial".
        distillation: False (ablation): no ADM, and `reduction` and `order` mean nothing.
    """

    def __init__(
        self,
        landmarks: int,
        *,
        reduction: int = 8,
        order: Order = "channel-spatial",
        distillation: bool = True,
        **options: Unpack[Options],
    ) -> None:
        module = AttentionedDistillationModule(CHANNELS, reduction, order) if distillation else None
        super().__init__(landmarks, module, **options)
