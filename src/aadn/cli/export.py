"""`aadn export`: a checkpoint as an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from aadn.cli.common import UsageError, check_writable, needs_torch


@dataclass(frozen=True)
class Export:
    """Turn a checkpoint into an ONNX file. Needs PyTorch; the ONNX file does not."""

    checkpoint: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")]
    """A .safetensors file that `aadn train` wrote."""
    out: Path
    """The .onnx file to write."""

    def run(self) -> int:
        """Export, and compare with PyTorch."""
        if self.out.suffix.lower() != ".onnx":
            raise UsageError(f"expected a file's name that ends in .onnx, got {self.out}")
        check_writable(self.out)
        with needs_torch("export"):
            from aadn.training.export import export
        parity = export(self.checkpoint, self.out)
        print(
            f"{self.out}: {self.out.stat().st_size / 1e6:.1f} MB; largest difference from PyTorch "
            f"{parity.points:.1e} px, visibility {parity.visibility:.1e}"
        )
        return 0
