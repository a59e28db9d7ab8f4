"""What the paper's modules and networks cost: parameters, multiply-adds, time (its Figs. 13, 14).

Needs PyTorch. Parameters are those that training adjusts; multiply-adds and time are those of
inference, with the folded network. All networks have the visibility head, which is our addition.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from aadn.errors import InputError
from aadn.evaluation.plots import plot_bars
from aadn.evaluation.published import SIZES
from aadn.evaluation.tables import number, table
from aadn.files import write_whole
from aadn.models.build import build
from aadn.models.network import Network
from aadn.models.paper.distillation import AttentionedDistillationModule, DistillationModule
from aadn.models.paper.resnet import CHANNELS, STRIDE, check_size
from aadn.models.registry import NETWORKS, ModelConfig

REDUCTIONS: tuple[Literal[8, 16, 32, 64], ...] = (8, 16, 32, 64)
"""r of the channel attention, as the paper varies it."""

WARM_UP = 3
"""Calls before the clock starts: our choice."""

Times = tuple[float, float, float]
"""Median, lower and upper quartile."""


@dataclass(frozen=True)
class Cost:
    """What one module or network costs.

    Attributes:
        name: as in the paper; "heatmap" is our default network.
        input: channels, height and width of what one face is to it.
        parameters: numbers that training adjusts.
        multiply_adds: of one face, see `multiply_adds`.
        milliseconds: of one face on this computer's CPU; None for a module alone.
    """

    name: str
    input: tuple[int, int, int]
    parameters: int
    multiply_adds: int
    milliseconds: Times | None = None


def count(module: nn.Module) -> int:
    """Trainable numbers in a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def multiply_adds(module: nn.Module, *inputs: Tensor) -> int:
    """Multiplications, each with its addition, of one call of a module, in the mode it is in.

    Counted where PyTorch runs them: every convolution and every product of matrices, also those
    that are no layer (the outer product of GM, attention between landmarks). As usual, biases,
    normalisation, activation, pooling, interpolation and element-wise products do not count.
    """
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module(*inputs)
    return int(counter.get_total_flops()) // 2


def cpu_time(network: Network, repeats: int) -> Times:
    """Milliseconds of one face through the folded network: median, lower and upper quartile.

    On the CPU, in float32, with the number of threads that PyTorch has, after a few calls that
    warm up; cutting the crop is not in it. Raises InputError for less than one repeat.
    """
    if repeats < 1:
        raise InputError(f"expected repeats of 1 or more, got {repeats}")
    folded = network.folded().cpu()
    image = torch.zeros(1, 3, network.size, network.size)
    times = []
    with torch.no_grad():
        for _ in range(WARM_UP + repeats):
            began = time.perf_counter()
            folded(image)
            times.append(1000 * (time.perf_counter() - began))
    median, low, high = np.quantile(times[WARM_UP:], [0.5, 0.25, 0.75]).tolist()
    return median, low, high


