"""An ONNX file on ONNX Runtime, open in whatever process it is asked in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError, NetworkError, WeightsError
from aadn.inference.environment import variable


class OnnxSession:
    """An open ONNX file.

    Calls may come from several threads. It pickles by its file's path, and opens the file again in
    a process that was forked, since ONNX Runtime's threads stay behind in the first one. (Such a
    process should end by `os._exit`, as those of `multiprocessing` do: ONNX Runtime's own clean-up
    at a usual exit may wait for those threads.)
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        """Open a file.

        Args:
            path: the file.
            threads: that compute it; None for one for each core.

        Raises:
            WeightsError: the file is missing or broken.
            InputError: fewer than one thread.
        """
        if threads is not None and threads < 1:
            raise InputError(f"expected 1 thread or more, got {threads}")
        self.path = Path(path).absolute()
        self.threads = threads
        self._opened = _Opened(self.path, threads)
        session = self._opened.session
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        self.inputs = {i.name: (i.type, i.shape) for i in session.get_inputs()}
        self.outputs = {o.name: o.shape for o in session.get_outputs()}

    def __call__(self, images: NDArray[np.uint8], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Some outputs for the input `images`; NetworkError if it cannot be run."""
        try:
            found: list[NDArray[Any]] = self._of_this_process().run(outputs, {"images": images})
        except Exception as error:  # ONNX Runtime's exceptions have no public base class
            raise NetworkError(
                f"{self.path}: ONNX Runtime cannot run it ({_line(error)})"
            ) from None
        return found

    def _of_this_process(self) -> Any:
        # No lock, which a forked process could inherit held: should two threads open the file at
        # once, either's session will do.
        opened = self._opened
        if opened.process != os.getpid():
            opened = self._opened = _Opened(self.path, self.threads)
        return opened.session

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.path, self.threads)


def _reopened(path: Path, threads: int | None) -> OnnxSession:
    return OnnxSession(path, threads=threads)


class _Opened:
    """A session of ONNX Runtime, and the process that its threads are in."""

    def __init__(self, path: Path, threads: int | None) -> None:
        self.session = _open(path, threads)
        self.process = os.getpid()

    def __del__(self) -> None:
        if hasattr(self, "process") and self.process != os.getpid():
            _LEFT_BEHIND.append(self.session)


_LEFT_BEHIND: list[Any] = []
"""Sessions that a forked process no longer needs: to end one would wait for its threads, which are
not there."""


def _open(path: Path, threads: int | None) -> Any:
    # ONNX Runtime 1.32 keeps usage data in the home folder and sends them to its makers, unless it
    # is told not to before it is loaded. (Loading it takes a tenth of a second: not at import.)
    with variable("ORT_DISABLE_TELEMETRY", "1"):
        import onnxruntime

    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror or error}); check the path"
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.enable_mem_pattern = False  # it keeps a plan for each size of pictures, for ever
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no public base class
        raise WeightsError(
            f"{path}: not a complete ONNX file ({_line(error)}); export or copy it again"
        ) from None


def _line(error: Exception) -> str:
    """The first line of what an exception says."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
