"""Networks in int8, made from exported ones."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
from detecting import run  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from aadn.errors import InputError  # noqa: E402
from aadn.inference.landmarker import Landmarker  # noqa: E402
from aadn.inference.onnx import OnnxBackend  # noqa: E402
from aadn.training.calibration import as_crops, drawn_faces  # noqa: E402
from aadn.training.quantise import quantise  # noqa: E402

SIZE = 32


def network(path: Path, *, fragile: bool = False) -> Path:
    """Five convolutions and what all networks of ours give; weights by chance.

    Of a fragile one, the second convolution gets one channel that is 10,000 times the others, which
    nothing reads: 8 bits for all of them leave nothing of the others.
    """
    rng = np.random.default_rng(0)
    first = rng.normal(0, 0.05, (8, 3, 3, 3))
    if fragile:
        first[0] *= 1e4
    second = rng.normal(0, 0.2, (8, 8, 3, 3))
    second[:, 0] *= 0 if fragile else 1
    weights = {
        "w1": first,
        "w2": second,
        "w3": rng.normal(0, 0.2, (6, 8, 1, 1)),
        "w4": rng.normal(0, 0.4, (6, 6, 1, 1)),
        "places": rng.normal(0, 5, (6, 136)),
        "half": np.array([SIZE / 2]),
        "logits": rng.normal(0, 0.02, (6, 68)),
        "scale": np.array([1 / 255]),
    }
    nodes: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Cast", ["images"], "float", {"to": TensorProto.FLOAT}),
        ("Mul", ["float", "scale"], "unit", {}),
        ("Transpose", ["unit"], "x", {"perm": [0, 3, 1, 2]}),
        ("Conv", ["x", "w1"], "a", {"kernel_shape": [3, 3], "strides": [2, 2]}),
        ("Relu", ["a"], "b", {}),
        ("Conv", ["b", "w2"], "c", {"kernel_shape": [3, 3]}),
        ("Relu", ["c"], "d", {}),
        ("Conv", ["d", "w3"], "e", {"kernel_shape": [1, 1]}),
        ("Conv", ["e", "w4"], "e4", {"kernel_shape": [1, 1]}),
        ("Conv", ["e4", "w4"], "e5", {"kernel_shape": [1, 1]}),
        ("GlobalAveragePool", ["e5"], "f", {}),
        ("Flatten", ["f"], "g", {}),
        ("MatMul", ["g", "places"], "flat", {}),
        ("Add", ["flat", "half"], "moved", {}),
        ("Reshape", ["moved", "pairs"], "points", {}),
        ("MatMul", ["g", "logits"], "logit", {}),
        ("Sigmoid", ["logit"], "visibility", {}),
    ]
    made = [helper.make_node(op, i, [o], name=f"{op}_{o}", **more) for op, i, o, more in nodes]
    constants = [
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()
    ]
    constants.append(numpy_helper.from_array(np.array([-1, 68, 2]), "pairs"))
    shape: list[str | int | None] = ["batch", SIZE, SIZE, 3]
    graph = helper.make_graph(
        made,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, shape)],
        [
            helper.make_tensor_value_info("points", TensorProto.FLOAT, ["batch", 68, 2]),
            helper.make_tensor_value_info("visibility", TensorProto.FLOAT, ["batch", 68]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    card = {
        "format": 1, "model": "small", "scheme": "ibug68", "landmarks": 68, "size": SIZE,
        "crop_factor": 1.3, "visibility_threshold": 0.5,
    }  # fmt: skip
    helper.set_model_props(model, {"aadn": json.dumps(card)})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def noise(count: int = 24) -> NDArray[np.uint8]:
    rng = np.random.default_rng(1)
    low = rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    return low.repeat(SIZE // 8, axis=1).repeat(SIZE // 8, axis=2)


def test_convolutions_compute_in_int8_and_the_points_hardly_move(tmp_path: Path) -> None:
    whole, small = network(tmp_path / "a.onnx"), tmp_path / "a.int8.onnx"
    before = logging.root.manager.disable, warnings.filters[:]
    made = quantise(whole, noise(), small)
    assert (logging.root.manager.disable, warnings.filters[:]) == before
    assert (made.convolutions, made.kept) == (5, [])
    operators = [node.op_type for node in onnx.load(small).graph.node]
    assert operators.count("QuantizeLinear") >= 5
    one, other = OnnxBackend(whole), OnnxBackend(small)
    assert other.card == one.card
    fresh = noise(40)[24:]
    distance = np.linalg.norm(one(fresh).points - other(fresh).points, axis=2).mean()
    assert 0 < distance < 0.0014 * SIZE
    assert made.moved < 0.0014 * SIZE
    landmarker = Landmarker(whole, precision="int8")
    np.testing.assert_array_equal(landmarker.backend(fresh).points, other(fresh).points)


def test_a_convolution_that_loses_too_much_stays(tmp_path: Path) -> None:
    whole = network(tmp_path / "a.onnx", fragile=True)
    lines: list[str] = []
    made = quantise(whole, noise(), tmp_path / "b.onnx", tell=lines.append)
    # What the second takes in, and what the first gives: the same numbers.
    assert made.kept
    assert set(made.kept) <= {"Conv_a", "Conv_c"}
    assert len(lines) == 5 + len(made.kept) + 1
    kept = {node.name: node.input[0] for node in onnx.load(tmp_path / "b.onnx").graph.node}
    assert not any("Quantize" in kept[name] for name in made.kept)


def test_what_cannot_be_says_so(tmp_path: Path) -> None:
    whole = network(tmp_path / "a.onnx")
    with pytest.raises(InputError, match="to calibrate on, got none"):
        quantise(whole, noise(0), tmp_path / "b.onnx")
    with pytest.raises(InputError, match=r"more than 0\.00; allow more"):
        quantise(whole, noise(), tmp_path / "b.onnx", moved=0)
    assert not (tmp_path / "b.onnx").exists()


def test_the_command_wants_both_or_neither(tmp_path: Path, capsys: Any) -> None:
    words = ("export", tmp_path / "a.safetensors", "--out", tmp_path / "a.onnx")
    code, _, err = run(capsys, *words, "--occluders", tmp_path)
    assert (code, "--occluders are for the faces of --int8" in err) == (2, True)
    (tmp_path / "a.int8.onnx").mkdir()
    code, _, err = run(capsys, *words, "--int8", tmp_path)
    assert (code, "a.int8.onnx: it is a folder" in err) == (7, True)


def test_drawn_faces_are_crops_again(shared_data: Path) -> None:
    from aadn.schemes import IBUG68

    faces = drawn_faces([shared_data / "300w/afw"], [], IBUG68, 48, 6)
    crops = as_crops(faces)
    assert crops.shape == (6, 48, 48, 3)
    assert crops.std() > 20
    again = as_crops(drawn_faces([shared_data / "300w/afw"], [], IBUG68, 48, 6))
    np.testing.assert_array_equal(crops, again)
