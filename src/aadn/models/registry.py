"""The networks there are, by name, and what each of them can be told; read without PyTorch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aadn.errors import InputError

Order = Literal["channel-spatial", "spatial-channel", "parallel", "channel", "spatial", "none"]
"""How ADM's two attentions are combined; the paper found the first best. The last three leave one
or both out."""

Convolutions = Literal["whole", "separable"]

ModelName = Literal["resnet18", "odn", "aadn", "heatmap", "lite"]


@dataclass(frozen=True)
class Entry:
    """A network.

    Attributes:
        title: what tables call it, as the paper does.
        network: where its class is, "module:Class".
        size: usual side of the input in pixels.
        loss: the terms of its loss and their weights, see `aadn.training.config.LossWeights`.
        terms: those of them that mean something for it.
        options: the fields of `ModelConfig` that it has.
        trunk: whether it begins with a ResNet-18 that can start from that network's weights.
    """

    title: str
    network: str
    size: int
    loss: Mapping[str, float]
    terms: tuple[str, ...]
    options: tuple[str, ...] = ()
    trunk: bool = False


# The paper gives no weights: our choice.
_PAPER_LOSS = {"squared": 1.0, "nuclear": 1e-5, "visibility": 0.05}
_OUR_LOSS = {
    "absolute": 40.0,
    "visibility": 0.5,
    "heatmap": 0.4,
    "visible_map": 0.3,
    "uncertainty": 0.05,
    "turned": 0.5,
    "teacher": 2.0,
}
_POINTS = ("squared", "absolute", "visibility")
_PAPER_TERMS = (*_POINTS, "nuclear", "visible_map")
_OUR_TERMS = (*_POINTS, "heatmap", "visible_map", "uncertainty", "turned", "teacher")
_MODULES = ("geometry", "distillation", "low_rank", "rank")

NETWORKS: dict[ModelName, Entry] = {
    "resnet18": Entry(
        "ResNet-18",
        "aadn.models.paper.resnet18:Resnet18",
        224,
        _PAPER_LOSS,
        _POINTS,
        trunk=True,
    ),
    "odn": Entry(
        "ODN",
        "aadn.models.paper.odn:Odn",
        224,
        _PAPER_LOSS,
        _PAPER_TERMS,
        _MODULES,
        trunk=True,
    ),
    "aadn": Entry(
        "AADN",
        "aadn.models.paper.aadn:Aadn",
        224,
        _PAPER_LOSS,
        _PAPER_TERMS,
        ("reduction", "order", *_MODULES),
        trunk=True,
    ),
    "heatmap": Entry(
        "heatmap",
        "aadn.models.default.heatmap:HeatmapAadn",
        128,
        _OUR_LOSS,
        _OUR_TERMS,
        ("reduction", "order", "turned", "convolutions"),
    ),
    "lite": Entry(
        "lite",
        "aadn.models.default.lite:LiteAadn",
        112,
        _OUR_LOSS,
        _OUR_TERMS,
        ("reduction", "order", "turned"),
    ),
}
"""Sizes are the paper's for its networks, our choice for our own, which is the default."""


@dataclass(frozen=True)
class ModelConfig:
    """Which network.

    Attributes:
        name: Which one: resnet18, odn and aadn are the paper's, heatmap is our default, lite a
            smaller one of its kind.
        landmarks: Number of landmarks; --scheme sets it too.
        size: Side of the input in pixels; 0 takes the network's usual one, or that of the
            checkpoint that a run starts from.
        reduction: Reduction r of the channel attention (aadn, heatmap, lite).
        order: Order of the two attentions (aadn, heatmap, lite).
        geometry: Keep the geometry-aware module (odn, aadn).
        distillation: Keep the distillation module (odn, aadn).
        low_rank: Keep the low-rank learning module (odn, aadn).
        rank: K of that module (odn, aadn).
        convolutions: Whole 3×3 convolutions, or separable ones for a third of the work (heatmap);
            `benchmarks/shrink.py` makes a trained network separable.
        turned: Tell landmarks that the head itself hides from others (heatmap, lite); a run with
            --head-model does.
    """

    name: ModelName = "heatmap"
    landmarks: int = 68
    size: int = 0
    reduction: Literal[8, 16, 32, 64] = 8
    order: Order = "channel-spatial"
    geometry: bool = True
    distillation: bool = True
    low_rank: bool = True
    rank: int = 64
    convolutions: Convolutions = "whole"
    turned: bool = False

    @property
    def input_size(self) -> int:
        """Side of the input in pixels."""
        return self.size or NETWORKS[self.name].size

    @property
    def options(self) -> dict[str, Any]:
        """What the network's class is told, beside landmarks and size.

        Raises InputError for a value that is not the default of an option that the network does
        not have: it would mean nothing.
        """
        entry, common = NETWORKS[self.name], ("name", "landmarks", "size")
        for field in dataclasses.fields(self):
            foreign = field.name not in (*common, *entry.options)
            if foreign and getattr(self, field.name) != field.default:
                have = [name for name, other in NETWORKS.items() if field.name in other.options]
                raise InputError(
                    f"{option(field.name, getattr(self, field.name))} means nothing for "
                    f"{self.name}: it is an option of {', '.join(have)}"
                )
        return {name: getattr(self, name) for name in entry.options}

    @classmethod
    def of(cls, values: dict[str, Any]) -> ModelConfig:
        """From a checkpoint's plain values; InputError for unknown fields or names."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(values) - known:
            raise InputError(f"unknown fields of a model: {', '.join(sorted(unknown))}")
        config = cls(**values)
        if config.name not in NETWORKS:
            raise InputError(f"expected one of {', '.join(NETWORKS)}; got {config.name}")
        return config


def option(field: str, value: object) -> str:
    """How the command line writes a value of `ModelConfig`: "--model.no-geometry" for example."""
    name = field.replace("_", "-")
    if isinstance(value, bool):
        return f"--model.{name}" if value else f"--model.no-{name}"
    return f"--model.{name} {value}"
