"""The face detector's network: where faces are in a picture, how large, and how far turned.

Our own, not the paper's: a small fully convolutional network without anchors. For each cell of four
grids it gives the probability that a face's middle is near, and that face's box and angle.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)

STRIDES = (8, 16, 32, 64)
"""Pixels between the cells of each grid; a picture of H×W has ⌈H/8⌉·⌈W/8⌉ cells in the first."""

STEM = 16
CHANNELS = (48, 96, 128, 128)
DEPTHS = (3, 3, 2, 1)
NECK = 48
"""Channels of the stem, of each stride's features, of the maps that the heads read, and how many
blocks each stride has (chosen by time: 200 million multiply-adds for 640×480 pixels)."""

OUTPUTS = 7
"""Numbers for each cell: a score's logit, then the middle's offset (x, y) from the cell's and the
logarithms of the upright face's width and height, all in strides, and the cosine and sine of its
angle, not normalised."""


class FaceDetectorNetwork(nn.Module):
    """Pictures (N, 3, H, W) in [0, 1] to (N, C, OUTPUTS) for the C cells, finest stride first.

    Rows of a grid follow each other; the middle of cell (i, j) lies (j + ½)·stride to the right of
    the picture's corner, and (i + ½)·stride below it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(3, 8, 3, 2), convolution(8, STEM, 3, 2))
        before = (STEM, *CHANNELS[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(Separable(i, o, 2), *(Separable(o, o) for _ in range(depth)))
            for i, o, depth in zip(before, CHANNELS, DEPTHS, strict=True)
        )
        self.lateral = nn.ModuleList(convolution(channels, NECK, 1) for channels in CHANNELS)
        self.smooth = nn.ModuleList(Separable(NECK, NECK) for _ in STRIDES)
        self.heads = nn.ModuleList(_head() for _ in STRIDES)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        features, x = [], self.stem(images)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        answers: list[Tensor] = []
        above: Tensor | None = None
        for level in reversed(range(len(STRIDES))):
            x = self.lateral[level](features[level])
            if above is not None:
                x = x + F.interpolate(above, size=x.shape[-2:], mode="nearest")
            above = self.smooth[level](x)
            answers.insert(0, self.heads[level](above).flatten(2))
        return torch.cat(answers, 2).transpose(1, 2)


def _head() -> nn.Sequential:
    last = nn.Conv2d(NECK, OUTPUTS, 1)
    nn.init.normal_(last.weight, std=0.01)
    # A hundredth, for nearly all cells have no face; faces are a few strides wide.
    last.bias = nn.Parameter(torch.tensor([-4.6, 0, 0, 1, 1, 0, 0]))
    return nn.Sequential(Separable(NECK, NECK), last)


class Separable(nn.Module):
    """A depthwise 3×3 convolution, then one over the channels; added to its input if it fits."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = convolution(channels, channels, 3, stride, groups=channels)
        self.pointwise = convolution(channels, out, 1)
        self.residual = channels == out and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, channels, H, W) to (N, out, ⌈H/stride⌉, ⌈W/stride⌉)."""
        y: Tensor = self.pointwise(self.depthwise(x))
        return x + y if self.residual else y


def convolution(
    channels: int, out: int, size: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution that keeps the size but for the stride, normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, out, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )


def cell_middles(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Middles (C, 2) x, y of the cells, in pixels from the picture's corner, and strides (C,)."""
    middles, strides = [], []
    for stride in STRIDES:
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        middles.append((torch.stack([x, y], -1).view(-1, 2) + 0.5) * stride)
        strides.append(torch.full((rows * columns,), float(stride)))
    return torch.cat(middles), torch.cat(strides)


class Deployed(nn.Module):
    """The network as it is exported, its normalisations folded into its convolutions.

    Pictures (N, H, W, 3) uint8 RGB to scores (N, C) in [0, 1] and faces (N, C, 6): the middle's
    offset from the cell's and the upright face's size, in strides, cosine and sine of its angle.
    """

    outputs = ("scores", "faces")

    def __init__(self, network: FaceDetectorNetwork) -> None:
        super().__init__()
        self.network = folded(network)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        raw = self.network(images.permute(0, 3, 1, 2).float())
        faces = torch.cat([raw[..., 1:3], raw[..., 3:5].exp(), raw[..., 5:7]], -1)
        return raw[..., 0].sigmoid(), faces


def folded(network: Network) -> Network:
    """A copy for pictures in [0, 255], each normalisation folded into the convolution before it."""
    network = copy.deepcopy(network).eval()
    for parent in network.modules():
        parts = list(parent.children())
        if isinstance(parent, nn.Sequential) and len(parts) == 3:
            convolution, normalisation, _ = parts
            if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d):
                parent[0] = nn.utils.fuse_conv_bn_eval(convolution, normalisation)
                parent[1] = nn.Identity()
    first = next(part for part in network.modules() if isinstance(part, nn.Conv2d))
    with torch.no_grad():
        first.weight /= 255
    return network
