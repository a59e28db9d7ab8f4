"""`aadn export`: a checkpoint as an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from aadn.cli.common import UsageError, check_writable, needs_torch, tell
from aadn.inference.weights import int8_file, load_exported


@dataclass(frozen=True)
class Export:
    """Turn a checkpoint into an ONNX file, and one in int8 if you like.

    Needs PyTorch; the ONNX files do not.
    """

    checkpoint: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")]
    """A .safetensors file that `aadn train` wrote."""
    out: Path
    """The .onnx file to write."""
    int8: tuple[Path, ...] = ()
    """Folders with labelled training faces: write NAME.int8.onnx beside NAME.onnx too, whose
    convolutions compute with 8-bit integers in the ranges that these faces show."""
    occluders: tuple[Path, ...] = ()
    """Folders with photographed things that cover some of those faces, besides what is painted."""

    def run(self) -> int:
        """Export, and compare with PyTorch."""
        if self.out.suffix.lower() != ".onnx":
            raise UsageError(f"expected a file's name that ends in .onnx, got {self.out}")
        if self.occluders and not self.int8:
            raise UsageError("--occluders are for the faces of --int8; give both")
        small = int8_file(self.out)
        check_writable(self.out)
        if self.int8:
            check_writable(small)
        with needs_torch("export"):
            from aadn.training.calibration import as_crops, drawn_faces
            from aadn.training.export import export
            from aadn.training.quantise import CALIBRATION, quantise
        parity = export(self.checkpoint, self.out)
        print(
            f"{self.out}: {self.out.stat().st_size / 1e6:.1f} MB; largest difference from PyTorch "
            f"{parity.points:.1e} px, visibility {parity.visibility:.1e}"
        )
        if not self.int8:
            return 0
        card = load_exported(self.out, runtime="onnxruntime", precision="fp32").card
        pictures = drawn_faces(
            self.int8,
            self.occluders,
            card.scheme,
            card.size,
            CALIBRATION,
            factor=card.crop_factor,
        )
        made = quantise(self.out, as_crops(pictures), small, tell=tell)
        print(
            f"{small}: {small.stat().st_size / 1e6:.1f} MB; {len(made.kept)} of "
            f"{made.convolutions} convolutions stay in float32; the points move by "
            f"{made.moved:.2f} px on average, visibility by {made.visibility:.4f}"
        )
        return 0
