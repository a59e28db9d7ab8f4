"""How well visibility tells what naturally hides landmarks: hair, hats, hands, borders.

    python benchmarks/natural.py --data ../shared/data [--weights runs/x/best.safetensors]

On 95 held-out faces of 300-W (those that the default is validated on), whose landmarks two
annotators labelled apart from each other by looking, knowing no prediction, as hidden, seen or
unsure (natural.json). What both call hidden is hidden, what both call seen is seen; the rest, most
of it at edges, does not count. The annotators were language models that look at pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from aadn.datasets.pts import read_pts
from aadn.datasets.visibility import read_visibility
from aadn.evaluate import Measured, evaluate, load_weights
from aadn.geometry import box_of_points
from aadn.metrics import recall_at_precision, roc_auc
from aadn.samples import Sample
from aadn.tables import number, table

LABELS = Path(__file__).with_name("natural.json")
PARTS = {
    "all": range(68),
    "jaw's ends": (0, 1, 2, 14, 15, 16),
    "rest of the jaw": range(3, 14),
    "brows": range(17, 27),
    "nose": range(27, 36),
    "eyes": range(36, 48),
    "mouth": range(48, 68),
}


def measure(data: Path, names: list[str], weights: Path | None) -> tuple[Measured, float]:
    """Predictions on the faces, cut out by their true boxes, and the threshold of visibility."""
    network, _ = load_weights(weights)
    samples = []
    for name in names:
        points = read_pts((data / name).with_suffix(".pts"))
        samples.append(Sample(data / name, points, box_of_points(points)))
    return evaluate(network, samples).measured, network.card.visibility_threshold


def main() -> None:
    """Print a table by part of the face, and what the threshold does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="a checkpoint or ONNX file, else the default")
    arguments = parser.parse_args()
    faces = read_visibility([LABELS], 68)
    truth = np.stack(list(faces.values()))
    measured, threshold = measure(arguments.data, list(faces), arguments.weights)

    cells = []
    for part, chosen in PARTS.items():
        known = np.isfinite(truth[:, chosen])
        seen = truth[:, chosen][known] > 0.5
        given = measured.visibility[:, chosen][known]
        scores = (
            roc_auc(given, seen),
            roc_auc(measured.mapped[:, chosen][known], seen),
            recall_at_precision(1 - given, ~seen),
            float(np.mean(given[seen] < threshold)),
        )
        numbers = [number(score, 3) for score in scores]
        cells.append([part, str(int((~seen).sum())), str(int(seen.sum())), *numbers])
    titles = ["landmarks", "hidden", "seen", "ROC-AUC", "of P", "recall at precision .8",
              "seen ones called hidden"]  # fmt: skip
    print(table(titles, cells), end="")


if __name__ == "__main__":
    main()
