"""An exported network small enough to check by hand, in place of a trained one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 56
CARD: dict[str, Any] = {
    "format": 1,
    "model": "stub",
    "scheme": "ibug68",
    "landmarks": 68,
    "size": SIZE,
    "crop_factor": 1.3,
    "visibility_threshold": 0.5,
}


def base_points(landmarks: int = 68) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(L, 2) crop pixels, the same for every crop: a spiral inside the landmark box."""
    turn = np.linspace(0, 12, landmarks)
    radius = np.linspace(0.1, 0.36, landmarks) * SIZE
    points = np.stack([np.cos(turn) * radius, np.sin(turn) * radius], axis=1) + (SIZE - 1) / 2
    return points.astype(np.float32)


def write_stub(path: Path, *, seen: float = 1.0, uncertain: bool = True, **changes: Any) -> Path:
    """Write the network; `changes` go over its metadata (None leaves the metadata out).

    Landmark 0 is the centre of mass of the crop's red (R above G), the others are `base_points`.
    Visibility is 1 for the even landmarks, the crop's mean brightness for the odd ones, times
    `seen`. The occlusion map is the mean brightness of each of the 7×7 parts. The uncertainty of
    landmark i is i times the crop's mean brightness; `uncertain` False leaves that output out.
    """
    landmarks = 68
    ramp = np.arange(SIZE, dtype=np.float32)
    odd = (np.arange(landmarks) % 2).astype(np.float32)[None]
    constants = {
        "ramp_x": ramp[None, None, :],
        "ramp_y": ramp[None, :, None],
        "tiny": np.float32(1e-6),
        "full": np.float32(255),
        "zero": np.array(0),
        "one": np.array(1),
        "over": np.array([1, 2]),
        "over_parts": np.array([2, 4]),
        "over_all": np.array([1, 2, 3]),
        "parts": np.array([-1, 7, SIZE // 7, 7, 3 * SIZE // 7]),
        "pair": np.array([-1, 1, 2]),
        "others": base_points()[None, 1:],
        "odd": odd,
        "even": 1 - odd,
        "seen": np.float32(seen),
        "count": np.arange(landmarks, dtype=np.float32)[None],
        "column": np.array([-1, 1]),
        "axis": np.array([1]),
    }
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Cast", ["images"], "pixels", {"to": TensorProto.FLOAT}),
        ("Gather", ["pixels", "zero"], "red", {"axis": 3}),
        ("Gather", ["pixels", "one"], "green", {"axis": 3}),
        ("Sub", ["red", "green"], "difference", {}),
        ("Relu", ["difference"], "redness", {}),
        ("Add", ["redness", "tiny"], "weight", {}),
        ("Mul", ["weight", "ramp_x"], "weight_x", {}),
        ("Mul", ["weight", "ramp_y"], "weight_y", {}),
        ("ReduceSum", ["weight", "over"], "total", {"keepdims": 0}),
        ("ReduceSum", ["weight_x", "over"], "total_x", {"keepdims": 0}),
        ("ReduceSum", ["weight_y", "over"], "total_y", {"keepdims": 0}),
        ("Div", ["total_x", "total"], "x", {}),
        ("Div", ["total_y", "total"], "y", {}),
        ("Unsqueeze", ["x", "axis"], "x1", {}),
        ("Unsqueeze", ["y", "axis"], "y1", {}),
        ("Concat", ["x1", "y1"], "xy", {"axis": 1}),
        ("Reshape", ["xy", "pair"], "first", {}),
        ("Mul", ["first", "tiny"], "nothing", {}),
        ("Sub", ["nothing", "nothing"], "none", {}),
        ("Add", ["none", "others"], "rest", {}),
        ("Concat", ["first", "rest"], "points", {"axis": 1}),
        ("ReduceMean", ["pixels", "over_all"], "sum", {"keepdims": 0}),
        ("Div", ["sum", "full"], "brightness", {}),
        ("Reshape", ["brightness", "column"], "bright", {}),
        ("Mul", ["bright", "odd"], "bright_odd", {}),
        ("Add", ["bright_odd", "even"], "all_seen", {}),
        ("Mul", ["all_seen", "seen"], "visibility", {}),
        ("Mul", ["bright", "count"], "uncertainty", {}),
        ("Reshape", ["pixels", "parts"], "grid", {}),
        ("ReduceMean", ["grid", "over_parts"], "grid_mean", {"keepdims": 0}),
        ("Div", ["grid_mean", "full"], "occlusion", {}),
    ]
    graph = helper.make_graph(
        [helper.make_node(op, ins, [out], **attributes) for op, ins, out, attributes in steps],
        "stub",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("points", TensorProto.FLOAT, ["N", landmarks, 2]),
            helper.make_tensor_value_info("visibility", TensorProto.FLOAT, ["N", landmarks]),
            helper.make_tensor_value_info("occlusion", TensorProto.FLOAT, ["N", 7, 7]),
            helper.make_tensor_value_info("uncertainty", TensorProto.FLOAT, ["N", landmarks]),
        ][: 4 if uncertain else 3],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    card = {**CARD, **changes}
    helper.set_model_props(model, {"aadn": json.dumps(card)} if card["format"] else {"other": ""})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
