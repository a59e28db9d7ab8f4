"""From a checkpoint to an ONNX file that the light install runs, checked against PyTorch."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aadn.errors import MissingDependencyError, WeightsError
from aadn.faces import Float32
from aadn.files import write_whole
from aadn.inference.backend import Backend
from aadn.inference.onnx import OnnxBackend
from aadn.inference.pytorch import TorchBackend

PARITY = 1e-4
"""How far ONNX Runtime's points may be from PyTorch's, in crop pixels."""


@dataclass(frozen=True)
class Parity:
    """Largest differences between ONNX Runtime and PyTorch on random and smooth crops.

    Of points and uncertainty in crop pixels; None for what the network does not give.
    """

    points: float
    visibility: float
    occlusion: float | None
    uncertainty: float | None
    turned: float | None


def export(weights: Path, out: Path) -> Parity:
    """Write a checkpoint as ONNX with a dynamic batch.

    What the file takes and gives stands in `aadn.inference.onnx`; it has those outputs that the
    network gives, and its metadata describe it, so that it works alone. It is written only if its
    points agree with PyTorch's to PARITY.

    Raises:
        WeightsError: the checkpoint cannot be read, or the two disagree.
        MissingDependencyError: onnx or onnxscript is not installed.
        OutputError: `out` cannot be written.
    """
    network = TorchBackend.load(weights)
    content = _graph(network)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(content)
        parity = compare(network, OnnxBackend(file))
    if not parity.points <= PARITY:
        raise WeightsError(
            f"ONNX and PyTorch disagree by {parity.points:.2g} px, more than {PARITY} px; "
            "nothing was written; try other versions of torch or onnxruntime"
        )
    write_whole(out, content)
    return parity


def _graph(network: TorchBackend) -> bytes:
    """The serialised ONNX model."""
    try:
        import onnx
        import onnxscript  # noqa: F401 (the exporter needs it)
    except ImportError as error:
        raise MissingDependencyError(
            f"export needs {error.name}: `pip install '.[train]'`"
        ) from None
    size = network.card.size
    with _quiet():
        program = torch.onnx.export(
            network.deployed,
            (torch.zeros(2, size, size, 3, dtype=torch.uint8),),
            input_names=["images"],
            output_names=network.deployed.outputs,
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {"aadn": network.card.to_json()})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of itself; all is as before in the end."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # its own deprecations
            yield
    finally:
        logger.setLevel(level)


def compare(network: Backend, other: Backend) -> Parity:
    """Largest absolute differences over noise, flat colour and gradients.

    Raises NetworkError if either gives what is not finite.
    """
    rng = np.random.default_rng(0)
    size = network.card.size
    ramp = np.linspace(0, 255, size)
    smooth = np.stack([np.add.outer(ramp * rng.random(), ramp * rng.random()) / 2] * 3, axis=-1)
    crops = np.stack(
        [*rng.integers(0, 256, (3, size, size, 3)), np.full((size, size, 3), 127), smooth]
    ).astype(np.uint8)
    ours, theirs = network(crops), other(crops)
    return Parity(
        _largest(ours.points, theirs.points),
        _largest(ours.visibility, theirs.visibility),
        _optional(ours.occlusion, theirs.occlusion),
        _optional(ours.uncertainty, theirs.uncertainty),
        _optional(ours.turned, theirs.turned),
    )


def _largest(ours: Float32, theirs: Float32) -> float:
    return float(np.abs(ours - theirs).max())


def _optional(ours: Float32 | None, theirs: Float32 | None) -> float | None:
    """None for what neither gives; infinity for what one of the two lacks."""
    if ours is None and theirs is None:
        return None
    return float("inf") if ours is None or theirs is None else _largest(ours, theirs)
