"""How wide and how deep a heatmap network is, and of which blocks: whole, separable or lite.

Every number here is our choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import nn

from aadn.models.default.inverted import InvertedBlock
from aadn.models.default.separable import SeparableBlock
from aadn.models.paper.resnet import BasicBlock
from aadn.models.registry import Convolutions

Block = Callable[[int, int, int], nn.Module]
"""From channels in, channels out and a stride to a block of such a shape."""


@dataclass(frozen=True)
class Layout:
    """The parts of a heatmap network.

    Attributes:
        blocks: of the trunk's three stages and of the two ways up.
        width: channels of the first stage; later ones have 2 and 4 times as many.
        token: channels of a landmark's token.
        layers: of attention between the landmarks.
        map_width: channels inside the pathway that makes P.
        completion, turning: width of the inner layers of `ShapeCompletion` and `Turning`.
        stem_rank, map_rank: ranks of the stem's second convolution and of the one that makes P,
            where they are separable; None where they are whole.
    """

    blocks: Mapping[str, tuple[Block, ...]]
    width: int = 64
    token: int = 128
    layers: int = 1
    map_width: int = 64
    completion: int = 384
    turning: int = 128
    stem_rank: int | None = None
    map_rank: int | None = None

    def stage(
        self, name: str, in_channels: int, out_channels: int, stride: int = 1
    ) -> nn.Sequential:
        """The blocks of a part of the network; the first of them has the stride."""
        stage = nn.Sequential()
        for block in self.blocks[name]:
            stage.append(block(in_channels, out_channels, stride))
            in_channels, stride = out_channels, 1
        return stage


def _separable(*ranks: tuple[int, int]) -> tuple[Block, ...]:
    """Blocks whose two convolutions are separable, of these ranks."""
    return tuple(partial(SeparableBlock.like, ranks=pair) for pair in ranks)


def _inverted(*expansions: int) -> tuple[Block, ...]:
    return tuple(partial(InvertedBlock, expansion=expansion) for expansion in expansions)


LAYOUTS: dict[Convolutions, Layout] = {
    "whole": Layout(
        {
            "stage1": (BasicBlock,) * 2,
            "stage2": (BasicBlock,) * 2,
            "stage3": (BasicBlock,) * 3,
            "up2": (BasicBlock,),
            "up1": (BasicBlock,),
        },
        layers=3,
    ),
    # Ranks are multiples of 8, and of 16 where they are large, that keep most of what the twelfth
    # default's convolutions give on training faces.
    "separable": Layout(
        {
            "stage1": _separable((24, 24), (24, 32)),
            "stage2": _separable((32, 48), (56, 64)),
            "stage3": _separable((64, 64), (80, 80), (80, 80)),
            "up2": _separable((48, 64)),
            "up1": _separable((32, 24)),
        },
        stem_rank=16,
        map_rank=32,
    ),
}
"""Of the default network."""

LITE = Layout(
    {
        "stage1": _inverted(2, 2),
        "stage2": _inverted(2, 2, 2),
        "stage3": _inverted(3, 2, 2),
        "up2": _inverted(2),
        "up1": _inverted(2),
    },
    width=32,
    token=64,
    map_width=32,
    completion=128,
    turning=64,
)
"""Of the lite network. Channels are multiples of 16, which processors compute at a time."""
