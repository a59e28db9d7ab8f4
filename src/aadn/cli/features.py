"""`aadn features`: what the distillation module makes of a face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from aadn.cli.common import UsageError, check_writable, needs_torch
from aadn.evaluation.plots import check_plot
from aadn.occlude.evaluation import Occlude


@dataclass(frozen=True)
class Features:
    """Draw each face, its probability map, and its features before and after distillation.

    This is Fig. 15 of the paper. Needs PyTorch.
    """

    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE…")]
    """Pictures, one face of each: that of the .pts file beside it, or else the best detected."""
    weights: Path
    """A .safetensors checkpoint with a distillation module."""
    out: Path
    """The .png or .svg file to draw."""
    occlude: Occlude = "none"
    """What to cover a part of each face with first."""
    seed: int = 0
    """Seed of the occluders."""

    def run(self) -> int:
        """Draw."""
        if not self.pictures:
            raise UsageError("no picture given; expected `aadn features PICTURE… --weights FILE`")
        check_writable(self.out)
        with needs_torch("this", "train,plot"):
            from aadn.paper.features import run
        check_plot(self.out)
        run(self.pictures, self.weights, self.out, occlude=self.occlude, seed=self.seed)
        print(f"drawn in {self.out}")
        return 0
