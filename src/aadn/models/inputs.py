"""What networks take: pictures with zero mean and unit deviation as on ImageNet."""

from __future__ import annotations

import torch
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation of RGB in [0, 1]."""


def normalise(images: Tensor) -> Tensor:
    """RGB (B, 3, S, S) in [0, 1] to zero mean and unit deviation as on ImageNet."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1)
    return (images - mean) / std
