"""How weights move: AdamW, its learning rate, and the weights' moving average."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aadn.training.config import TrainConfig

WARM_SHARE = 10
"""Warm-up is at most one part in so many of a run's steps (our choice): a short run would else end
before it has begun to learn."""


def optimiser_of(network: torch.nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW with weight decay for matrices and kernels, none for biases and normalisation."""
    learning = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in learning if p.ndim > 1]
    others = [p for p in learning if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def rate(step: int, total: int, config: TrainConfig) -> float:
    """The learning rate of a step, from 0, of `total`: linear warm-up, then half a cosine to 0.

    The warm-up of aadn 0.1 could be longer than a tenth of the run. Such a run, resumed, goes on
    with the rate that is given here, which is higher as long as it would still have warmed up.
    """
    warmup = min(config.warmup, total // WARM_SHARE)
    warm = min(1.0, (step + 1) / max(1, warmup))
    return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / max(1, total)))


@torch.no_grad()
def move_average(
    average: dict[str, Tensor], network: torch.nn.Module, decay: float, step: int
) -> None:
    """Move the weights' average; early on it follows faster, and buffers are copied."""
    decay = min(decay, (1 + step) / (10 + step))
    weights = dict(network.named_parameters())
    moved = [average[name] for name in weights]
    torch._foreach_lerp_(moved, [w.detach() for w in weights.values()], 1 - decay)
    for name, buffer in network.named_buffers():
        average[name].copy_(buffer)
