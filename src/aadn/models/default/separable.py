"""3×3 convolutions as a column and a row of fewer channels, a third of the work.

Ours, not the paper's. Any 3×3 convolution is such a pair of at most three times its channels;
trained ones come close with half of them (Jaderberg et al., *Speeding up Convolutional Neural
Networks with Low Rank Expansions*, BMVC 2014).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from aadn.models.paper.resnet import BasicBlock


class Separable(nn.Sequential):
    """(B, in, H, W) -> (B, out, H/stride, W/stride): 3×1 to `rank` channels, then 1×3."""

    def __init__(self, in_channels: int, out_channels: int, rank: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, rank, (3, 1), (stride, 1), (1, 0), bias=False),
            nn.Conv2d(rank, out_channels, (1, 3), (1, stride), (0, 1), bias=False),
        )

    @classmethod
    def like(cls, whole: nn.Conv2d, rank: int) -> Separable:
        """One of the same shape as a 3×3 convolution, with random weights."""
        return cls(whole.in_channels, whole.out_channels, rank, whole.stride[0])


class SeparableBlock(nn.Module):
    """A residual block with `Separable` convolutions, random ones, in place of its own two.

    Args:
        whole: the block, whose other layers it takes over.
        ranks: of the first and of the second convolution.
    """

    def __init__(self, whole: BasicBlock, ranks: tuple[int, int]) -> None:
        super().__init__()
        self.conv1, self.conv2 = (
            Separable.like(conv, rank)
            for conv, rank in zip((whole.conv1, whole.conv2), ranks, strict=True)
        )
        self.bn1, self.bn2, self.downsample = whole.bn1, whole.bn2, whole.downsample

    @classmethod
    def like(
        cls, in_channels: int, out_channels: int, stride: int, *, ranks: tuple[int, int]
    ) -> SeparableBlock:
        """In place of a `BasicBlock` of this shape."""
        return cls(BasicBlock(in_channels, out_channels, stride), ranks)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H/stride, W/stride), not negative."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)) + shortcut)
