"""How a measurement is made: what errors are divided by, whose boxes, and what covers the faces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from aadn.errors import InputError
from aadn.occlude.evaluation import Occlude
from aadn.schemes import Normaliser

Boxes = Literal["truth", "detector"]


@dataclass(frozen=True)
class Setting:
    """How a measurement is made.

    Attributes:
        normaliser: what errors are divided by, see `aadn.evaluation.metrics.normalisers`; None for
            the usual one of the network's scheme.
        threshold: of `Scores.fr` and `Scores.auc`, percent of the normaliser.
        boxes: crop around the box of the true landmarks, or around what the detector finds: of its
            boxes the one that overlaps the true box most, and at least by MIN_OVERLAP; otherwise
            the face is missed.
        occlude: what is put on each face before it is detected; it depends on the seed and on the
            picture's name (with that of its folder), not on the order of the samples.
        occluders: folder of photographed occluders; None for drawn ones, which training never
            paints. Cut-outs that a network was trained with tell little of it.
        seed: of the occluders.
    """

    normaliser: Normaliser | None = None
    threshold: float = 8
    boxes: Boxes = "truth"
    occlude: Occlude = "none"
    occluders: str | Path | None = None
    seed: int = 0

    def check(self) -> None:
        """Raise InputError for a value out of range."""
        for what, value, kind in (
            ("normaliser", self.normaliser, Normaliser),
            ("boxes", self.boxes, Boxes),
            ("occluder", self.occlude, Occlude),
        ):
            if value is not None and value not in get_args(kind):
                raise InputError(f"expected {what} of {', '.join(get_args(kind))}; got {value!r}")
        if self.seed < 0:
            raise InputError(f"expected a seed of 0 or more, got {self.seed}")
        if not self.threshold > 0:
            raise InputError(f"expected a threshold greater than 0 %, got {self.threshold}")
