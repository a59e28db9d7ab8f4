"""What a run starts from: the sizes that it takes over, and its first weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.geometry import inner_units, to_units
from aadn.models import checkpoint
from aadn.models.build import build
from aadn.models.network import Network
from aadn.models.paper.pretrained import load_trunk
from aadn.models.paper.resnet import Trunk
from aadn.models.registry import ModelConfig
from aadn.training.config import TrainConfig
from aadn.training.crops import CropSet
from aadn.training.other_landmarks import start_from_other_landmarks
from aadn.training.resume import LAST

FROM_RANDOM, FROM_INITIAL = 1.5e-3, 3e-4
"""Learning rates of runs from random weights and from an initial network. Our choice; of 1.5e-3,
3e-4 and 1.5e-4, the second served the example of five landmarks best, on faces of its validation
set."""


def resolved(config: TrainConfig) -> TrainConfig:
    """The configuration with what it leaves to others filled in.

    The number of landmarks is the scheme's; a head model makes the network learn what is turned
    away. From the run to be resumed, or else the checkpoint to start from, come the network where
    no other is asked for, the input size if it is 0, the kind of convolutions, and that the network
    tells what is turned away: without a head model, that part stays as it is there, and with other
    landmarks there is none. A learning rate of 0 becomes the usual one.
    Raises InputError if --scheme and --model.landmarks disagree, and WeightsError for a checkpoint
    that cannot be read.
    """
    usual = FROM_RANDOM if config.initial is None else FROM_INITIAL
    config = replace(config, learning_rate=config.learning_rate or usual)
    turned = config.model.turned or config.head_model is not None
    model = replace(config.model, landmarks=config.landmark_scheme.size, turned=turned)
    last = config.out / LAST
    before = last if config.resume and last.exists() else config.initial_file
    if before is None:
        return replace(config, model=model)
    there = checkpoint.load(before)
    own: dict[str, Any] = {"landmarks": model.landmarks, "size": model.size, "turned": turned}
    if model == replace(ModelConfig(), **own):  # nothing else is asked for
        model = replace(there.config, **own)
    if there.config.name == model.name:
        kept = turned or (there.config.turned and there.scheme == config.landmark_scheme)
        model = replace(model, turned=kept, convolutions=there.config.convolutions)
    return replace(config, model=replace(model, size=model.size or there.config.input_size))


def check_network(config: TrainConfig) -> None:
    """Raise InputError for a network that cannot be built; nothing is computed."""
    with torch.device("meta"):
        build(config.model)


def first_network(config: TrainConfig, crops: CropSet, rows: NDArray[np.int64]) -> Network:
    """The network with random weights, its points at the mean face of an epoch's faces."""
    shapes = to_units(crops.points[rows], crops.images.shape[1])
    mean_shape = inner_units(np.nanmean(shapes, axis=0), crops.margin)
    return build(config.model, torch.from_numpy(mean_shape).float())


def freeze(network: Network, config: TrainConfig) -> None:
    """Let nothing but `only` learn, or all where that is empty, and no part without its labels.

    InputError for a part that the network does not have.
    """
    only = config.only
    for part in only:
        if not any(name.startswith(f"{part}.") for name, _ in network.named_parameters()):
            parts = sorted({name.split(".")[0] for name, _ in network.named_parameters()})
            raise InputError(f"expected --only to name some of {', '.join(parts)}; got {part}")
    chosen = tuple(f"{part}." for part in only)
    for name, parameter in network.named_parameters():
        unlabelled = config.head_model is None and name.startswith(checkpoint.TURNED)
        parameter.requires_grad_(not unlabelled and (not only or name.startswith(chosen)))


def start_learning(network: Network, only: tuple[str, ...]) -> None:
    """Training mode for what learns; what `freeze` froze normalises as in use."""
    network.train()
    for name, module in network.named_modules():
        if only and not any(f"{name}.".startswith(f"{part}.") for part in only):
            module.training = False


def load_first(network: Network, config: TrainConfig, crops: CropSet) -> str:
    """Load the weights that a configuration starts from; returns a line that says which.

    `crops` are the training faces, which show what new landmarks are like.
    """
    initial = config.initial_file
    if initial is not None:
        if checkpoint.load(initial).scheme != config.landmark_scheme:
            return start_from_other_landmarks(network, config.model, initial, crops)
        return checkpoint.start_from(network, config.model, config.landmark_scheme, initial)
    trunk = getattr(network, "trunk", None)
    if config.trunk is not None and isinstance(trunk, Trunk):
        return load_trunk(trunk, config.trunk) or ""
    return "starting from random weights (no --trunk and no --initial given)"
