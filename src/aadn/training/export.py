"""From a checkpoint to an ONNX file that the light install runs, checked against PyTorch."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aadn.errors import MissingDependencyError, WeightsError
from aadn.files import write_whole
from aadn.inference.onnx import OUTPUTS, Network
from aadn.models.checkpoint import Deployed, TorchNetwork, load_network

PARITY = 1e-4
"""How far ONNX Runtime's points may be from PyTorch's, in crop pixels."""


@dataclass(frozen=True)
class Parity:
    """Largest differences between ONNX Runtime and PyTorch on random and smooth crops."""

    points: float
    visibility: float
    occlusion: float
    uncertainty: float


def export(weights: Path, out: Path) -> Parity:
    """Write a checkpoint as ONNX with a dynamic batch.

    The file takes crops (N, S, S, 3) uint8 RGB and gives points (N, L, 2) in crop pixels,
    visibility (N, L), occlusion (N, 7, 7) and uncertainty (N, L) in crop pixels (`Deployed`), NaN
    for what the network does not give; its metadata describe it, so that it works alone. It is
    written only if its points agree with PyTorch's to PARITY.

    Raises:
        WeightsError: the checkpoint cannot be read, or the two disagree.
        MissingDependencyError: onnx or onnxscript is not installed.
        OutputError: `out` cannot be written.
    """
    network = load_network(weights)
    content = _graph(network)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(content)
        parity = compare(network, Network.load(file))
    if not parity.points <= PARITY:
        raise WeightsError(
            f"ONNX and PyTorch disagree by {parity.points:.2g} px, more than {PARITY} px; "
            "nothing was written; try other versions of torch or onnxruntime"
        )
    write_whole(out, content)
    return parity


def _graph(network: TorchNetwork) -> bytes:
    """The serialised ONNX model."""
    try:
        import onnx
        import onnxscript  # noqa: F401 (the exporter needs it)
    except ImportError as error:
        raise MissingDependencyError(
            f"export needs {error.name}: pip install 'aadn[train]'"
        ) from None
    deployed: Deployed = network.network
    example = torch.zeros(2, network.card.size, network.card.size, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            deployed,
            (example,),
            input_names=["images"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {"aadn": network.card.to_json()})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def compare(network: TorchNetwork, other: Network) -> Parity:
    """Largest absolute differences over noise, flat colour and gradients; NaN if any is."""
    rng = np.random.default_rng(0)
    size = network.card.size
    ramp = np.linspace(0, 255, size)
    smooth = np.stack([np.add.outer(ramp * rng.random(), ramp * rng.random()) / 2] * 3, axis=-1)
    crops = np.stack(
        [*rng.integers(0, 256, (3, size, size, 3)), np.full((size, size, 3), 127), smooth]
    ).astype(np.uint8)
    differences = []
    for ours, theirs in zip(network(crops), other(crops), strict=True):
        # A network without an occlusion map, or without uncertainty, has none in both.
        none = np.isnan(ours).all() and np.isnan(theirs).all()
        differences.append(0.0 if none else float(np.abs(ours - theirs).max()))
    return Parity(*differences)
