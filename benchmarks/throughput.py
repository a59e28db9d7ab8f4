"""Training throughput in images/s for each network.

    python benchmarks/throughput.py [--network default …] [--occluders ../shared/data/occluders …]

On crops of noise, in the number format that training takes on this machine. "Ready" is a plain
loop over one batch that is there; "training" has its batches drawn and made by `aadn train`'s own
workers, with all augmentation, cut-outs of `--occluders` too. Each figure is the median of so many
steps, after some that warm up, with the quartiles.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aadn.evaluation.tables import table
from aadn.models.build import build
from aadn.models.registry import ModelConfig, ModelName
from aadn.occlude.cutouts import Cutouts
from aadn.schemes import IBUG68
from aadn.training import augment
from aadn.training.augment import Draw
from aadn.training.config import LossWeights, TrainConfig
from aadn.training.crops import MARGIN, CropSet
from aadn.training.distributed import bf16, processes
from aadn.training.loader import Plan, loader
from aadn.training.losses import total_loss

BATCH = 32
WARM_UP = 10
"""Steps before those that are timed: more than the batches that workers have ready."""

Batch = dict[str, Tensor]


def rates(step: Callable[[], object], steps: int) -> NDArray[np.float64]:
    """Images/s: the median and the quartiles."""
    seconds = []
    for _ in range(WARM_UP + steps):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return BATCH / np.quantile(seconds[WARM_UP:], [0.5, 0.75, 0.25])


def said(found: NDArray[np.float64]) -> str:
    """A cell of the table."""
    middle, low, high = found
    return f"{middle:.0f} ({low:.0f}–{high:.0f})"


def noise(size: int, count: int = BATCH) -> CropSet:
    """Crops of noise with a plausible spread of points."""
    rng = np.random.default_rng(0)
    stored = round(size * MARGIN)
    images = rng.integers(0, 256, (count, stored, stored, 3), np.uint8)
    points = rng.uniform(0.3, 0.7, (count, 68, 2)) * stored
    unknown = np.full((count, 68), np.nan)
    return CropSet(images, points, unknown, unknown, MARGIN, np.ones(count), IBUG68)


def learner(config: ModelConfig, half: bool) -> Callable[[Batch], None]:
    """A step of training: forward, loss, backward, optimiser."""
    network = build(config)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), fused=True)
    weight = LossWeights().for_model(config.name)

    def step(batch: Batch) -> None:
        images = batch["images"].contiguous(memory_format=torch.channels_last)
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

    return step


def whole_loop(
    step: Callable[[Batch], None], batches: Iterator[Batch], steps: int
) -> NDArray[np.float64]:
    """`rates` of steps that each take a new batch; the workers end with this call."""
    return rates(lambda: step(next(batches)), steps)


def row(name: ModelName, steps: int, cutouts: Cutouts | None) -> list[str]:
    """One network's line of the table."""
    config = TrainConfig(folders=(), out=Path(), model=ModelConfig(name=name), batch=BATCH)
    crops = noise(config.model.input_size)
    rows = np.arange((WARM_UP + steps) * BATCH) % BATCH
    draws = Draw(crops, config.model.input_size, 0, cutouts=cutouts, rows=rows)
    stored = torch.from_numpy(crops.images)
    some = torch.utils.data.default_collate([draws[(0, i)] for i in range(BATCH)])
    with processes("cpu") as process:
        half = bf16("auto", process.device)
        step = learner(config.model, half)
        plan = Plan.of(len(draws), BATCH, process.world)
        batches = loader(draws, stored, config, 0, plan, process)
        trained = whole_loop(step, iter(batches), steps)
        ready = next(iter(batches))
        alone = rates(lambda: step(ready), steps)
    draw = rates(lambda: [draws[(1, i)] for i in range(BATCH)], steps)
    make = rates(lambda: augment.apply(stored, some), steps)
    cells = [said(found) for found in (draw, make, alone, trained)]
    cells.insert(2, "bf16" if half else "fp32")
    return [name, str(config.model.input_size), *cells, f"{trained[0] / alone[0]:.2f}"]


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", nargs="+", choices=get_args(ModelName), action="extend")
    parser.add_argument("--occluders", nargs="+", type=Path, action="extend")
    parser.add_argument("--threads", type=int, default=0, help="0 for one for each core")
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    cutouts = Cutouts.load(*arguments.occluders) if arguments.occluders else None
    names = arguments.network or get_args(ModelName)
    rows = [row(name, arguments.steps, cutouts) for name in names]
    print(f"Images/s, median (quartiles); {torch.get_num_threads()} threads, {BATCH} at a time\n")
    titles = ["network", "input", "draw, one worker", "make pictures", "format", "ready",
              "training", "training ÷ ready"]  # fmt: skip
    print(table(titles, rows, texts=["format"]))


if __name__ == "__main__":
    main()
