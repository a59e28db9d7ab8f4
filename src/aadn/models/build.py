"""From a configuration to a network."""

from __future__ import annotations

from torch import Tensor

from aadn.models.default.heatmap import HeatmapAadn
from aadn.models.paper.aadn import Aadn
from aadn.models.paper.odn import Odn
from aadn.models.paper.resnet18 import Resnet18
from aadn.training.config import ModelConfig

Network = Resnet18 | Odn | Aadn | HeatmapAadn


def build(config: ModelConfig, mean_shape: Tensor | None = None) -> Network:
    """The network with random weights.

    `mean_shape` (L, 2) in crop units is where the networks that regress coordinates start, and the
    mean face of the heatmap network.
    Raises InputError for a configuration that a network refuses.
    """
    size = config.input_size
    if config.name == "heatmap":
        return HeatmapAadn(
            config.landmarks,
            reduction=config.reduction,
            order=config.order,
            size=size,
            mean_shape=mean_shape,
        )
    if config.name == "resnet18":
        return Resnet18(config.landmarks, size=size, mean_shape=mean_shape)
    modules = {
        "geometry": config.geometry,
        "distillation": config.distillation,
        "low_rank": config.low_rank,
    }
    if config.name == "odn":
        return Odn(config.landmarks, **modules, size=size, mean_shape=mean_shape)
    return Aadn(
        config.landmarks,
        reduction=config.reduction,
        order=config.order,
        **modules,
        size=size,
        mean_shape=mean_shape,
    )
