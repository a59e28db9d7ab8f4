"""What every network here is: crops to a `Prediction`."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Self

from torch import Tensor, nn

from aadn.models.prediction import Prediction


class Network(nn.Module, ABC):
    """A landmark network for square crops.

    Attributes:
        landmarks: L.
        size: side of the input in pixels.
    """

    landmarks: int
    size: int

    @abstractmethod
    def forward(self, image: Tensor) -> Prediction:
        """Image (B, 3, size, size), ImageNet mean/std -> Prediction."""

    @abstractmethod
    def regularisation(self) -> Tensor:
        """What is added to the loss for the weights alone, before it is weighted; a scalar."""

    def entry(self) -> nn.Conv2d | None:
        """The convolution that alone takes the picture, where it can take over part of its
        normalisation; None where there is none."""
        return None

    def folded(self) -> Self:
        """A copy for inference with the same output, without gradients."""
        return copy.deepcopy(self).eval().requires_grad_(False)

    def __call__(self, image: Tensor) -> Prediction:
        """As `forward`."""
        prediction: Prediction = super().__call__(image)
        return prediction
