"""Training of the face detector's second network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from aadn.models.face_refiner import FACTOR, SIZE, FaceRefinerNetwork
from aadn.training.config import Tell, nothing
from aadn.training.distributed import bf16
from aadn.training.face_detector.candidates import STORED, Candidates
from aadn.training.optimiser import move_average


@dataclass(frozen=True)
class RefinerConfig:
    """How the second network is trained.

    Attributes:
        steps, batch: batches, and crops in each, half of them faces.
        learning_rate, weight_decay, average: of AdamW; the weights' mean's decay.
        precision: as in `TrainConfig`.
        seed: of all that is random.
    """

    steps: int = 9_500
    batch: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    average: float = 0.999
    precision: str = "auto"
    seed: int = 0


def train_refiner(
    parts: Sequence[Candidates],
    config: RefinerConfig,
    *,
    initial: FaceRefinerNetwork | None = None,
    tell: Tell = nothing,
) -> FaceRefinerNetwork:
    """Train on candidates, from random weights or from those of another; the weights' mean.

    A part that is given three times is seen three times as often.
    """
    generator = torch.Generator().manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    targets_of_all = np.concatenate([part.targets for part in parts])
    believed_of_all = np.concatenate([part.believed for part in parts])
    faces = np.flatnonzero(targets_of_all[:, 0] == 1)
    others = np.flatnonzero(targets_of_all[:, 0] == 0)
    network = FaceRefinerNetwork()
    if initial is not None:
        network.load_state_dict(initial.state_dict())
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    half_precision = bf16(config.precision, torch.device("cpu"))
    totals: dict[str, float] = {}
    for step in range(config.steps):
        warm = min(1.0, (step + 1) / 200)
        cosine = 0.5 * (1 + math.cos(math.pi * step / config.steps))
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * warm * cosine
        half = config.batch // 2
        rows = np.concatenate([rng.choice(faces, half), rng.choice(others, config.batch - half)])
        images, targets = augmented(_crops(parts, rows), targets_of_all[rows], generator)
        believed = torch.from_numpy(believed_of_all[rows])
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=half_precision):
            answers = network(images)
        terms = refiner_losses(answers.float(), targets, believed)
        optimiser.zero_grad(set_to_none=True)
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        move_average(average, network, config.average, step)
        for name, term in terms.items():
            totals[name] = totals.get(name, 0.0) + float(term.detach())
        if (step + 1) % 200 == 0:
            means = ", ".join(f"{name} {total / 200:.4f}" for name, total in totals.items())
            tell(f"step {step + 1}: {means}")
            totals = {}
    network.load_state_dict(average)
    return network.eval()


def _crops(parts: Sequence[Candidates], rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    """The crops of some of the candidates, counted through all parts."""
    starts = np.cumsum([0, *(len(part.crops) for part in parts)])
    which = np.searchsorted(starts, rows, "right") - 1
    found = [parts[i].crops[row] for i, row in zip(which, rows - starts[which], strict=True)]
    return np.stack(found)


def refiner_losses(answers: Tensor, targets: Tensor, believed: Tensor) -> dict[str, Tensor]:
    """The loss and its terms: answers and targets (N, 7), `believed` (N,) of the angles."""
    face = targets[:, 0]
    count = face.sum().clamp(min=1)
    score = F.binary_cross_entropy_with_logits(answers[:, 0], face)
    box = F.smooth_l1_loss(answers[:, 1:5], targets[:, 1:5], beta=0.05, reduction="none").sum(-1)
    angle = (answers[:, 5:] - targets[:, 5:]).square().sum(-1)
    terms = {
        "score": score,
        "box": (box * face).sum() / count,
        "angle": (angle * face * believed).sum() / count,
    }
    return {"loss": terms["score"] + terms["box"] + 0.5 * terms["angle"], **terms}


def augmented(
    crops: NDArray[np.uint8], targets: NDArray[np.float32], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Stored crops (N, STORED, STORED, 3) turned, shifted, scaled, mirrored and lit a little.

    Returns:
        Crops (N, 3, SIZE, SIZE) in [0, 1], and what is true of them (N, 7).
    """
    count = len(crops)

    def normal(deviation: float, *shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator) * deviation

    angle = torch.deg2rad(normal(5))
    scale = torch.exp(normal(0.06))
    shift = normal(0.03, 2)  # in sides of the box
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    cos, sin = angle.cos(), angle.sin()
    # From the new crop's coordinates, in sides of the box about its middle, to the stored crop's.
    turned = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    matrix = turned * scale[:, None, None]
    matrix = matrix * torch.stack([mirror, torch.ones(count)], -1)[:, None, :]
    # grid_sample's units: 1 is half of a crop, and the stored one is wider.
    theta = torch.cat([matrix * SIZE / STORED, (shift * 2 * SIZE / STORED / FACTOR)[..., None]], -1)
    grid = F.affine_grid(theta, [count, 3, SIZE, SIZE], align_corners=False)
    images = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    images = F.grid_sample(images, grid, "bilinear", "border", align_corners=False)
    gain = torch.exp(normal(0.15, 1, 1, 1) + normal(0.05, 3, 1, 1))
    images = (images * gain + normal(0.04, 1, 1, 1)).clamp(0, 1)
    true = torch.from_numpy(targets).clone()
    offset = true[:, 1:3] - shift
    true[:, 1:3] = torch.linalg.solve(matrix, offset[..., None])[..., 0]
    true[:, 3:5] -= scale.log()[:, None]
    # The angle that is left, less what the crop was turned; mirrored, it is the other way round.
    left = torch.atan2(true[:, 6], true[:, 5]) - angle
    left = left * mirror
    true[:, 5], true[:, 6] = left.cos(), left.sin()
    return images, true
