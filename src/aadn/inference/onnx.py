"""An exported network, an ONNX file, on whichever runtime computes it.

What a file holds (`aadn.training.export` writes it): input `images` (N, S, S, 3) uint8 RGB; outputs
`points` (N, L, 2) float32 crop pixels, `visibility` (N, L), the probability of being seen, and,
from networks that have them, `occlusion` (N, 7, 7) float32 in [0, 1], `uncertainty` (N, L) float32
crop pixels and `turned` (N, L), the probability of being turned away; metadata
`aadn`, the JSON of `Card`. In files of aadn 0.1 an occlusion map or uncertainty that is not there
is all NaN. Everything between pixels and points is in the graph.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.errors import AadnError, WeightsError
from aadn.faces import Float32
from aadn.inference.backend import Card, check_crops, chunks
from aadn.inference.estimates import Estimates
from aadn.inference.quality import Quality
from aadn.inference.runtimes import PROCESSOR, Engine
from aadn.inference.session import Session

OUTPUTS = ("points", "visibility", "occlusion", "uncertainty", "turned")
"""What a file may give, in this order; the first two must be there."""


class OnnxBackend:
    """An exported network, ready to run.

    Calls may come from several threads; it pickles, and works in forked processes, see
    `aadn.inference.session`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        threads: int | None = None,
        engine: Engine = PROCESSOR,
        quality: Quality | None = None,
    ) -> None:
        """Open an ONNX file of `aadn export`.

        Args:
            path: the file.
            threads: that compute it; None for one for each core.
            engine: which runtime computes it, on which device.
            quality: instead of that of the file's own card.

        Raises:
            WeightsError: the file is missing, broken or not one of ours.
            InputError: fewer than one thread, or a device that is not there.
            MissingDependencyError: the runtime is not installed.
        """
        self.engine = engine
        self.session = engine.open(Path(path).absolute(), threads)
        card = _card(self.session)
        self.card = card if quality is None else replace(card, quality=quality)
        self._outputs = [name for name in OUTPUTS if name in self.session.outputs]
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
        found = self.session(crops, self._outputs)
        return dict(zip(self._outputs, found, strict=True))

    def __repr__(self) -> str:
        threads = self.session.threads or "all"
        return f"OnnxBackend({self.session.path.name}; {self.session.engine}; threads: {threads})"

    def __reduce__(self) -> tuple[Any, ...]:
        session = self.session
        return _reopened, (session.path, session.threads, self.engine, self.card.quality)


def _reopened(
    path: Path, threads: int | None, engine: Engine, quality: Quality | None
) -> OnnxBackend:
    return OnnxBackend(path, threads=threads, engine=engine, quality=quality)


def _card(session: Session) -> Card:
    """The card of an open file; WeightsError if it is not one of ours."""
    path = session.path
    if "aadn" not in session.metadata:
        raise WeightsError(
            f"{path}: an ONNX file, but not one of aadn's (no metadata 'aadn'); "
            "make one with `aadn export`"
        )
    try:
        card = Card.from_json(session.metadata["aadn"])
    except AadnError as error:
        raise WeightsError(f"{path}: {error}") from None
    inputs = {name: (kind, shape[1:]) for name, (kind, shape) in session.inputs.items()}
    outputs = {name: shape[1:] for name, shape in session.outputs.items()}
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
