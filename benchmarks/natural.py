"""How well visibility tells what naturally hides landmarks: hair, hats, hands, borders.

    python benchmarks/natural.py --data ../shared/data [--weights runs/x/best.safetensors]

On faces whose 68 landmarks two annotators labelled apart from each other by looking, knowing no
prediction, as hidden, seen or unsure: the 95 held-out faces of 300-W that the default is validated
on (natural.json) and the 224 of LFPW's test part (natural_test.json). What both call hidden is
hidden, what both call seen is seen; the rest, most of it at edges, does not count. The annotators
were language models that look at pictures. natural_training.json, by one annotator a face, is what
the default was trained on (`--visibility-labels`); its threshold of visibility is chosen on
validation faces, of which the held-out ones here are a part.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from aadn.data.pts import read_pts
from aadn.data.samples import Sample
from aadn.data.visibility_labels import read_visibility
from aadn.evaluation.measure import evaluate
from aadn.evaluation.metrics import recall_at_precision, roc_auc
from aadn.evaluation.scores import Measured
from aadn.evaluation.tables import number, table
from aadn.geometry import box_of_points
from aadn.inference.landmarker import Landmarker
from aadn.inference.weights import load_weights

HELD_OUT, TEST = (Path(__file__).with_name(f"natural{part}.json") for part in ("", "_test"))
PARTS: dict[str, Iterable[int]] = {
    "all": range(68),
    "jaw's ends": (0, 1, 2, 14, 15, 16),
    "rest of the jaw": range(3, 14),
    "brows": range(17, 27),
    "nose": range(27, 36),
    "eyes": range(36, 48),
    "mouth": range(48, 68),
}


def faces(data: Path, labels: Path) -> list[Sample]:
    """Labelled faces with what naturally hides their landmarks, their boxes the true ones."""
    samples = []
    for name, hidden in read_visibility(labels, 68).faces.items():
        points = read_pts((data / name).with_suffix(".pts"))
        samples.append(Sample(data / name, points, box_of_points(points), 1 - hidden))
    return samples


def measure(data: Path, labels: Path, weights: Path | None) -> tuple[Measured, float]:
    """What a network gives on labelled faces, cut out by their true boxes, and its threshold."""
    report = evaluate(Landmarker(load_weights(weights)), faces(data, labels))
    return report.measured, report.card.visibility_threshold


def by_part(measured: Measured, threshold: float) -> str:
    """A table by part of the face: counts, scores, and what the threshold does."""
    assert measured.visible is not None
    cells = []
    for part, points in PARTS.items():
        chosen = list(points)
        known = np.isfinite(measured.visible[:, chosen])
        seen = measured.visible[:, chosen][known] > 0.5
        given = measured.visibility[:, chosen][known]
        scores = (
            roc_auc(given, seen),
            roc_auc(measured.visible_map[:, chosen][known], seen),
            recall_at_precision(1 - given, ~seen),
            float(np.mean(given[seen] < threshold)),
            float(np.mean(given[~seen] < threshold)) if (~seen).any() else None,
        )
        numbers = [number(score, 3) for score in scores]
        cells.append([part, str(int((~seen).sum())), str(int(seen.sum())), *numbers])
    titles = ["landmarks", "hidden", "seen", "ROC-AUC", "of P", "recall at precision .8",
              "seen ones called hidden", "hidden ones called hidden"]  # fmt: skip
    return table(titles, cells)


def main() -> None:
    """Print a table for each set of faces."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="a checkpoint or ONNX file, else the default")
    arguments = parser.parse_args()
    for title, labels in (("held-out faces of 300-W", HELD_OUT), ("LFPW's test faces", TEST)):
        measured, threshold = measure(arguments.data, labels, arguments.weights)
        print(f"{len(measured.errors)} {title}\n\n{by_part(measured, threshold)}")


if __name__ == "__main__":
    main()
