"""`aadn cost`: what the networks cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aadn.cli.common import check_writable, needs_torch
from aadn.evaluation.plots import check_plot


@dataclass(frozen=True)
class Cost:
    """Print the networks' parameters, multiply-adds and time (Figs. 13 and 14 of the paper).

    Needs PyTorch.
    """

    out: Path | None = None
    """Folder for the table, as Markdown and JSON, and the figures."""
    landmarks: int = 68
    """How many landmarks the networks find."""
    size: int = 224
    """Side of the input of the paper's networks, in pixels; the others keep their own."""
    repeats: int = 20
    """How often each network is timed."""

    def run(self) -> int:
        """Print the table, write what is asked for."""
        if self.out is not None:
            check_writable(self.out / "cost.md")
        with needs_torch("this", "train" if self.out is None else "train,plot"):
            from aadn.paper.cost import measure
        if self.out is not None:
            check_plot(self.out / "parameters_models.svg")
        costs = measure(self.landmarks, self.size, self.repeats)
        print(costs.markdown(), end="")  # before writing: what was measured is never lost
        if self.out is not None:
            costs.write(self.out)
        return 0
