"""Checkpoints: safetensors with their own configuration, strict, written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from aadn.errors import InputError, WeightsError
from aadn.faces import OCCLUSION_GRID, VISIBILITY_THRESHOLD, Float32
from aadn.files import write_whole
from aadn.geometry import CROP_FACTOR
from aadn.inference.onnx import CHUNK, Card
from aadn.models.build import Network, build
from aadn.schemes import scheme_of
from aadn.training.augment import normalise
from aadn.training.config import ModelConfig

FORMAT = 1

SPREAD, SHAPE = "spread.", "shape."
"""Parts of the heatmap network that older checkpoints lack. Without the first, in aadn 0.1, there
is no uncertainty: such a checkpoint is good to train on from, where the part keeps its initial
values, and for nothing else. With its initial values the second leaves the points as they are: a
checkpoint that lacks it gives what it always gave."""


def save(
    path: Path, tensors: dict[str, Tensor], config: ModelConfig, state: dict[str, Any]
) -> None:
    """Write tensors, the model's configuration and plain values (JSON) as one file.

    Names begin with "ema." for the averaged weights, which inference uses, and with "model." and
    "optimiser." for what resuming needs. Raises OutputError if the file cannot be written.
    """
    meta = {"format": FORMAT, "model": dataclasses.asdict(config), "state": state}
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    data = safetensors.torch.save(plain, {"aadn": json.dumps(meta)})
    write_whole(path, data)


def load(path: Path) -> tuple[dict[str, Tensor], ModelConfig, dict[str, Any]]:
    """What `save` wrote.

    Raises WeightsError for a file that is missing, cut, of another program or another format;
    nothing in a file is ever executed.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: expected a checkpoint, found no such file")
    try:
        with safetensors.safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get("aadn")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path}: expected a checkpoint in safetensors form, got a broken or other file "
            f"({error}); make it anew with 'aadn train'"
        ) from None
    if text is None:
        raise WeightsError(f"{path}: expected a checkpoint of 'aadn train', got other safetensors")
    try:
        meta = json.loads(text)
        if meta["format"] != FORMAT:
            raise WeightsError(f"{path}: expected format {FORMAT}, got {meta['format']}")
        return tensors, ModelConfig.of(meta["model"]), meta["state"]
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise WeightsError(f"{path}: the checkpoint's configuration is broken: {error}") from None


