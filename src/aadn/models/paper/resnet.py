"""ResNet-18 (He et al., 2016) with torchvision's key names, so that ImageNet files load by name."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from aadn.errors import InputError

CHANNELS = 512
"""Channels of the trunk's output F."""
STRIDE = 32
"""Input pixels per position of F."""


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut: (B, in, H, W) -> (B, out, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H/stride, W/stride), not negative."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)) + shortcut)


class Trunk(nn.Module):
    """ResNet-18 up to `layer4.0`, the paper's F; with `layer4_blocks=2`, up to `layer4.1`.

    The paper puts its own modules where the last residual block, `layer4.1`, was; only the
    ResNet-18 baseline keeps that block.
    """

    def __init__(self, layer4_blocks: int = 1) -> None:
        super().__init__()
        if layer4_blocks not in (1, 2):
            raise InputError(f"layer4_blocks must be 1 or 2, got {layer4_blocks}")
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64), BasicBlock(64, 64))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256))
        self.layer4 = nn.Sequential(BasicBlock(256, CHANNELS, 2))
        if layer4_blocks == 2:
            self.layer4.append(BasicBlock(CHANNELS, CHANNELS))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # as torchvision does
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, S, S) with ImageNet mean/std -> F (B, 512, S/32, S/32), not negative."""
        x = functional.relu(self.bn1(self.conv1(image)))  # (B, 64, S/2, S/2)
        x = functional.max_pool2d(x, 3, stride=2, padding=1)  # (B, 64, S/4, S/4)
        x = self.layer2(self.layer1(x))  # (B, 128, S/8, S/8)
        f: Tensor = self.layer4(self.layer3(x))  # (B, 512, S/32, S/32)
        return f


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """Convolution (odd kernel, same size out) + batch normalisation + ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class Float32Linear(nn.Linear):
    """A linear layer that stays in float32 under autocast.

    For the layers that write coordinates: bfloat16 near 0.5 has steps of 1/256, almost a pixel
    of a 224-pixel crop.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, in) of any float type -> (B, out) float32 (float64 for a float64 layer)."""
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.to(self.weight.dtype))


def start_at(layer: nn.Linear, mean_shape: Tensor | None, landmarks: int) -> None:
    """Let an output layer start from a mean face: small weights, `mean_shape` as its bias.

    Args:
        layer: linear layer to 2·`landmarks` coordinates, with a bias.
        mean_shape: (landmarks, 2) in crop units, or None for 0.5 everywhere.
        landmarks: number of landmarks L.

    Raises:
        InputError: `mean_shape` has another shape.
    """
    if mean_shape is None:
        mean_shape = torch.full((landmarks, 2), 0.5)
    check_mean_shape(mean_shape, landmarks)
    # Our choice: outputs 0.02 from the bias for inputs of size 1; not 0, or no layer before this
    # one would learn at first.
    nn.init.normal_(layer.weight, std=0.02 * layer.in_features**-0.5)
    with torch.no_grad():
        layer.bias.copy_(mean_shape.flatten())


def check_mean_shape(mean_shape: Tensor, landmarks: int) -> None:
    """Raise InputError unless `mean_shape` is (landmarks, 2)."""
    if mean_shape.shape != (landmarks, 2):
        raise InputError(
            f"mean_shape must be ({landmarks}, 2), x and y of each landmark in crop units; "
            f"got {tuple(mean_shape.shape)}"
        )


def check_size(size: int) -> None:
    """Raise InputError unless `size` is a positive multiple of 32."""
    if size < STRIDE or size % STRIDE:
        raise InputError(f"size must be a multiple of {STRIDE} pixels, got {size}")


def check_image(image: Tensor, size: int) -> None:
    """Raise InputError unless `image` is (B, 3, size, size)."""
    if image.ndim != 4 or tuple(image.shape[1:]) != (3, size, size):
        raise InputError(
            f"the network takes images of shape (B, 3, {size}, {size}), got {tuple(image.shape)}; "
            "crop and resize them, or build the network with another `size`"
        )
