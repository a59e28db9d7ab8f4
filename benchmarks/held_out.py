"""What occluders do to the held-out faces of 300-W, which are a part of the validation faces.

    python benchmarks/held_out.py --data ../shared/data [--weights runs/x/best.safetensors …]

Each of the evaluation's occluders, and the photographed masks of DATA/occluders, which training
wears too. NME is inter-ocular, in percent; the AUC is visibility's.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from natural import HELD_OUT, faces

from aadn.evaluation.measure import evaluate
from aadn.evaluation.setting import Setting
from aadn.evaluation.tables import number, table
from aadn.inference.landmarker import Landmarker
from aadn.inference.weights import load_weights
from aadn.occlude.evaluation import Occlude


def main() -> None:
    """Print a table, a row for each network and occluder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, nargs="+", help="else the default", default=[None])
    arguments = parser.parse_args()
    samples = faces(arguments.data, HELD_OUT)
    drawn = [(occlude, None) for occlude in get_args(Occlude)]
    rows = []
    for weights in arguments.weights:
        landmarker = Landmarker(load_weights(weights))
        for occlude, folder in [*drawn, ("mask", arguments.data / "occluders")]:
            setting = Setting(occlude=occlude, occluders=folder)
            scores = evaluate(landmarker, samples, setting).scores
            name = occlude if folder is None else f"{occlude}, photographed"
            measured = number(scores.nme, 2), number(scores.visibility_auc, 3)
            rows.append([str(weights or "default"), name, *measured])
    print(table(["network", "occluder", "NME", "AUC"], rows, texts=["occluder"]), end="")


if __name__ == "__main__":
    main()
