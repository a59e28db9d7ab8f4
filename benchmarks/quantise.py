"""Make an embedded network's int8 file, measure what it costs, and write that into its card.

    python benchmarks/quantise.py --data ../shared/data [--name lite]

It is calibrated on training faces as training sees them, and measured on the held-out faces, as
they are and with each of the evaluation's occluders. It is kept where, of all these, the NME rises
by no more than 0.05 % of the inter-ocular distance and visibility's ROC-AUC falls by no more than
0.002; then `Landmarker` takes it wherever it is faster.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, get_args

from natural import HELD_OUT, faces
from retrain import stages

from aadn.evaluation.measure import evaluate
from aadn.evaluation.setting import Setting
from aadn.evaluation.tables import number, table
from aadn.files import remove, sha256, write_whole
from aadn.inference.backend import Backend
from aadn.inference.landmarker import Landmarker
from aadn.inference.onnx import OnnxBackend
from aadn.inference.weights import EMBEDDED, int8_file
from aadn.occlude.evaluation import Occlude
from aadn.training.calibration import as_crops, drawn_faces
from aadn.training.quantise import CALIBRATION, quantise

MOST_NME, MOST_AUC = 0.05, 0.002
"""What int8 may cost."""


def scores(backend: Backend, data: Path) -> dict[str, tuple[float, float | None]]:
    """NME and ROC-AUC on the held-out faces, by occluder."""
    samples, landmarker = faces(data, HELD_OUT), Landmarker(backend)
    found: dict[str, tuple[float, float | None]] = {}
    for occlude in get_args(Occlude):
        given = evaluate(landmarker, samples, Setting(occlude=occlude)).scores
        assert given.nme is not None  # boxes are the true ones, so no face is missed
        found[occlude] = (given.nme, given.visibility_auc)
    return found


def main() -> None:
    """Make it, measure it, keep it or not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", choices=list(EMBEDDED), default="default")
    arguments = parser.parse_args()
    data: Path = arguments.data
    exported = EMBEDDED[arguments.name]
    small, whole = int8_file(exported), OnnxBackend(exported)
    first = stages(data, Path(), 0)[0]
    occluders = (data / "occluders", data / "cutouts/hair", data / "cutouts/hands")
    scheme, size = whole.card.scheme, whole.card.size
    pictures = drawn_faces(first.folders, occluders, scheme, size, CALIBRATION)
    made = quantise(exported, as_crops(pictures), small, tell=lambda line: print(line, flush=True))
    before, after = scores(whole, data), scores(OnnxBackend(small), data)
    rows, good = [], True
    for occlude, (nme, auc) in before.items():
        nme8, auc8 = after[occlude]
        good &= nme8 - nme <= MOST_NME
        good &= auc is None or auc8 is None or auc - auc8 <= MOST_AUC
        rows.append([occlude, *(number(v, 3) for v in (nme, nme8, auc, auc8))])
    header = ["occluder", "NME, float32", "int8", "ROC-AUC, float32", "int8"]
    print(table(header, rows))
    if not good:
        remove(small)
        sys.exit(f"{small.name} costs more than it may, and is not kept")
    file = exported.with_suffix(".json")
    card: dict[str, Any] = json.loads(file.read_text("utf-8"))
    card["int8"] = {
        "file": small.name,
        "sha256": sha256(small),
        "convolutions": made.convolutions,
        "kept": len(made.kept),
        "moved_px": round(made.moved, 3),
        "held_out": {name: [*before[name], *after[name]] for name in before},
    }
    write_whole(file, json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
