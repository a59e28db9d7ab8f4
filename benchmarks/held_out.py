"""What occluders do to the held-out faces of 300-W, which are a part of the validation faces.

    python benchmarks/held_out.py --data ../shared/data [--weights runs/x/best.safetensors …]

Each of the evaluation's occluders; the photographed masks of DATA/occluders, which training wears
too; and half of another held-out face, its eyes and mouth where this one has them: the left, right,
upper or lower half of the landmarks' box, a tenth larger. NME is inter-ocular, in percent; the AUC
is visibility's. `--photographs` is what label_photographs.py made: of its held-out part, the AUC
where only what is sure without a model counts, and the recall of covered landmarks at a precision
of 80 %.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
from natural import HELD_OUT, faces

from aadn.data.folders import read_folders
from aadn.data.samples import Sample
from aadn.data.visibility_labels import with_visibility
from aadn.evaluation.measure import evaluate
from aadn.evaluation.scores import Scores
from aadn.evaluation.setting import Setting
from aadn.evaluation.tables import number, table
from aadn.inference.landmarker import Landmarker
from aadn.inference.weights import load_weights
from aadn.occlude.evaluation import Occlude


def half_covered(sample: Sample, other: Sample, half: int) -> Sample:
    """A face with the left, right, upper or lower half of another over it."""
    image, face, points = sample.picture(), other.picture(), sample.points
    source, target = (
        np.stack([p[36:42].mean(0), p[42:48].mean(0), p[48:68].mean(0)]).astype(np.float32)
        for p in (other.points, points)
    )
    matrix = cv2.getAffineTransform(source, target)
    height, width = image.shape[:2]
    laid = cv2.warpAffine(face, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    low, high = points.min(axis=0), points.max(axis=0)
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    middle = (low + high) / 2
    x, y = np.meshgrid(np.arange(width), np.arange(height))

    def covers(x: Any, y: Any) -> Any:
        inside = (low[0] <= x) & (x <= high[0]) & (low[1] <= y) & (y <= high[1])
        sides = x < middle[0], x > middle[0], y < middle[1], y > middle[1]
        return inside & sides[half]

    picture = np.where(covers(x, y)[..., None], laid, image).astype(np.uint8)
    visible = np.ones(len(points)) if sample.visible is None else sample.visible
    visible = np.where(covers(points[:, 0], points[:, 1]), 0.0, visible)
    return replace(sample, visible=visible, read=lambda: picture)


def photographs(folder: Path) -> dict[str, list[Sample]]:
    """The held-out photographs by their folder, with what is sure of them."""
    return {
        place.name: with_visibility(read_folders([place], 68), [folder / "labels.json"], 68)
        for place in sorted(folder.iterdir())
        if place.is_dir()
    }


def main() -> None:
    """Print a table, a row for each network and occluder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, nargs="+", help="else the default", default=[None])
    parser.add_argument("--photographs", type=Path, help="what label_photographs.py wrote")
    arguments = parser.parse_args()
    samples = faces(arguments.data, HELD_OUT)
    drawn = [(occlude, None) for occlude in get_args(Occlude)]
    others = [*samples[1:], samples[0]]
    halves = [
        half_covered(sample, other, i % 4)
        for i, (sample, other) in enumerate(zip(samples, others, strict=True))
    ]
    taken = photographs(arguments.photographs / "held_out") if arguments.photographs else {}
    rows = []
    for weights in arguments.weights:
        landmarker = Landmarker(load_weights(weights))
        for occlude, folder in [*drawn, ("mask", arguments.data / "occluders")]:
            setting = Setting(occlude=occlude, occluders=folder)
            scores = evaluate(landmarker, samples, setting).scores
            name = occlude if folder is None else f"{occlude}, photographed"
            rows.append([str(weights or "default"), name, *_cells(scores)])
        scores = evaluate(landmarker, halves).scores
        rows.append([str(weights or "default"), "half of another face", *_cells(scores)])
        for place, faces_there in taken.items():
            scores = evaluate(landmarker, faces_there).scores
            rows.append([str(weights or "default"), place, "–", *_cells(scores)[1:]])
    titles = ["network", "occluder", "NME", "AUC", "recall"]
    print(table(titles, rows, texts=["occluder"]), end="")


def _cells(scores: Scores) -> list[str]:
    recall = scores.hidden_recall_at_precision_80
    return [number(scores.nme, 2), number(scores.visibility_auc, 3), number(recall, 1)]


if __name__ == "__main__":
    main()
