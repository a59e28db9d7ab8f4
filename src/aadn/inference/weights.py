"""Where networks come from: those embedded in the package by name, others by their file."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aadn.errors import MissingDependencyError, WeightsError
from aadn.files import sha256
from aadn.inference.backend import Backend, quality
from aadn.inference.onnx import OnnxBackend
from aadn.inference.runtimes import (
    DeviceName,
    Engine,
    RuntimeName,
    circumstances,
    engines,
    fastest,
)

FOLDER = Path(__file__).parents[1] / "weights"

EMBEDDED = {"default": FOLDER / "default.onnx"}
"""The networks that come with the package, each with its card, a JSON file, beside it."""

DEFAULT = "default"


def load_exported(
    weights: str | Path | None = None,
    *,
    threads: int | None = None,
    runtime: RuntimeName = "auto",
    device: DeviceName = "auto",
) -> OnnxBackend:
    """The network of an ONNX file.

    Args:
        weights: the name of an embedded network, whose sha256 is checked, or a file of
            `aadn export`; None for the default.
        threads: that compute it; None for one for each core.
        runtime, device: what computes it; "auto" for the fastest that is there, see
            `aadn.inference.runtimes`.

    Raises:
        WeightsError: the file is missing, broken or not one of ours.
        InputError: fewer than one thread, an unknown name, or a device that is not there.
        MissingDependencyError: the runtime is not installed.
    """
    possible = engines(runtime, device)
    name = _name(weights)
    if name in EMBEDDED:
        path, told = EMBEDDED[name], quality(_checked_card(EMBEDDED[name]).get("quality"))
    else:
        path, told = _exported_file(name), None

    def opened(engine: Engine) -> OnnxBackend:
        return OnnxBackend(path, threads=threads, engine=engine, quality=told)

    if len(possible) == 1:
        return opened(possible[0])
    candidates = {str(engine): partial(opened, engine) for engine in possible}
    return fastest(candidates, _one_crop, circumstances(path, threads, list(candidates)))


def _one_crop(backend: OnnxBackend) -> None:
    """Run a network once."""
    size = backend.card.size
    backend(np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8))


def _exported_file(name: str) -> Path:
    """The file that is named; WeightsError if it cannot be an exported one."""
    if Path(name).suffix.lower() == ".safetensors":
        raise WeightsError(
            f"{name}: is a checkpoint, expected an ONNX file; export it first: "
            f"`aadn export {name} --out {Path(name).with_suffix('.onnx').name}`"
        )
    if not Path(name).suffix and not Path(name).exists():
        raise WeightsError(
            f"{name}: no such file, and no embedded network of that name; expected one of "
            f"{', '.join(EMBEDDED)}, or an ONNX file"
        )
    return Path(name)


def weights_name(weights: str | Path | None) -> str | Path:
    """What a network is loaded by from anywhere: an embedded one's name, or a file's whole path."""
    name = _name(weights)
    return name if name in EMBEDDED else Path(name).absolute()


def load_weights(weights: str | Path | None = None) -> Backend:
    """The network of an exported file, as `load_exported`, or of a `.safetensors` checkpoint.

    Raises WeightsError for a file that is missing, broken or of another kind, and
    MissingDependencyError if a checkpoint is given and PyTorch is not installed.
    """
    path = Path(_name(weights))
    if str(path) in EMBEDDED:
        return load_exported(weights)
    if path.suffix.lower() == ".onnx":
        return load_exported(path)
    if path.suffix.lower() != ".safetensors":
        raise WeightsError(
            f"{path}: expected an .onnx file of 'aadn export' or a .safetensors checkpoint of "
            f"'aadn train', or the name of an embedded network: {', '.join(EMBEDDED)}"
        )
    try:
        from aadn.inference.pytorch import TorchBackend
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: a checkpoint needs {error.name or 'PyTorch'}; install it with "
            "`pip install '.[train]'`, or give an .onnx file"
        ) from None
    return TorchBackend.load(path)


def multiply_adds(weights: str | Path | None = None) -> float | None:
    """How many an embedded network takes for a face; None for another file, which does not say."""
    name = _name(weights)
    if name not in EMBEDDED:
        return None
    said = _checked_card(EMBEDDED[name]).get("multiply_adds")
    return None if said is None else float(said)


def digest(weights: str | Path | None = None) -> str:
    """sha256 of a network's file, named as in `load_weights`."""
    name = _name(weights)
    return sha256(EMBEDDED.get(name, Path(name)))


def _name(weights: str | Path | None) -> str:
    return DEFAULT if weights is None else str(weights)


def _checked_card(path: Path) -> dict[str, Any]:
    """An embedded file's card; WeightsError unless the file is the one that it describes."""
    card = path.with_suffix(".json")
    try:
        content: dict[str, Any] = json.loads(card.read_text("utf-8"))
        expected = content["sha256"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{card}: the embedded model's card cannot be read ({error}); reinstall aadn"
        ) from None
    try:
        got = sha256(path)
    except OSError as error:
        raise WeightsError(
            f"{path}: the embedded model cannot be read ({error.strerror or error}); reinstall "
            "aadn, or give a model of your own (weights=, --weights)"
        ) from None
    if got != expected:
        raise WeightsError(
            f"{path}: the embedded model is not the one its card describes (sha256 {got}, "
            f"expected {expected}); reinstall aadn"
        )
    return content