def module_costs(size: int = 224) -> list[Cost]:
    """DM and ADM for each r (Fig. 13), on F of an input of `size` pixels, a multiple of 32.

    Raises InputError for another size.
    """
    check_size(size)
    shape = (CHANNELS, size // STRIDE, size // STRIDE)
    modules: dict[str, nn.Module] = {"DM": DistillationModule(CHANNELS)}
    for r in REDUCTIONS:
        modules[f"ADM, r = {r}"] = AttentionedDistillationModule(CHANNELS, r)
    return [
        Cost(name, shape, count(module), multiply_adds(module.eval(), torch.zeros(1, *shape)))
        for name, module in modules.items()
    ]


def model_costs(landmarks: int = 68, size: int = 224, repeats: int = 20) -> list[Cost]:
    """The paper's networks (Fig. 14), then ours.

    Args:
        landmarks: L.
        size: side in pixels of the input of the paper's networks; ours keeps its own.
        repeats: calls that are timed.

    Raises:
        InputError: an argument is out of range.
    """
    if landmarks < 1:
        raise InputError(f"expected 1 landmark or more, got {landmarks}")
    costs = []
    for name, config in _configurations(landmarks, size).items():
        network = build(config)
        shape = (3, network.size, network.size)
        work = multiply_adds(network.folded(), torch.zeros(1, *shape))
        costs.append(Cost(name, shape, count(network), work, cpu_time(network, repeats)))
    return costs


def _configurations(landmarks: int, size: int) -> dict[str, ModelConfig]:
    """The networks of `model_costs` by their names in the table."""
    configs = {}
    for name, entry in NETWORKS.items():
        # Those with a trunk are the paper's.
        config = ModelConfig(name, landmarks, size if entry.trunk else entry.size)
        if entry.trunk and "reduction" in entry.options:
            for r in REDUCTIONS:
                configs[f"{entry.title}, r = {r}"] = dataclasses.replace(config, reduction=r)
        else:
            configs[entry.title] = config
    return configs


def cost_table(costs: Sequence[Cost]) -> str:
    """A Markdown table, one row each; multiply-adds in millions."""
    rows = []
    for cost in costs:
        milliseconds = number(None)
        if cost.milliseconds is not None:
            median, low, high = cost.milliseconds
            milliseconds = f"{median:.1f} ({low:.1f}–{high:.1f})"
        rows.append(
            [
                cost.name,
                "×".join(map(str, cost.input)),
                number(cost.parameters),
                f"{cost.multiply_adds / 1e6:,.1f}",
                milliseconds,
            ]
        )
    return table(["", "input", "parameters", "multiply-adds, M", "CPU, ms (quartiles)"], rows)


def _published() -> str:
    """What others published of the cost of theirs."""
    rows = [
        [size.method, number(size.parameters), number(size.operations), size.unit] for size in SIZES
    ]
    return table(["network", "parameters, M", "operations", "unit"], rows, texts=["unit"])


@dataclass(frozen=True)
class Costs:
    """What was measured, and how.

    Attributes:
        landmarks: L.
        repeats: calls that were timed.
        threads: of PyTorch.
        torch: its version.
        modules, models: see `module_costs` and `model_costs`.
    """

    landmarks: int
    repeats: int
    threads: int
    torch: str
    modules: list[Cost]
    models: list[Cost]

    def markdown(self) -> str:
        """One table of all, and how it was measured."""
        return (
            f"{self.landmarks} landmarks; multiply-adds and time for one face; time on "
            f"{self.threads} thread(s), median and quartiles of {self.repeats} calls, "
            f"PyTorch {self.torch}.\n\n{cost_table([*self.modules, *self.models])}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as cost.json holds them."""
        return {
            "landmarks": self.landmarks,
            "threads": self.threads,
            "repeats": self.repeats,
            "torch": self.torch,
            "modules": [dataclasses.asdict(cost) for cost in self.modules],
            "models": [dataclasses.asdict(cost) for cost in self.models],
        }

    def write(self, folder: Path) -> None:
        """Write the table and the bars of Figs. 13 and 14.

        The folder then has cost.md, cost.json, and parameters_modules and parameters_models as .svg
        and .png. Raises OutputError if a file cannot be written, and MissingDependencyError if
        matplotlib is not installed (`aadn.evaluation.plots.check_plot` says so before any work).
        """
        text = f"{self.markdown()}\nPublished, for other networks:\n\n{_published()}"
        values = json.dumps(self.to_dict(), indent=2, allow_nan=False)
        write_whole(folder / "cost.md", text)
        write_whole(folder / "cost.json", values + "\n")
        for name, costs in (("modules", self.modules), ("models", self.models)):
            millions = {cost.name: cost.parameters / 1e6 for cost in costs}
            for suffix in ("svg", "png"):
                path = folder / f"parameters_{name}.{suffix}"
                plot_bars(millions, path, ylabel="parameters, millions")


def measure(landmarks: int = 68, size: int = 224, repeats: int = 20) -> Costs:
    """Measure the modules and the networks; arguments and errors as in `model_costs`."""
    modules, models = module_costs(size), model_costs(landmarks, size, repeats)
    return Costs(landmarks, repeats, torch.get_num_threads(), torch.__version__, modules, models)