def load_state(module: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Fill a module with tensors by name, all of them and no others, or raise WeightsError."""
    own = module.state_dict()
    wrong = sorted(set(own) ^ set(tensors))
    wrong += [n for n in own if n in tensors and own[n].shape != tensors[n].shape]
    if wrong:
        if set(wrong) <= _lacking(tensors, module, SPREAD, SHAPE).keys():
            raise WeightsError(
                f"{path}: was made by an older aadn and lacks {_named(wrong)}; train on from it "
                "with --initial, or use the aadn that made it"
            )
        raise WeightsError(
            f"{path}: the weights are of another model; {len(wrong)} tensors are missing, "
            f"unexpected or of another shape, the first is {wrong[0]}"
        )
    module.load_state_dict(tensors)


def load_model(path: Path) -> tuple[Network, ModelConfig, dict[str, Any]]:
    """The network of a checkpoint with its averaged weights, ready for inference.

    Also its configuration and the state that it was saved with. Raises WeightsError as `load` does,
    and if the weights are of another model.
    """
    tensors, config, state = load(path)
    network = build(config)
    weights = {n.removeprefix("ema."): t for n, t in tensors.items() if n.startswith("ema.")}
    load_state(network, weights | _lacking(weights, network, SHAPE), path)
    return network.eval(), config, state


def _named(tensors: Iterable[str]) -> str:
    """The parts of a network that tensors belong to."""
    return ", ".join(sorted({name.split(".")[0] for name in tensors}))


def _lacking(
    weights: dict[str, Tensor], network: torch.nn.Module, *parts: str
) -> dict[str, Tensor]:
    """A network's own tensors of those parts, by prefix, that weights have nothing of."""
    lacking = tuple(part for part in parts if not any(name.startswith(part) for name in weights))
    return {name: t for name, t in network.state_dict().items() if name.startswith(lacking)}


def start_from(network: Network, config: ModelConfig, path: Path) -> str:
    """Fill a network with a checkpoint's averaged weights, to train on from them.

    The checkpoint's input may be of another size, where the network's weights do not depend on it.
    A part that older checkpoints lack keeps the values it has in `network`. Returns a line that
    says what was loaded and what was not. Raises WeightsError as `load_model` does, and if the
    checkpoint's configuration is not `config` in all but the size.
    """
    tensors, other, _ = load(path)
    if dataclasses.replace(other, size=config.size) != config:
        raise WeightsError(f"{path}: expected {config}, got {other}")
    weights = {n.removeprefix("ema."): t for n, t in tensors.items() if n.startswith("ema.")}
    kept = _lacking(weights, network, SPREAD, SHAPE)
    load_state(network, weights | kept, path)
    left = f", which lacks {_named(kept)}: new weights there" if kept else ""
    return f"starting from {path}{left}"


class TorchNetwork:
    """A checkpoint behind the same interface as aadn.inference.onnx.Network: crops to landmarks."""

    def __init__(
        self,
        network: Network,
        config: ModelConfig,
        visibility_threshold: float = VISIBILITY_THRESHOLD,
    ) -> None:
        self.network = Deployed(network.folded())
        self.card = Card(
            model=config.name,
            scheme=scheme_of(config.landmarks).name,
            landmarks=config.landmarks,
            size=config.input_size,
            crop_factor=CROP_FACTOR,
            visibility_threshold=visibility_threshold,
        )

    def __call__(self, crops: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32, Float32]:
        """Crops (N, S, S, 3) uint8 RGB -> points, visibility, occlusion and uncertainty.

        As `aadn.inference.onnx.Network` gives them.
        """
        starts = range(0, max(1, len(crops)), CHUNK)
        parts = [torch.from_numpy(crops[i : i + CHUNK]) for i in starts]
        with torch.inference_mode():
            outputs = [self.network(part) for part in parts]
        points, visibility, occlusion, uncertainty = (
            torch.cat(arrays).numpy() for arrays in zip(*outputs, strict=True)
        )
        return points, visibility, occlusion, uncertainty


class Deployed(torch.nn.Module):
    """A network with its normalisation inside and pixels outside: what is exported to ONNX."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        with torch.inference_mode():
            seen = network.eval()(torch.zeros(1, 3, network.size, network.size)).seen
        cells = OCCLUSION_GRID if seen is None else seen.shape[1]
        self.register_buffer("resize", _area_weights(cells, OCCLUSION_GRID))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Crops (N, S, S, 3) uint8 RGB.

        Returns points (N, L, 2) in crop pixels; visibility (N, L) in [0, 1]; occlusion (N, 7, 7)
        = 1 - P in [0, 1], P averaged to 7×7 by area, NaN without a distillation module; and
        uncertainty (N, L) in crop pixels, NaN without that head.
        """
        prediction = self.network(normalise(images.permute(0, 3, 1, 2).float() / 255))
        points = prediction.points * self.network.size - 0.5
        if prediction.seen is None:
            occlusion = torch.full_like(points[:, :OCCLUSION_GRID, :1], torch.nan)
            occlusion = occlusion.expand(-1, -1, OCCLUSION_GRID)
        else:
            assert isinstance(self.resize, Tensor)
            occlusion = 1 - self.resize @ prediction.seen.float() @ self.resize.T
        if prediction.uncertainty is None:
            uncertainty = torch.full_like(points[..., 0], torch.nan)
        else:
            uncertainty = prediction.uncertainty * self.network.size
        return points, torch.sigmoid(prediction.visibility), occlusion, uncertainty


def _area_weights(source: int, target: int) -> Tensor:
    """Matrix (target, source) that averages `source` equal cells to `target` equal cells."""
    low = torch.arange(target)[:, None] * source / target
    high = low + source / target
    cell = torch.arange(source)[None, :]
    share = torch.minimum(high, cell + 1) - torch.maximum(low, cell)
    return share.clamp(min=0) * target / source


def load_network(path: Path) -> TorchNetwork:
    """A checkpoint as a callable for evaluation; WeightsError as in `load`.

    Its visibility threshold is the one that training chose on the validation faces.
    """
    network, config, state = load_model(path)
    chosen = state.get("metrics", {}).get("visibility_threshold")
    return TorchNetwork(network, config, chosen or VISIBILITY_THRESHOLD)
