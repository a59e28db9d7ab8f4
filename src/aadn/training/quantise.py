"""An exported network whose convolutions compute with 8-bit integers, made by ONNX Runtime's tools.

Ours, not the paper's. Ranges of what goes into and comes out of each convolution are those on
training crops. The weights have 7 bits, for processors without VNNI add products of two 8-bit
numbers in 16 bits, which overflow. Convolutions that would move the points most stay in float32.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError, MissingDependencyError
from aadn.files import write_whole
from aadn.inference.estimates import Estimates
from aadn.inference.onnx import OnnxBackend
from aadn.inference.session import onnxruntime

CALIBRATION = 256
"""Crops that say the ranges (our choice)."""

BATCH = 16

TRIED = 64
"""Crops by which each convolution's loss is told (our choice)."""

MOVED = 0.0014
"""How far the points may lie from those in float32, in crop sides, on average (our choice: six
of the default's 52 convolutions then stay, and on held-out faces, clean and occluded, its NME is
higher by 0.02 at most and its AUC lower by 0.001 at most)."""


@dataclass(frozen=True)
class Quantised:
    """What became of a network.

    Attributes:
        convolutions: how many there are.
        kept: names of those that stay in float32, the one that lost most first.
        moved: mean distance of the points from those in float32, in crop pixels.
        visibility: mean difference of the probabilities of being seen.
    """

    convolutions: int
    kept: list[str]
    moved: float
    visibility: float


def quantise(
    exported: Path,
    crops: NDArray[np.uint8],
    out: Path,
    *,
    moved: float = MOVED,
    tell: Callable[[str], None] = lambda line: None,
) -> Quantised:
    """Write an exported network in int8.

    Args:
        exported: an ONNX file of `aadn export`, in float32.
        crops: (N, S, S, 3) uint8 RGB of training faces, covered ones too; the first CALIBRATION
            are used.
        out: the file to write.
        moved: how far the points may lie from those in float32, in crop sides, on average.
        tell: is given a line now and then.

    Raises:
        InputError: there are no crops, or so many convolutions must stay that nothing is won.
        MissingDependencyError: onnx is not installed.
        WeightsError: the file is missing, broken or not one of ours.
        OutputError: `out` cannot be written.
    """
    if not len(crops):
        raise InputError("expected crops of training faces to calibrate on, got none")
    network = OnnxBackend(exported)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        maker = _Maker(exported, crops[:CALIBRATION], Path(folder))
        tried = crops[:TRIED]
        expected = network(tried)
        losses = {}
        for number, name in enumerate(maker.names, 1):
            alone = maker.make([name], TRIED)
            losses[name] = _differences(expected, OnnxBackend(alone)(tried))[0]
            tell(f"convolution {number}/{len(maker.names)} {name}: {losses[name]:.4f} px")
        worst = sorted(losses, key=lambda name: -losses[name])
        for count in _counts(len(worst)):
            made = maker.make(worst[count:])
            distance, visibility = _differences(expected, OnnxBackend(made)(tried))
            tell(f"{count} of {len(worst)} kept: {distance:.3f} px, visibility {visibility:.4f}")
            if distance <= moved * network.card.size:
                write_whole(out, made.read_bytes())
                return Quantised(len(worst), worst[:count], distance, visibility)
    raise InputError(
        f"{exported}: with half of its convolutions in int8 the points already move by "
        f"{distance:.2f} px, more than {moved * network.card.size:.2f}; allow more"
    )


def _counts(convolutions: int) -> Iterator[int]:
    """How many to keep: one more, then ever more at a time, up to half of them."""
    count = 0
    while count <= convolutions // 2:
        yield count
        count += max(1, count // 4)


def _differences(expected: Estimates, got: Estimates) -> tuple[float, float]:
    """Mean distance of the points, crop pixels, and mean difference of visibility."""
    distance = np.linalg.norm(got.points - expected.points, axis=2).mean()
    return float(distance), float(np.abs(got.visibility - expected.visibility).mean())


class _Maker:
    """Makes networks with some of their convolutions in int8.

    Attributes:
        names: of the convolutions.
    """

    def __init__(self, exported: Path, crops: NDArray[np.uint8], folder: Path) -> None:
        self.tools = _tools()
        self.crops, self.folder = crops, folder
        self.prepared = folder / "prepared.onnx"
        self.tools.shape_inference.quant_pre_process(
            str(exported), str(self.prepared), skip_symbolic_shape=True
        )
        import onnx

        graph = onnx.load(self.prepared).graph
        self.names = [node.name for node in graph.node if node.op_type == "Conv"]

    def make(self, names: Sequence[str], crops: int = CALIBRATION) -> Path:
        """A file with the named convolutions in int8, calibrated on so many crops."""
        out = self.folder / "int8.onnx"
        self.tools.quantize_static(
            str(self.prepared),
            str(out),
            self._reader(self.crops[:crops]),
            quant_format=self.tools.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=list(names),
            per_channel=True,
            reduce_range=True,
            activation_type=self.tools.QuantType.QUInt8,
            weight_type=self.tools.QuantType.QInt8,
        )
        return out

    def _reader(self, crops: NDArray[np.uint8]) -> Any:
        batches = (crops[start : start + BATCH] for start in range(0, len(crops), BATCH))

        class Reader(self.tools.CalibrationDataReader):  # type: ignore[name-defined, misc]
            def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
                batch = next(batches, None)
                return None if batch is None else {"images": batch}

        return Reader()


def _tools() -> Any:
    """ONNX Runtime's tools; MissingDependencyError without onnx, which they need."""
    onnxruntime()
    try:
        from onnxruntime import quantization
        from onnxruntime.quantization import shape_inference  # noqa: F401 (a part of it)
    except ImportError as error:
        raise MissingDependencyError(f"int8 needs {error.name}: `pip install '.[train]'`") from None
    return quantization


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the tools say of themselves; all is as before in the end."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
