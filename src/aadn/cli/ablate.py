"""`aadn ablate`: the paper's networks and their ablations, compared."""

from __future__ import annotations

from dataclasses import dataclass

from aadn.cli.common import Folders, UsageError, check_data, check_writable, needs_torch, tell
from aadn.paper.config import AblateConfig


@dataclass(frozen=True)
class Ablate(AblateConfig):
    """Train the paper's networks and their ablations alike, and compare them. Needs PyTorch.

    If it is stopped, the same command goes on where it was. Processes with different --seeds can
    run side by side with the same --out.
    """

    folders: Folders

    def run(self) -> int:
        """Train what is not trained yet, and write the report."""
        if not (self.folders or self.benchmark):
            raise UsageError("no folder given; expected `aadn ablate FOLDER… --out FOLDER`")
        check_data(self.benchmark, self.data)
        check_writable(self.out / "ablation.md")
        with needs_torch("training"):
            from aadn.paper.ablate import ablate
        ablate(self, tell=tell)
        print((self.out / "ablation.md").read_text("utf-8"), end="")
        return 0
