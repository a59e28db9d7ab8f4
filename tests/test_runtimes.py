"""What computes a network: chosen, or found fastest by a trial that is remembered."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faces import drawn_face
from stub_backend import SIZE
from stub_network import write_stub

from aadn.errors import InputError, MissingDependencyError, WeightsError
from aadn.files import sha256
from aadn.inference import runtimes
from aadn.inference.backend import Backend
from aadn.inference.landmarker import Landmarker
from aadn.inference.onnx import OnnxBackend
from aadn.inference.runtimes import (
    CACHE,
    USUAL,
    USUAL_PRECISION,
    Engine,
    circumstances,
    engines,
    fastest,
)
from aadn.inference.weights import EMBEDDED, int8_file, load_exported, load_weights

INSTALLED = importlib.util.find_spec("openvino") is not None
needs_openvino = pytest.mark.skipif(not INSTALLED, reason="needs OpenVINO")
DEFAULT = EMBEDDED["default"]


@pytest.fixture(autouse=True)
def _no_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(runtimes, "_KNOWN", {})
    monkeypatch.delenv(USUAL)


def crops(count: int = 2) -> np.ndarray:
    image, _ = drawn_face(160)
    return np.stack([np.roll(image, 3 * i, axis=1) for i in range(count)])


# Which are possible


def test_the_processor_is_always_there() -> None:
    assert engines()[0] == Engine("onnxruntime", "cpu")
    assert engines("onnxruntime", "cpu") == [Engine("onnxruntime", "cpu")]
    assert engines("openvino") == [Engine("openvino", "cpu")]


def test_devices_are_those_of_this_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    class There:
        @staticmethod
        def get_available_providers() -> list[str]:
            return ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]

    monkeypatch.setattr(runtimes, "onnxruntime", There)
    assert engines("onnxruntime") == [Engine(device="cpu"), Engine(device="cuda")]
    assert engines("auto", "cuda") == [Engine(device="cuda")]
    with pytest.raises(InputError, match=r"got coreml, .*CoreMLExecutionProvider; it has Tensorrt"):
        engines("auto", "coreml")


@pytest.mark.parametrize(
    ("runtime", "device", "said"),
    [
        ("torch", "auto", r"expected one of auto, onnxruntime, openvino; got 'torch'"),
        ("auto", "gpu", r"expected one of auto, cpu, cuda, .*; got 'gpu'"),
        ("openvino", "cuda", "OpenVINO computes on the processor here, not on cuda"),
    ],
)
def test_what_cannot_be_says_so(runtime: str, device: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        engines(runtime, device)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=said):
        Landmarker(runtime=runtime, device=device)  # type: ignore[arg-type]


def test_the_environment_says_what_auto_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USUAL, "onnxruntime")
    assert engines("auto", "cpu") == [Engine()]
    monkeypatch.setenv(USUAL, "fastest")
    with pytest.raises(InputError, match=f"{USUAL}: expected one of .*; got 'fastest'"):
        engines()


def test_a_provider_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no DmlExecutionProvider here; it has "):
        OnnxBackend(DEFAULT, engine=Engine(device="directml"))


# Which is fastest


def waits(seconds: dict[str, float], made: list[str]) -> dict[str, Callable[[], str]]:
    def make(name: str) -> str:
        made.append(name)
        return name

    return {name: partial(make, name) for name in seconds}


def chosen(seconds: dict[str, float], key: str = '"a"') -> tuple[str, list[str]]:
    made: list[str] = []
    return fastest(waits(seconds, made), lambda name: time.sleep(seconds[name]), key), made


def test_the_fastest_is_taken_and_remembered(tmp_path: Path) -> None:
    assert chosen({"slow": 0.006, "fast": 0.001}) == ("fast", ["slow", "fast"])
    assert chosen({"slow": 0.006, "fast": 0.001}) == ("fast", ["fast"])
    runtimes._KNOWN.clear()  # another process
    assert chosen({"slow": 0.006, "fast": 0.001}) == ("fast", ["fast"])
    (file,) = (tmp_path / "cache").iterdir()
    said = json.loads(file.read_text("utf-8"))
    assert said["fastest"] == "fast"
    assert said["milliseconds"]["slow"] > said["milliseconds"]["fast"]
    assert chosen({"slow": 0.006, "fast": 0.001}, '"b"') == ("fast", ["slow", "fast"])


def test_what_is_hardly_faster_does_not_replace_the_usual_one() -> None:
    assert chosen({"usual": 0.0100, "other": 0.0097})[0] == "usual"


def test_without_a_folder_a_process_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, "/dev/null/nowhere")
    assert chosen({"slow": 0.006, "fast": 0.001})[1] == ["slow", "fast"]
    assert chosen({"slow": 0.006, "fast": 0.001}) == ("fast", ["fast"])


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"fastest": "gone"}'])
def test_a_broken_memory_is_none(tmp_path: Path, content: str) -> None:
    chosen({"slow": 0.006, "fast": 0.001})
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text(content, "utf-8")
    runtimes._KNOWN.clear()
    assert chosen({"slow": 0.006, "fast": 0.001}) == ("fast", ["slow", "fast"])


def test_one_that_fails_is_left_out() -> None:
    def fail() -> str:
        raise InputError("not here")

    assert fastest({"a": fail, "b": lambda: "b"}, len, '"a"') == "b"
    with pytest.raises(InputError, match="not here"):
        fastest({"a": fail, "b": fail}, len, '"b"')


def test_the_trial_depends_on_the_network_and_the_threads() -> None:
    found = {circumstances(network, t, ["a"]) for network in ("one", "other") for t in (None, 1)}
    assert len(found) == 4


# Which precision


@pytest.fixture
def twins(tmp_path: Path) -> Path:
    """A network, and beside it in "int8" one that gives other probabilities of being seen."""
    write_stub(tmp_path / "a.int8.onnx", seen=0.5)
    return write_stub(tmp_path / "a.onnx")


def seen(backend: Backend) -> float:
    return float(backend(np.zeros((1, SIZE, SIZE, 3), np.uint8)).visibility.max())


def test_int8_lies_beside_the_network(twins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = seen(load_exported(twins, precision="fp32"))
    assert seen(load_exported(twins, precision="int8")) == pytest.approx(whole / 2)
    assert seen(Landmarker(twins, precision="int8").backend) == pytest.approx(whole / 2)
    # Nobody has measured what it loses.
    monkeypatch.delenv(USUAL_PRECISION)
    monkeypatch.setenv(USUAL, "onnxruntime")
    assert seen(load_exported(twins)) == whole
    twins.with_name("a.int8.onnx").unlink()
    with pytest.raises(WeightsError, match=r"there is no a.int8.onnx beside it; `aadn export"):
        load_exported(twins, precision="int8")
    monkeypatch.setitem(EMBEDDED, "small", twins)
    twins.with_suffix(".json").write_text(json.dumps({"sha256": sha256(twins)}), "utf-8")
    with pytest.raises(WeightsError, match="'small' comes in fp32 only"):
        load_exported("small", precision="int8")
    with pytest.raises(InputError, match="expected one of auto, fp32, int8; got 'fp16'"):
        load_exported(twins, precision="fp16")  # type: ignore[arg-type]


def test_of_an_embedded_network_the_faster_precision_is_taken(
    twins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EMBEDDED, "default", twins)
    monkeypatch.setenv(USUAL, "onnxruntime")
    monkeypatch.delenv(USUAL_PRECISION)
    card = {"sha256": sha256(twins), "int8": {"sha256": sha256(int8_file(twins))}}
    twins.with_suffix(".json").write_text(json.dumps(card), "utf-8")
    asked: list[list[str]] = []

    def last(candidates: Any, run: Any, key: str) -> Any:
        asked.append(list(candidates))
        return candidates[asked[-1][-1]]()

    monkeypatch.setattr("aadn.inference.weights.fastest", last)
    half = load_exported()
    assert asked == [["fp32 onnxruntime cpu", "int8 onnxruntime cpu"]]
    assert seen(load_weights()) == pytest.approx(2 * seen(half))  # figures are those of fp32
    int8_file(twins).write_bytes(b"another")
    with pytest.raises(WeightsError, match="not the one its card describes"):
        load_exported(precision="int8")
    load_exported(precision="fp32")


# OpenVINO


def test_without_openvino_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'aadn\[openvino\]'"):
        load_exported(runtime="openvino")
    assert "openvino_telemetry" not in sys.modules


@needs_openvino
def test_both_runtimes_agree() -> None:
    ours, theirs = load_exported(runtime="onnxruntime"), load_exported(runtime="openvino")
    assert ours.card == theirs.card
    for count in (0, 1, 3):
        one, other = ours(crops(3)[:count]), theirs(crops(3)[:count])
        np.testing.assert_allclose(one.points, other.points, atol=2e-3)
        np.testing.assert_allclose(one.visibility, other.visibility, atol=1e-3)
        if count:
            assert one.occlusion is not None
            assert other.occlusion is not None
            np.testing.assert_allclose(one.occlusion, other.occlusion, atol=1e-3)
    assert "OpenVINO" in repr(theirs)
    assert "ONNX Runtime" in repr(ours)


@needs_openvino
def test_answers_stay_when_the_next_ones_come() -> None:
    backend = load_exported(runtime="openvino", threads=1)
    first = backend(crops(1))
    before = first.points.copy()
    backend(255 - crops(1))
    np.testing.assert_array_equal(first.points, before)


@needs_openvino
def test_openvino_works_from_threads_pickled_and_after_a_fork() -> None:
    backend = load_exported(runtime="openvino", threads=1)
    expected = backend(crops()).points
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: backend(crops()).points, range(8)):
            np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(backend))(crops()).points, expected)
    landmarker = pickle.loads(pickle.dumps(Landmarker(runtime="openvino", threads=1)))
    assert "OpenVINO" in repr(landmarker.backend)
    if "fork" in multiprocessing.get_all_start_methods():
        with multiprocessing.get_context("fork").Pool(1) as pool:
            np.testing.assert_array_equal(pool.apply(_points, (backend,)), expected)


def _points(backend: OnnxBackend) -> np.ndarray:
    return backend(crops()).points


@needs_openvino
def test_a_file_that_is_no_network_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.onnx"
    with pytest.raises(WeightsError, match="cannot be read"):
        load_exported(path, runtime="openvino")
    whole = EMBEDDED["default"].read_bytes()
    for content in (b"nothing", whole[:100_000]):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="not a complete ONNX file"):
            load_exported(path, runtime="openvino")
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match="not one of aadn's"):
        load_exported(path, runtime="openvino")
    assert capfd.readouterr() == ("", "")


@needs_openvino
def test_openvino_tells_nobody(tmp_path: Path) -> None:
    """Importing it would write an identity into the home folder and send it away."""
    code = "import sys; from aadn.inference.openvino import openvino; openvino(); " + (
        "print([n for n in sys.modules if n.startswith('openvino_telemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def test_auto_takes_openvino_only_where_the_environment_says_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert {engine.runtime for engine in engines()} == {"onnxruntime"}
    monkeypatch.setenv(USUAL, "openvino")
    assert engines() == [Engine("openvino")]


def test_the_module_is_asked_for_late() -> None:
    """`import aadn` must not load a runtime."""
    code = "import sys, aadn; print([n for n in ('openvino', 'onnxruntime') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
