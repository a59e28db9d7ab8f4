"""From a configuration to a network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Tensor

from aadn.errors import InputError
from aadn.models.aadn import Aadn
from aadn.models.distillation import Order
from aadn.models.heatmap import HeatmapAadn
from aadn.models.odn import Odn
from aadn.models.resnet18 import Resnet18

ModelName = Literal["resnet18", "odn", "aadn", "heatmap"]
Network = Resnet18 | Odn | Aadn | HeatmapAadn

DEFAULT_SIZE = {"resnet18": 224, "odn": 224, "aadn": 224, "heatmap": 128}
"""Side of the input in pixels: the paper's for its networks, our choice for our own."""


@dataclass(frozen=True)
class ModelConfig:
    """Which network.

    Attributes:
        name: resnet18, odn and aadn are the paper's; heatmap is our default.
        landmarks: L.
        size: side of the input in pixels; 0 takes the network's usual one.
        reduction: r of the channel attention (aadn, heatmap).
        order: of the two attentions (aadn, heatmap).
        geometry: keep the geometry-aware module (odn, aadn).
        distillation: keep the distillation module (odn, aadn).
        low_rank: keep the low-rank learning module (odn, aadn).
    """

    name: ModelName = "heatmap"
    landmarks: int = 68
    size: int = 0
    reduction: Literal[8, 16, 32, 64] = 8
    order: Order = "channel-spatial"
    geometry: bool = True
    distillation: bool = True
    low_rank: bool = True

    @property
    def input_size(self) -> int:
        """Side of the input in pixels."""
        return self.size or DEFAULT_SIZE[self.name]

    @classmethod
    def of(cls, values: dict[str, Any]) -> ModelConfig:
        """From a checkpoint's plain values; InputError for unknown fields or names."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(values) - known:
            raise InputError(f"unknown fields of a model: {', '.join(sorted(unknown))}")
        config = cls(**values)
        if config.name not in get_args(ModelName):
            raise InputError(f"expected one of {', '.join(get_args(ModelName))}; got {config.name}")
        return config


def build(config: ModelConfig, mean_shape: Tensor | None = None) -> Network:
    """The network with random weights.

    `mean_shape` (L, 2) in crop units is where the networks that regress coordinates start.
    Raises InputError for a configuration that a network refuses.
    """
    size = config.input_size
    if config.name == "heatmap":
        return HeatmapAadn(
            config.landmarks, reduction=config.reduction, order=config.order, size=size
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
