"""An exported network on ONNX Runtime.

What a file holds (`aadn.training.export` writes it): input `images` (N, S, S, 3) uint8 RGB; outputs
`points` (N, L, 2) float32 crop pixels, `visibility` (N, L) and, from networks that have them,
`occlusion` (N, 7, 7) float32 in [0, 1] and `uncertainty` (N, L) float32 crop pixels; metadata
`aadn`, the JSON of `Card`. In files of aadn 0.1 an occlusion map or uncertainty that is not there
is all NaN. Everything between pixels and points is in the graph.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.errors import AadnError, InputError, NetworkError, WeightsError
from aadn.faces import Float32
from aadn.inference.backend import Card, check_crops, chunks
from aadn.inference.environment import variable
from aadn.inference.estimates import Estimates

OUTPUTS = ("points", "visibility", "occlusion", "uncertainty")
"""What a file may give, in this order; the first two must be there."""


class OnnxBackend:
    """An exported network, ready to run.

    Calls may come from several threads. It pickles by its file's path, and opens the file again in
    a process that was forked, since ONNX Runtime's threads stay behind in the first one. (Such a
    process should end by `os._exit`, as those of `multiprocessing` do: ONNX Runtime's own clean-up
    at a usual exit may wait for those threads.)
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        """Open an ONNX file of `aadn export`.

        Args:
            path: the file.
            threads: that compute it; None for one for each core.

        Raises:
            WeightsError: the file is missing, broken or not one of ours.
            InputError: fewer than one thread.
        """
        if threads is not None and threads < 1:
            raise InputError(f"expected 1 thread or more, got {threads}")
        self.path = Path(path).absolute()
        self.threads = threads
        self._opened = _Opened(self.path, threads)
        self.card = _card(self._opened.session, self.path)
        given = {output.name for output in self._opened.session.get_outputs()}
        self._outputs = [name for name in OUTPUTS if name in given]
        self._absent: set[str] | None = None

    def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
        """The answers to crops (N, S, S, 3) uint8 RGB, see `Backend`."""
        check_crops(crops, self.card)
        if len(crops) == 0:
            return Estimates.none(self.card.landmarks)
        return Estimates.joined([self._estimates(part) for part in chunks(crops)])

    def _estimates(self, crops: NDArray[np.uint8]) -> Estimates:
        outputs = self._run(crops)
        for name in self._outputs[2:]:
            if np.isnan(outputs[name]).all() and self._is_absent(name):
                del outputs[name]
        return Estimates(**outputs)

    def _is_absent(self, name: str) -> bool:
        """Whether an output is there in name only, as in files of aadn 0.1: NaN for any crop."""
        if self._absent is None:
            black = self._run(np.zeros((1, self.card.size, self.card.size, 3), np.uint8))
            self._absent = {output for output in black if np.isnan(black[output]).all()}
        return name in self._absent

    def _run(self, crops: NDArray[np.uint8]) -> dict[str, Float32]:
        try:
            outputs = self._of_this_process().run(self._outputs, {"images": crops})
        except Exception as error:  # see `_open`
            raise NetworkError(
                f"{self.path}: ONNX Runtime cannot run it ({_line(error)})"
            ) from None
        return dict(zip(self._outputs, outputs, strict=True))

    def _of_this_process(self) -> Any:
        # No lock, which a forked process could inherit held: should two threads open the file at
        # once, either's session will do.
        opened = self._opened
        if opened.process != os.getpid():
            opened = self._opened = _Opened(self.path, self.threads)
        return opened.session

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.path, self.threads)


def _reopened(path: Path, threads: int | None) -> OnnxBackend:
    return OnnxBackend(path, threads=threads)


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


def _card(session: Any, path: Path) -> Card:
    """The card of an open file; WeightsError if it is not one of ours."""
    metadata = session.get_modelmeta().custom_metadata_map
    if "aadn" not in metadata:
        raise WeightsError(
            f"{path}: an ONNX file, but not one of aadn's (no metadata 'aadn'); "
            "make one with `aadn export`"
        )
    try:
        card = Card.from_json(metadata["aadn"])
    except AadnError as error:
        raise WeightsError(f"{path}: {error}") from None
    inputs = {i.name: (i.type, i.shape[1:]) for i in session.get_inputs()}
    outputs = {o.name: o.shape[1:] for o in session.get_outputs()}
    expected = {"points": [card.landmarks, 2], "visibility": [card.landmarks]}
    if inputs != {"images": ("tensor(uint8)", [card.size, card.size, 3])} or not (
        expected.items() <= outputs.items()
    ):
        raise WeightsError(
            f"{path}: expected input 'images' (N, {card.size}, {card.size}, 3) uint8 and outputs "
            f"points (N, {card.landmarks}, 2) and visibility (N, {card.landmarks}), "
            f"got {inputs} and {outputs}"
        )
    return card
