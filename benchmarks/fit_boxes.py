"""Fits YuNet's box transform: medians over training faces.

    python benchmarks/fit_boxes.py yunet.onnx --data ../shared/data [--limit 3000]

It prints the four numbers that `detectors.YuNet` holds, and over the same faces the share found and
how far mapped boxes are from landmark boxes (centre and size, median and 90th percentile, in
landmark box sizes), which is how far training should jitter its boxes.
Only training folders are read: never lfpw/testset or ytf68/test.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.data.pts import read_pts
from aadn.evaluation.measure import matching
from aadn.geometry import box_of_points
from aadn.images import load_image
from aadn.inference.detectors import IDENTITY, BoxTransform, YuNet

FOLDERS = ("300w/afw", "300w/helen/trainset", "300w/lfpw/trainset", "ytf68/train")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """Fit the transform from YuNet's boxes to landmark boxes."""

    yunet: tyro.conf.Positional[Path]
    """The .onnx file."""
    data: Path
    """The folder with 300w and ytf68."""
    limit: int = 0
    """Faces to use, evenly spread; 0 for all."""


def fit(found: FloatArray, truth: FloatArray) -> BoxTransform:
    """Medians of shift and size of landmark boxes in units of the detector's boxes."""
    size, true_size = (b[:, 2:] - b[:, :2] for b in (found, truth))
    shift = ((truth[:, :2] + truth[:, 2:]) - (found[:, :2] + found[:, 2:])) / 2 / size
    return BoxTransform(*np.median(np.hstack([shift, true_size / size]), axis=0).tolist())


def report(mapped: FloatArray, truth: FloatArray) -> str:
    """How far mapped boxes are from the truth, as text."""
    side = (truth[:, 2:] - truth[:, :2]).max(axis=1)
    centre = np.linalg.norm((mapped - truth).reshape(-1, 2, 2).mean(axis=1), axis=1) / side
    scale = (mapped[:, 2:] - mapped[:, :2]).max(axis=1) / side
    low, middle, high = np.percentile(scale, [5, 50, 95])
    return (
        f"centre off by {np.median(centre):.3f} (90 %: {np.percentile(centre, 90):.3f}), "
        f"longer side ×{middle:.3f} (5 to 95 %: {low:.3f} to {high:.3f})"
    )


def main(options: Options) -> None:
    """Fit and print."""
    files = [f for folder in FOLDERS for f in sorted((options.data / folder).glob("*.pts"))]
    if options.limit and options.limit < len(files):
        files = [files[i] for i in np.linspace(0, len(files) - 1, options.limit).astype(int)]
    detector = YuNet(options.yunet, transform=IDENTITY)
    pairs = []
    for file in tqdm(files, "looking", disable=None, file=sys.stderr):
        truth = box_of_points(read_pts(file))
        boxes, _ = detector(load_image(file.with_suffix(".jpg")))
        best = matching(boxes, truth)
        if best is not None:
            pairs.append((boxes[best], truth))
    found, truths = (np.array(part) for part in zip(*pairs, strict=True))
    transform = fit(found, truths)
    print(f"{len(found)} of {len(files)} faces found")
    print(f"  {transform}")
    print(f"  {report(transform(found), truths)}")


if __name__ == "__main__":
    main(tyro.cli(Options))
