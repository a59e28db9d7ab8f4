"""The network of `stub_backend` as an exported file, in place of a trained one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stub_backend import SIZE, base_points

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

CARD: dict[str, Any] = {
    "format": 1,
    "model": "stub",
    "scheme": "ibug68",
    "landmarks": 68,
    "size": SIZE,
    "crop_factor": 1.3,
    "visibility_threshold": 0.5,
}


def write_stub(
    path: Path,
    *,
    points: int = 68,
    seen: float = 1.0,
    uncertain: bool = True,
    nan: Mapping[str, str] | None = None,
    **changes: Any,
) -> Path:
    """Write the network; `changes` go over its metadata (None leaves the metadata out).

    It does what `StubBackend` does for `points` landmarks, visibility times `seen`. `uncertain`
    False leaves that output out.

    `nan` makes outputs NaN: "all", the "first" of each crop's values, or all of those of a "bright"
    crop, of a mean above 127.5.
    """
    landmarks, ramp = points, np.arange(SIZE, dtype=np.float32)
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
        "others": base_points(landmarks)[None, 1:],
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
    shapes = {"points": (landmarks, 2), "occlusion": (7, 7)}
    for output, where in (nan or {}).items():
        plain, factor = f"{output}_plain", f"{output}_factor"
        shape = (1, *shapes.get(output, (landmarks,)))
        steps = [(op, ins, plain if out == output else out, kw) for op, ins, out, kw in steps]
        steps.append(("Mul", [plain, factor], output, {}))
        if where == "bright":
            constants |= {
                "half": np.float32(0.5),
                f"{factor}_shape": np.array([-1, 1, 1][: len(shape)]),
            }
            steps[-1:-1] = [
                ("Sub", ["half", "brightness"], f"{output}_dimness", {}),
                ("Sqrt", [f"{output}_dimness"], f"{output}_root", {}),
                ("Reshape", [f"{output}_root", f"{factor}_shape"], factor, {}),
            ]
        else:
            values = np.full(shape, np.nan if where == "all" else 1, np.float32)
            values.flat[0] = np.nan
            constants[factor] = values
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
    card = {**CARD, "landmarks": landmarks, **changes}
    helper.set_model_props(model, {"aadn": json.dumps(card)} if card["format"] else {"other": ""})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
