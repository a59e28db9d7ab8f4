"""An open ONNX file, on ONNX Runtime or another runtime, in whatever process it is asked in."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError, NetworkError, WeightsError
from aadn.inference.environment import variable

CPU = "CPUExecutionProvider"

Opened = TypeVar("Opened")


class Session(Protocol):
    """An open file, whatever computes it. Calls may come from several threads; it pickles.

    Attributes:
        path: the file.
        threads: that compute it; None for one for each core.
        engine: what computes it, in words: the runtime, its version and the device.
        metadata: what the file says of itself.
        inputs: for each input its type, as "tensor(uint8)", and its shape.
        outputs: for each output its shape. Free sides of a shape are names or None.
    """

    path: Path
    threads: int | None
    engine: str
    metadata: dict[str, str]
    inputs: dict[str, tuple[str, list[Any]]]
    outputs: dict[str, list[Any]]

    def __call__(self, images: NDArray[np.uint8], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Some outputs for the input `images`; NetworkError if it cannot be run."""


class PerProcess(Generic[Opened]):
    """What a function opens, opened again in a process that was forked.

    The threads of a runtime stay behind in the first process. (A forked process should end by
    `os._exit`, as those of `multiprocessing` do: a runtime's own clean-up at a usual exit may wait
    for those threads.)
    """

    def __init__(self, opened: Callable[[], Opened]) -> None:
        self._open = opened
        self._held = _Held(opened())

    def __call__(self) -> Opened:
        """What is open in this process."""
        # No lock, which a forked process could inherit held: should two threads open it at once,
        # either's will do.
        held = self._held
        if held.process != os.getpid():
            held = self._held = _Held(self._open())
        return held.opened


class _Held(Generic[Opened]):
    """Something open, and the process that its threads are in."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.process = os.getpid()

    def __del__(self) -> None:
        if self.process != os.getpid():
            _LEFT_BEHIND.append(self.opened)


_LEFT_BEHIND: list[Any] = []
"""What a forked process no longer needs: to end it would wait for its threads, which are not
there."""


class OnnxSession:
    """An ONNX file on ONNX Runtime, see `Session`."""

    def __init__(
        self, path: str | Path, *, threads: int | None = None, providers: Sequence[str] = (CPU,)
    ) -> None:
        """Open a file.

        Args:
            path: the file.
            threads: that compute it; None for one for each core.
            providers: ONNX Runtime's names of what may compute it, the first choice first.

        Raises:
            WeightsError: the file is missing or broken.
            InputError: fewer than one thread, or a provider that this ONNX Runtime does not have.
        """
        check_threads(threads)
        self.path = Path(path).absolute()
        self.threads = threads
        self.providers = tuple(providers)
        self._session = PerProcess(partial(_open, self.path, threads, self.providers))
        session = self._session()
        self.engine = f"ONNX Runtime {onnxruntime().__version__}, {session.get_providers()[0]}"
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        self.inputs = {i.name: (i.type, i.shape) for i in session.get_inputs()}
        self.outputs = {o.name: o.shape for o in session.get_outputs()}

    def __call__(self, images: NDArray[np.uint8], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Some outputs for the input `images`; NetworkError if it cannot be run."""
        try:
            found: list[NDArray[Any]] = self._session().run(outputs, {"images": images})
        except Exception as error:  # ONNX Runtime's exceptions have no public base class
            raise NetworkError(
                f"{self.path}: ONNX Runtime cannot run it ({first_line(error)})"
            ) from None
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.path, self.threads, self.providers)


def _reopened(path: Path, threads: int | None, providers: Sequence[str]) -> OnnxSession:
    return OnnxSession(path, threads=threads, providers=providers)


def onnxruntime() -> Any:
    """The library, loaded when it is first needed, for that takes a tenth of a second."""
    # ONNX Runtime 1.32 keeps usage data in the home folder and sends them to its makers, unless it
    # is told not to before it is loaded.
    with variable("ORT_DISABLE_TELEMETRY", "1"):
        import onnxruntime

    return onnxruntime


def _open(path: Path, threads: int | None, providers: Sequence[str]) -> Any:
    runtime = onnxruntime()
    if missing := [name for name in providers if name not in runtime.get_available_providers()]:
        raise InputError(
            f"ONNX Runtime has no {', '.join(missing)} here; it has "
            f"{', '.join(runtime.get_available_providers())}: choose of these, or install another "
            "build of it, onnxruntime-gpu for example"
        )
    data = read(path)
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.enable_mem_pattern = False  # it keeps a plan for each size of pictures, for ever
    # Its threads would wait busily for more work, and take the cores from the next network.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return runtime.InferenceSession(data, options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's exceptions have no public base class
        raise broken(path, error) from None


def check_threads(threads: int | None) -> None:
    """Raise InputError for fewer than one thread."""
    if threads is not None and threads < 1:
        raise InputError(f"expected 1 thread or more, got {threads}")


def read(path: Path) -> bytes:
    """What is in a network's file; WeightsError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror or error}); check the path"
        ) from None


def broken(path: Path, error: Exception) -> WeightsError:
    """The error for a file that a runtime cannot open."""
    return WeightsError(
        f"{path}: not a complete ONNX file ({first_line(error)}); export or copy it again"
    )


def first_line(error: Exception) -> str:
    """The first line of what an exception says."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
