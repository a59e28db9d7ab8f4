"""What networks take: pictures with zero mean and unit deviation as on ImageNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation of RGB in [0, 1]."""


def normalise(images: Tensor) -> Tensor:
    """RGB (B, 3, S, S) in [0, 1] to zero mean and unit deviation as on ImageNet."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1)
    return (images - mean) / std


def normalise_pixels(images: Tensor) -> Tensor:
    """The same of RGB (B, 3, S, S) in [0, 255]."""
    return normalise(images / 255)


def denormalise(images: Tensor) -> Tensor:
    """The inverse of `normalise`."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1)
    return images * std + mean


def fold_deviation(first: nn.Conv2d) -> None:
    """Change a network's first convolution so that it takes what `centred` gives."""
    deviation = 255 * first.weight.new_tensor(STD).view(1, 3, 1, 1)
    first.weight = nn.Parameter(first.weight.detach() / deviation, requires_grad=False)


def centred(images: Tensor) -> Tensor:
    """RGB (B, 3, S, S) in [0, 255] with zero mean as on ImageNet."""
    mean = torch.tensor([255 * value for value in MEAN], device=images.device)
    return images - mean.view(1, 3, 1, 1)
