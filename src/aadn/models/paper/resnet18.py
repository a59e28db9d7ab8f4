"""The plain ResNet-18 baseline: whole trunk, average pooling, linear layer to 2L."""

from __future__ import annotations

from torch import Tensor

from aadn.models.network import Network
from aadn.models.paper.resnet import (
    CHANNELS,
    Float32Linear,
    Trunk,
    check_image,
    check_size,
    start_at,
)
from aadn.models.prediction import Prediction


class Resnet18(Network):
    """ResNet-18 with `layer4.1`, and landmarks regressed from its pooled features.

    Args:
        landmarks: L.
        size: side of the input in pixels, a multiple of 32.
        mean_shape: (L, 2) in crop units, where the untrained network starts; None: all at 0.5.

    Raises:
        InputError: wrong `size` or shape of `mean_shape`; on a call, wrong shape of the images.
    """

    def __init__(
        self, landmarks: int, *, size: int = 224, mean_shape: Tensor | None = None
    ) -> None:
        super().__init__()
        check_size(size)
        self.landmarks = landmarks
        self.size = size
        self.trunk = Trunk(layer4_blocks=2)
        self.regression = Float32Linear(CHANNELS, 2 * landmarks)
        start_at(self.regression, mean_shape, landmarks)
        self.visibility = Float32Linear(CHANNELS, landmarks)  # our addition, as in the others

    def forward(self, image: Tensor) -> Prediction:
        """Image (B, 3, size, size), ImageNet mean/std -> Prediction of points and visibility."""
        check_image(image, self.size)
        pooled = self.trunk(image).mean(dim=(2, 3))  # (B, 512)
        points = self.regression(pooled).unflatten(1, (self.landmarks, 2))  # (B, L, 2)
        return Prediction(points, self.visibility(pooled))

    def regularisation(self) -> Tensor:
        """0: there is no M. A scalar."""
        return self.visibility.weight.new_zeros(())
