"""A checkpoint on PyTorch, and the module that is exported: pixels in, pixels out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aadn.faces import OCCLUSION_GRID, TURNED_THRESHOLD, VISIBILITY_THRESHOLD
from aadn.geometry import CROP_FACTOR, from_units
from aadn.inference.backend import Card, box_transform, check_crops, chunks
from aadn.inference.detectors import BoxTransform
from aadn.inference.estimates import Estimates
from aadn.models.checkpoint import Checkpoint, load_model
from aadn.models.inputs import centred, fold_deviation, normalise_pixels
from aadn.models.network import Network
from aadn.schemes import Scheme


class TorchBackend:
    """A network with its weights, on PyTorch; see `Backend`."""

    def __init__(
        self,
        network: Network,
        name: str,
        scheme: Scheme,
        visibility_threshold: float = VISIBILITY_THRESHOLD,
        device: torch.device | str = "cpu",
        detector_box: BoxTransform | None = None,
        turned_threshold: float | None = None,
        crop_factor: float = CROP_FACTOR,
    ) -> None:
        self.deployed = Deployed(network).to(device)
        self.device = torch.device(device)
        self.card = Card(
            name,
            scheme,
            network.size,
            crop_factor,
            visibility_threshold,
            detector_box,
            turned_threshold=turned_threshold,
        )

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> TorchBackend:
        """The network of a checkpoint with its averaged weights; WeightsError as `load_model`.

        Its thresholds are those that training chose on the validation faces.
        """
        network, checkpoint = load_model(Path(path))
        return cls(
            network,
            checkpoint.config.name,
            checkpoint.scheme,
            threshold_of(checkpoint),
            device,
            box_transform(checkpoint.state.get("detector_box")),
            threshold_of(checkpoint, "turned_threshold", TURNED_THRESHOLD)
            if checkpoint.config.turned
            else None,
            float(checkpoint.state.get("crop_factor", CROP_FACTOR)),
        )

    def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
        """The answers to crops (N, S, S, 3) uint8 RGB, see `Backend`."""
        check_crops(crops, self.card)
        if len(crops) == 0:
            return Estimates.none(self.card.landmarks)
        parts = []
        for part in chunks(crops):
            with torch.inference_mode():
                outputs = self.deployed(torch.from_numpy(part).to(self.device))
            named = dict(zip(self.deployed.outputs, outputs, strict=True))
            parts.append(Estimates(**{name: t.cpu().numpy() for name, t in named.items()}))
        return Estimates.joined(parts)


def threshold_of(
    checkpoint: Checkpoint,
    name: str = "visibility_threshold",
    usual: float = VISIBILITY_THRESHOLD,
) -> float:
    """The threshold of a name that training chose, or the usual one."""
    chosen: Any = checkpoint.state.get("metrics", {}).get(name)
    return chosen or usual


class Deployed(nn.Module):
    """A network with its normalisation inside and pixels outside: what is exported to ONNX.

    Attributes:
        outputs: names of what it gives, in order: "points", "visibility", and of "occlusion",
            "uncertainty" and "turned" those that the network has.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.folded()
        with torch.inference_mode():
            one = self.network(torch.zeros(1, 3, network.size, network.size))
        entry = self.network.entry()
        self.prepare = normalise_pixels if entry is None else centred
        if entry is not None:
            fold_deviation(entry)
        self.outputs = ["points", "visibility"]
        if one.visible_map is not None:
            self.outputs.append("occlusion")
            self.register_buffer("resize", _area_weights(one.visible_map.shape[1], OCCLUSION_GRID))
        if one.uncertainty is not None:
            self.outputs.append("uncertainty")
        if one.turned is not None:
            self.outputs.append("turned")

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Crops (N, S, S, 3) uint8 RGB to `outputs`.

        Points (N, L, 2) in crop pixels; visibility (N, L) in [0, 1], the probability of being seen;
        occlusion (N, 7, 7) = 1 - P in [0, 1], P averaged to 7×7 by area; uncertainty (N, L) in crop
        pixels; turned (N, L) in [0, 1].
        """
        prediction = self.network(self.prepare(images.permute(0, 3, 1, 2).float()))
        size = self.network.size
        seen = torch.sigmoid(prediction.visibility)
        if prediction.turned is not None:
            turned = torch.sigmoid(prediction.turned)
            seen = seen * (1 - turned)
        given = [from_units(prediction.points, size), seen]
        if prediction.visible_map is not None:
            assert isinstance(self.resize, Tensor)
            given.append(1 - self.resize @ prediction.visible_map.float() @ self.resize.T)
        if prediction.uncertainty is not None:
            given.append(prediction.uncertainty * size)
        if prediction.turned is not None:
            given.append(turned)
        return tuple(given)


def _area_weights(source: int, target: int) -> Tensor:
    """Matrix (target, source) that averages `source` equal cells to `target` equal cells."""
    low = torch.arange(target)[:, None] * source / target
    high = low + source / target
    cell = torch.arange(source)[None, :]
    share = torch.minimum(high, cell + 1) - torch.maximum(low, cell)
    return share.clamp(min=0) * target / source
