"""How far labels lie to the right of what they mean, in pixels of their pictures.

    python benchmarks/label_offset.py DATA/300w/afw DATA/ytf68/train \\
        --weights runs/first/best.safetensors [--faces 200]

A network that has learned the labels' offset predicts it on mirrored faces as well, where the
mirrored labels have it to the other side: their difference is twice the offset. That is a network
whose last epochs saw no mirrored faces (`--mirror` below 1) and that was trained without
`--label-offset`, which takes the result: one trained with it gives back what it was told.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from aadn.data.folders import read_folders
from aadn.geometry import box_of_points
from aadn.inference.landmarker import Landmarker
from aadn.inference.weights import load_weights


def offsets(folder: Path, faces: int, weights: Path) -> np.ndarray:
    """Half of the horizontal distance of prediction and label on mirrored faces, (N,) pixels."""
    landmarker = Landmarker(load_weights(weights))
    scheme = landmarker.card.scheme
    samples = read_folders([folder], scheme.size)
    chosen = np.random.default_rng(0).permutation(len(samples))[:faces]
    found = []
    for i in chosen:
        image, points = samples[i].picture(), samples[i].points.copy()
        points[:, 0] = image.shape[1] - 1 - points[:, 0]
        points = points[scheme.flip]
        mirrored = np.ascontiguousarray(image[:, ::-1])
        given = landmarker.align(mirrored, box_of_points(points)[None], 0).points[0]
        found.append((given - points)[:, 0].mean() / 2)
    return np.array(found)


def main() -> None:
    """Print the median and the spread of the middle half for each folder."""
    parser = argparse.ArgumentParser(description="horizontal offset of labels")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--faces", type=int, default=200)
    parser.add_argument("--weights", type=Path, required=True)
    arguments = parser.parse_args()
    for folder in arguments.folders:
        found = offsets(folder, arguments.faces, arguments.weights)
        low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
        print(f"{folder}: {middle:.2f} px ({low:.2f}–{high:.2f}), {len(found)} faces")


if __name__ == "__main__":
    main()
