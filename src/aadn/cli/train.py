"""`aadn train`: a network trained on labelled pictures."""

from __future__ import annotations

import os
from dataclasses import dataclass

from aadn.cli.common import (
    Folders,
    UsageError,
    check_data,
    check_writable,
    complain,
    needs_torch,
    tell,
)
from aadn.training.config import TrainConfig


@dataclass(frozen=True)
class Train(TrainConfig):
    """Train a network on labelled pictures. Needs PyTorch.

    Under torchrun (`torchrun --nproc_per_node 2 -m aadn train …`) it uses several processes.
    """

    folders: Folders
    report: bool = True
    """Write what the best network does on the validation faces, the worst of them as pictures."""

    def run(self) -> int:
        """Train; a run that is stopped goes on with --resume."""
        if not (self.folders or self.benchmark):
            raise UsageError("no folder given; expected `aadn train FOLDER… --out FOLDER`")
        check_data(self.benchmark, self.data)
        check_writable(self.out / "metrics.jsonl")
        with needs_torch("training"):
            from aadn.training.loop import train
            from aadn.training.report import write_validation
        try:
            best = train(self, tell=tell)
        except KeyboardInterrupt:
            if (self.out / "last.safetensors").exists():
                complain("interrupted; the same command with --resume goes on")
                return 130
            raise
        if os.environ.get("RANK", "0") == "0":
            print(f"the best checkpoint is {best}")
            if self.report:
                print(f"its worst validation faces are {write_validation(self)}")
        return 0
