"""An open ONNX file on OpenVINO, Intel's runtime, which comes with the extra `[openvino]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.errors import MissingDependencyError, NetworkError
from aadn.inference.session import PerProcess, broken, check_threads, first_line, read


class OpenVinoSession:
    """An ONNX file on OpenVINO and the processor, see `Session`. It computes in float32."""

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        """Open a file.

        Args:
            path: the file.
            threads: that compute it; None for one for each core.

        Raises:
            WeightsError: the file is missing or broken.
            InputError: fewer than one thread.
            MissingDependencyError: OpenVINO is not installed.
        """
        check_threads(threads)
        self.path = Path(path).absolute()
        self.threads = threads
        self._compiled = PerProcess(partial(_Compiled, self.path, threads))
        compiled = self._compiled()
        self.engine = f"OpenVINO {openvino().__version__.split('-')[0]}, CPU"
        self.metadata = compiled.metadata
        self.inputs = {
            i.any_name: (f"tensor({i.element_type.to_dtype().name})", _shape(i))
            for i in compiled.network.inputs
        }
        self.outputs = {o.any_name: _shape(o) for o in compiled.network.outputs}

    def __call__(self, images: NDArray[np.uint8], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Some outputs for the input `images`; NetworkError if it cannot be run."""
        try:
            return self._compiled().run(images, outputs)
        except RuntimeError as error:
            raise NetworkError(
                f"{self.path}: OpenVINO cannot run it ({first_line(error)})"
            ) from None

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.path, self.threads)


def _reopened(path: Path, threads: int | None) -> OpenVinoSession:
    return OpenVinoSession(path, threads=threads)


class _Compiled:
    """A network that OpenVINO has compiled, and what is needed to run it."""

    def __init__(self, path: Path, threads: int | None) -> None:
        library = openvino()
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # or some processors take bfloat16
        }
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        read(path)  # for what there is to say of a file that is not there
        try:
            # Its reader of ONNX alone: `Core.read_model` gives a broken file to those of all other
            # formats too, each a library with much in it, and they print what they think of it.
            reader = library.frontend.FrontEndManager().load_by_framework("onnx")
            model = reader.convert(reader.load(str(path)))
            self.network = library.Core().compile_model(model, "CPU", options)
        except Exception as error:  # the reader's have no base class but this
            raise broken(path, error) from None
        said = dict(model.get_rt_info()).get("framework", {})
        self.metadata = {key: str(getattr(text, "value", text)) for key, text in said.items()}
        # A request serves one call at a time. Each call borrows one and makes one where none is
        # free, so that no call waits for a lock, which a forked process could inherit held.
        self._free: list[Any] = []

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Some outputs for the input."""
        try:
            request = self._free.pop()
        except IndexError:
            request = self.network.create_infer_request()
        try:
            request.infer({"images": np.ascontiguousarray(images)})
            # Copies: the request's own arrays hold the next call's answers soon.
            return [np.array(request.get_tensor(name).data) for name in outputs]
        finally:
            self._free.append(request)


def openvino() -> Any:
    """The library, loaded when it is first needed.

    Raises MissingDependencyError if it is not installed.
    """
    try:
        with _without("openvino_telemetry"):
            import openvino
    except ImportError:
        raise MissingDependencyError(
            "OpenVINO is not installed; install it with `pip install 'aadn[openvino]'`, or leave "
            "out runtime='openvino'"
        ) from None
    return openvino


@contextmanager
def _without(name: str) -> Iterator[None]:
    """While a module that is not loaded yet counts as not installed.

    OpenVINO's `openvino_telemetry` writes into the home folder and tells its makers that it was
    imported; without it nothing is missing.
    """
    ours = name not in sys.modules
    if ours:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if ours:
            del sys.modules[name]


def _shape(port: Any) -> list[int | None]:
    """The sides of an input or an output; None for a free one."""
    return [None if side.is_dynamic else side.get_length() for side in port.partial_shape]
