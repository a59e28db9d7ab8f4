"""What occluders do to the held-out faces of 300-W, by which one default is chosen over another.

    python benchmarks/held_out.py --data ../shared/data [--weights runs/x/best.safetensors …]

The 95 faces that the default is validated on, with the evaluation's occluders, and with the
photographed masks of DATA/occluders, which training wears too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from natural import HELD_OUT, faces

from aadn.evaluate import evaluate, load_weights
from aadn.tables import number, table


def row(data: Path, weights: Path | None) -> list[str]:
    """One network's NME (%) as the faces are and with each occluder, and the ROC-AUC of two."""
    network, _ = load_weights(weights)
    samples, cells, scores = faces(data, HELD_OUT), [], []
    for occlude in ("none", "rectangle", "mask", "sunglasses", "hand"):
        results = evaluate(network, samples, occlude=occlude).results
        cells.append(number(results["nme"], 2))
        if occlude in ("rectangle", "mask"):
            scores.append(number(results["visibility_auc"], 3))
    worn = evaluate(network, samples, occlude="mask", occluders=data / "occluders").results
    return ["default" if weights is None else str(weights), *cells, number(worn["nme"], 2), *scores]


def main() -> None:
    """Print a table, a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, nargs="*", help="checkpoints or ONNX files")
    arguments = parser.parse_args()
    rows = [row(arguments.data, weights) for weights in arguments.weights or [None]]
    titles = ["network", "none", "rectangle", "mask", "sunglasses", "hand", "mask, photographed",
              "AUC, rectangle", "AUC, mask"]  # fmt: skip
    print(table(titles, rows), end="")


if __name__ == "__main__":
    main()
