"""Training throughput in images/s for each network.

    python benchmarks/throughput.py [--threads 2] [--steps 10]

On crops of noise. Each figure is the median of `steps` steps after three that
warm up, with the spread of the middle half.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import get_args

import numpy as np
import torch

from aadn.models.build import build
from aadn.models.registry import ModelConfig, ModelName
from aadn.schemes import IBUG68
from aadn.training import augment
from aadn.training.augment import Draw
from aadn.training.config import LossWeights
from aadn.training.crops import MARGIN, CropSet
from aadn.training.losses import total_loss

BATCH = 32


def spread(step: Callable[[], None], steps: int) -> tuple[float, float, float]:
    """Median, lower and upper quartile of a step's seconds."""
    for _ in range(3):
        step()
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return (
        float(np.median(times)),
        float(np.quantile(times, 0.25)),
        float(np.quantile(times, 0.75)),
    )


def noise(size: int, count: int = BATCH) -> CropSet:
    """Crops of noise with a plausible spread of points."""
    rng = np.random.default_rng(0)
    stored = round(size * MARGIN)
    images = rng.integers(0, 256, (count, stored, stored, 3), np.uint8)
    points = rng.uniform(0.3, 0.7, (count, 68, 2)) * stored
    unknown = np.full((count, 68), np.nan)
    return CropSet(images, points, unknown, unknown, MARGIN, np.ones(count), IBUG68)


def row(name: ModelName, steps: int) -> str:
    """One network's line of the table."""
    config = ModelConfig(name=name)
    crops = noise(config.input_size)
    draws = Draw(crops, config.input_size, 0)
    stored = torch.from_numpy(crops.images)
    batch = torch.utils.data.default_collate([draws[(0, i)] for i in range(BATCH)])
    images = augment.apply(stored, batch).contiguous(memory_format=torch.channels_last)
    network = build(config)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), fused=True)
    weight = LossWeights().for_model(name)

    def draw() -> None:
        for i in range(BATCH):
            draws[(1, i)]

    def make() -> None:
        augment.apply(stored, batch)

    def train(half: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            prediction = network(images)
        loss, _ = total_loss(
            prediction,
            batch["points"],
            batch["visible"],
            batch["turned"],
            batch["face"],
            batch["visible_map"],
            network.regularisation(),
            weight,
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    cells = [name, str(config.input_size)]
    for step in (draw, make, lambda: train(False), lambda: train(True)):
        middle, low, high = spread(step, steps)
        cells.append(f"{BATCH / middle:.0f} ({BATCH / high:.0f}–{BATCH / low:.0f})")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description="training throughput in images/s")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"{torch.get_num_threads()} threads, batch {BATCH}; images/s, median (quartiles)")
    print("| network | input | draw, one worker | make pictures | train fp32 | train bf16 |")
    print("|---|---|---|---|---|---|")
    for name in get_args(ModelName):
        print(row(name, arguments.steps), flush=True)


if __name__ == "__main__":
    main()
