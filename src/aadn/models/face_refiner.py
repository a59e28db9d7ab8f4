"""The face detector's second look: is a levelled crop a face, and where exactly?

Our own, not the paper's. The detector's network must know faces of any size and angle; this one
only sees what that found, levelled and of one size, and tells faces from the rest far better.
"""

from __future__ import annotations

from torch import Tensor, nn

from aadn.models.face_detector import convolution, folded

SIZE = 64
"""Side of a crop in pixels."""

FACTOR = 2.0
"""Side of a crop over the longer side of the face's box."""

OUTPUTS = 7
"""As of the detector's cells, but offsets and sizes in longer sides of the box, the sizes as
logarithms of what they are over the box's, and the angle as what is left of it."""


class FaceRefinerNetwork(nn.Module):
    """Crops (N, 3, SIZE, SIZE) in [0, 1] to (N, OUTPUTS)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            convolution(3, 16, 3, 2),
            convolution(16, 32, 3, 2),
            convolution(32, 48, 3, 2),
            convolution(48, 64, 3),
            convolution(64, 96, 3, 2),
            convolution(96, 96, 3),
            nn.Flatten(),
            nn.Linear(96 * (SIZE // 16) ** 2, 64),
            nn.ReLU(inplace=True),
        )
        self.out = nn.Linear(64, OUTPUTS)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)
        self.out.bias.data[5] = 1.0  # the crop is level

    def forward(self, crops: Tensor) -> Tensor:
        """See the class."""
        answers: Tensor = self.out(self.features(crops))
        return answers


class Deployed(nn.Module):
    """The network as it is exported: crops (N, SIZE, SIZE, 3) uint8 RGB to (N, OUTPUTS).

    The first output is a logit.
    """

    outputs = ("answers",)

    def __init__(self, network: FaceRefinerNetwork) -> None:
        super().__init__()
        self.network = folded(network)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        answers: Tensor = self.network(images.permute(0, 3, 1, 2).float())
        return answers
