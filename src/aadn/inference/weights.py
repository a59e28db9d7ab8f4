"""Where networks come from: those embedded in the package by name, others by their file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aadn.errors import MissingDependencyError, WeightsError
from aadn.files import sha256
from aadn.inference.backend import Backend, quality
from aadn.inference.onnx import OnnxBackend
from aadn.inference.quality import Quality
from aadn.inference.runtimes import (
    USUAL_PRECISION,
    DeviceName,
    Engine,
    Precision,
    RuntimeName,
    chosen,
    circumstances,
    engines,
    fastest,
)
from aadn.inference.session import read

FOLDER = Path(__file__).parents[1] / "weights"

EMBEDDED = {name: FOLDER / f"{name}.onnx" for name in ("default", "lite")}
"""The networks that come with the package, each with its card, a JSON file, beside it."""

DEFAULT = "default"

SMALLEST = {"lite": 1 / 16}
"""The smallest face, as a share of the picture's longer side, that is looked for beside an embedded
network that is meant to be fast: finding faces of a 32nd, as beside others, takes three times as
long (our choice)."""


def load_exported(
    weights: str | Path | None = None,
    *,
    threads: int | None = None,
    runtime: RuntimeName = "auto",
    device: DeviceName = "auto",
    precision: Precision = "auto",
) -> OnnxBackend:
    """The network of an ONNX file.

    Args:
        weights: the name of an embedded network, whose sha256 is checked, or a file of
            `aadn export`; None for the default.
        threads: that compute it; None for one for each core.
        runtime, device: what computes it; "auto" for the fastest that is there, see
            `aadn.inference.runtimes`.
        precision: "fp32"; "int8" for the file NAME.int8.onnx beside NAME.onnx; "auto" for the
            faster one of an embedded network that has both, else for fp32.

    Raises:
        WeightsError: the file is missing, broken or not one of ours.
        InputError: fewer than one thread, an unknown name, or a device that is not there.
        MissingDependencyError: the runtime is not installed.
    """
    precision = chosen(precision, Precision, USUAL_PRECISION)
    possible = engines(runtime, device)
    name = _name(weights)
    files = _embedded(name) if name in EMBEDDED else _exported(_exported_file(name))
    if precision == "auto":
        files = files if name in EMBEDDED else {"fp32": files["fp32"]}
    elif precision in files:
        files = {precision: files[precision]}
    elif name in EMBEDDED:
        raise WeightsError(f"the embedded network {name!r} comes in fp32 only; take that precision")
    else:
        raise WeightsError(
            f"{name}: there is no {int8_file(Path(name)).name} beside it; `aadn export "
            "--int8 FOLDER` makes one, or take precision='fp32'"
        )
    candidates = {
        f"{kind} {engine}": partial(file.open, threads, engine)
        for kind, file in files.items()
        for engine in possible
    }
    if len(candidates) == 1:
        return next(iter(candidates.values()))()
    network = " ".join(file.digest() for file in files.values())
    key = circumstances(network, threads, list(candidates))
    return fastest(candidates, _one_crop, key)


def checkpoint_file(named: Path) -> Path:
    """The checkpoint of an embedded network by its name, to train on from; else the path itself."""
    return EMBEDDED[str(named)].with_suffix(".safetensors") if str(named) in EMBEDDED else named


def int8_file(path: Path) -> Path:
    """Where a network in int8 lies: beside that in float32."""
    return path.with_suffix(f".int8{path.suffix}")


@dataclass(frozen=True)
class _File:
    """A network's file, and what an embedded one's card says of it."""

    path: Path
    sha256: str | None = None
    quality: Quality | None = None

    def digest(self) -> str:
        """The sha256 that it should have."""
        return self.sha256 or hashlib.sha256(read(self.path)).hexdigest()

    def open(self, threads: int | None, engine: Engine) -> OnnxBackend:
        if self.sha256 is not None:
            _check(self.path, self.sha256)
        return OnnxBackend(self.path, threads=threads, engine=engine, quality=self.quality)


def _embedded(name: str) -> dict[str, _File]:
    """The files of an embedded network, by precision."""
    path = EMBEDDED[name]
    card = _card(path)
    told = quality(card.get("quality"))
    files = {"fp32": _File(path, card["sha256"], told)}
    if "int8" in card:
        files["int8"] = _File(int8_file(path), card["int8"]["sha256"], told)
    return files


def _exported(path: Path) -> dict[str, _File]:
    """A file of the user's, and that in int8 if it lies beside it."""
    files = {"fp32": _File(path)}
    if int8_file(path).exists():
        files["int8"] = _File(int8_file(path))
    return files


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
    """The network of an exported file, or of a `.safetensors` checkpoint, to be measured.

    An exported one runs in float32 on ONNX Runtime and the processor, so that figures do not depend
    on the machine.

    Raises WeightsError for a file that is missing, broken or of another kind, and
    MissingDependencyError if a checkpoint is given and PyTorch is not installed.
    """
    path = Path(_name(weights))
    if str(path) in EMBEDDED or path.suffix.lower() == ".onnx":
        return load_exported(weights, runtime="onnxruntime", device="cpu", precision="fp32")
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
    said = _card(EMBEDDED[name]).get("multiply_adds")
    return None if said is None else float(said)


def digest(weights: str | Path | None = None) -> str:
    """sha256 of a network's file, named as in `load_weights`."""
    name = _name(weights)
    return sha256(EMBEDDED.get(name, Path(name)))


def _name(weights: str | Path | None) -> str:
    return DEFAULT if weights is None else str(weights)


def _card(path: Path) -> dict[str, Any]:
    """An embedded file's card, which has its sha256."""
    card = path.with_suffix(".json")
    try:
        content: dict[str, Any] = json.loads(card.read_text("utf-8"))
        _ = content["sha256"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{card}: the embedded model's card cannot be read ({error}); reinstall aadn"
        ) from None
    return content


def _check(path: Path, expected: str) -> None:
    """Raise WeightsError unless an embedded file is the one that its card describes."""
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
