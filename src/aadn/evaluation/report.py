"""The result of an evaluation: as a record, as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.data.samples import Sample
from aadn.evaluation.scores import Measured, Scores
from aadn.evaluation.setting import Setting
from aadn.evaluation.tables import number, table
from aadn.files import write_whole
from aadn.inference.backend import Card
from aadn.schemes import SCHEMES, Normaliser

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Report:
    """The result of an evaluation.

    Attributes:
        setting: how it was made, its normaliser named.
        card: the network's.
        scores: the figures of all faces.
        parts: those of each folder, or of each part of a benchmark.
        samples: (N) the labelled faces.
        measured: what was measured on each.
        predicted: (N, L, 2) landmarks in pixels of the pictures, NaN for a missed face.
        sha256: of the network's file, where it has one.
        visibility_labels: name and sha256 of each file of labels of what is hidden.
        benchmark: name, split and whether it is incomplete; None for folders.
    """

    setting: Setting
    card: Card
    scores: Scores
    parts: dict[str, Scores]
    samples: Sequence[Sample]
    measured: Measured
    predicted: FloatArray
    sha256: str | None = None
    visibility_labels: tuple[dict[str, str], ...] = ()
    benchmark: dict[str, Any] | None = None

    @property
    def normaliser(self) -> Normaliser:
        """What errors were divided by."""
        assert self.setting.normaliser is not None
        return self.setting.normaliser

    @property
    def nme(self) -> FloatArray:
        """NME in percent of the faces that were found and have labels, (M,)."""
        values = self.measured.nme
        return values[np.isfinite(values)]

    def to_dict(self) -> dict[str, Any]:
        """What the JSON file holds: the scores, what was run, and the scores of the parts."""
        scores = self.scores.to_dict()
        setting, folder = self.setting, self.setting.occluders
        drawn = None if setting.occlude == "none" else Path(folder).name if folder else "drawn"
        return {
            "images": scores.pop("images"),
            "missed": scores.pop("missed"),
            "normaliser": setting.normaliser,
            **scores,
            "threshold": setting.threshold,
            "boxes": setting.boxes,
            "occlude": setting.occlude,
            "occluders": drawn,
            "seed": setting.seed,
            "model": {"name": self.card.model, "sha256": self.sha256},
            "visibility_threshold": self.card.visibility_threshold,
            "visibility_labels": list(self.visibility_labels),
            "benchmark": self.benchmark,
            "parts": [{"part": part, **s.to_dict()} for part, s in self.parts.items()],
        }

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def write_json(self, path: str | Path) -> None:
        """Write `to_json` as a file, whole or not at all; OutputError if that fails."""
        write_whole(Path(path), self.to_json())

    def markdown(self) -> str:
        """A table with a row for each folder, if there are several, and one for all."""
        setting = self.setting
        scheme = self.card.scheme
        length = _LENGTH[self.normaliser]
        if self.normaliser == "inter-ocular" and scheme == SCHEMES.get(scheme.name):
            length += " (outer eye corners)"
        note = f"NME in % of the {self.normaliser} {length}, boxes from "
        note += {"truth": "the ground truth", "detector": "the detector"}[setting.boxes]
        if setting.occlude != "none":
            note += f", occluded by {_ARTICLE[setting.occlude]} (seed {setting.seed})"
        note += f". Model: {self.card.model}."
        columns = _columns(setting.threshold)
        names = list(self.parts)
        rows = [_row(name, self.parts[name], columns) for name in names if len(names) > 1]
        rows += [_row(names[0] if len(names) == 1 else "all", self.scores, columns)]
        return f"{note}\n\n{table(['pictures', *columns], rows)}"


_LENGTH = {
    "inter-ocular": "distance",
    "inter-pupil": "distance",
    "box": "size √(w·h)",
    "diagonal": "of the box",
    "width": "of the face's box",
}
_ARTICLE = {
    "rectangle": "a rectangle",
    "mask": "a face mask",
    "sunglasses": "sunglasses",
    "hand": "a hand",
}


def _columns(threshold: float) -> dict[str, Callable[[Scores], str]]:
    """The table's columns, and how each is read off; FR and AUC by the protocol."""
    columns: dict[str, Callable[[Scores], str]] = {
        "images": lambda s: number(s.images),
        "missed": lambda s: number(s.missed),
        "NME": lambda s: number(s.nme),
        "NME visible": lambda s: number(s.nme_visible),
        "NME hidden": lambda s: number(s.nme_hidden),
        f"FR@{threshold:g} %": lambda s: number(s.fr),
    }
    if threshold != 10:
        columns["FR@10 %"] = lambda s: number(s.fr_10)
    return columns | {
        f"AUC@{threshold:g} %": lambda s: number(s.auc),
        "visibility ROC-AUC": lambda s: number(s.visibility_auc, 3),
    }


def _row(name: str, scores: Scores, columns: dict[str, Callable[[Scores], str]]) -> list[str]:
    return [name, *(read(scores) for read in columns.values())]
