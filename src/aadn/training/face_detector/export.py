"""From the trained networks of a face detector to the ONNX files that the light install runs."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch

from aadn.files import write_whole
from aadn.inference import face_proposals, face_refinement
from aadn.models import face_detector, face_refiner


def export_detector(network: face_detector.FaceDetectorNetwork, out: Path) -> None:
    """Write the first network as ONNX, for any number of pictures of any size."""
    deployed = face_detector.Deployed(network)
    metadata = {face_proposals.KEY: json.dumps({"strides": face_detector.STRIDES})}
    axes = {0: "count", 1: "height", 2: "width"}
    _write(deployed, (1, 96, 160, 3), axes, metadata, out)


def export_refiner(network: face_refiner.FaceRefinerNetwork, out: Path) -> None:
    """Write the second network as ONNX, for any number of crops."""
    size, factor = face_refiner.SIZE, face_refiner.FACTOR
    metadata = {face_refinement.KEY: json.dumps({"size": size, "factor": factor})}
    _write(face_refiner.Deployed(network), (2, size, size, 3), {0: "count"}, metadata, out)


def _write(
    deployed: Any, shape: tuple[int, ...], axes: dict[int, str], metadata: dict[str, str], out: Path
) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        file = Path(folder) / "network.onnx"
        torch.onnx.export(
            deployed.eval(),
            (torch.zeros(shape, dtype=torch.uint8),),
            file,
            input_names=["images"],
            output_names=list(deployed.outputs),
            dynamic_axes={"images": axes},
            opset_version=17,
            dynamo=False,
        )
        model = onnx.load(file)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    write_whole(out, model.SerializeToString())
