"""From a trained face detector to the ONNX file that the light install runs."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path

import onnx
import torch

from aadn.files import write_whole
from aadn.inference.face_detector import KEY
from aadn.models.face_detector import STRIDES, Deployed, FaceDetectorNetwork


def export_detector(network: FaceDetectorNetwork, out: Path) -> None:
    """Write the network as ONNX, for any number of pictures of any size."""
    deployed = Deployed(network).eval()
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        torch.onnx.export(
            deployed,
            (torch.zeros(1, 96, 160, 3, dtype=torch.uint8),),
            content,
            input_names=["images"],
            output_names=list(deployed.outputs),
            dynamic_axes={"images": {0: "count", 1: "height", 2: "width"}},
            opset_version=17,
            dynamo=False,
        )
    model = onnx.load_from_string(content.getvalue())
    onnx.helper.set_model_props(model, {KEY: json.dumps({"strides": STRIDES})})
    onnx.checker.check_model(model)
    write_whole(out, model.SerializeToString())
