"""From a configuration to a network."""

from __future__ import annotations

import importlib

from torch import Tensor

from aadn.models.network import Network
from aadn.models.registry import NETWORKS, ModelConfig


def build(config: ModelConfig, mean_shape: Tensor | None = None) -> Network:
    """The network with random weights.

    `mean_shape` (L, 2) in crop units is where the networks that regress coordinates start, and the
    mean face of the heatmap network.
    Raises InputError for a configuration that a network refuses.
    """
    options = config.options
    module, name = NETWORKS[config.name].network.split(":")
    network: Network = getattr(importlib.import_module(module), name)(
        config.landmarks, size=config.input_size, mean_shape=mean_shape, **options
    )
    return network
