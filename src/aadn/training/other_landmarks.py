"""A network for landmarks of one's own that starts from one trained for others.

Ours, not the paper's. All weights that are not of single landmarks are kept. Each new landmark
starts from that old one, or from the middle of those two, which lie nearest to it on the training
faces as the old network sees them: its heatmap and its name are the means of theirs.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aadn.errors import WeightsError
from aadn.geometry import FloatArray
from aadn.inference.landmarker import Landmarker
from aadn.inference.pytorch import TorchBackend
from aadn.models.checkpoint import load_model, load_state
from aadn.models.default.heatmap import HeatmapAadn
from aadn.models.network import Network
from aadn.models.registry import ModelConfig
from aadn.training.crops import CropSet

FACES = 200
"""So many training faces at most show where landmarks lie (our choice)."""

MEAN_OF_ITS_PAIR = ("heatmap.weight", "heatmap.bias", "name")
"""Weights with a row for each landmark."""

NEW = ("shape.", "turned.")
"""Parts that are of all landmarks together, and start anew."""


def start_from_other_landmarks(
    network: Network, config: ModelConfig, path: Path, crops: CropSet
) -> str:
    """Fill a network with what a checkpoint for other landmarks knows; a line that says so.

    Args:
        network: the one to train, with random weights.
        config: what it is.
        path: the checkpoint.
        crops: training faces.

    Raises WeightsError for a checkpoint of another network, or a network without heatmaps.
    """
    initial, there = load_model(path)
    kept = config.name == there.config.name and isinstance(network, HeatmapAadn)
    if not kept or config.convolutions != there.config.convolutions:
        raise WeightsError(
            f"{path}: is {there.config.name} for the {there.scheme.size} landmarks of "
            f"{there.scheme.name}; for others, only a network heatmap or lite can start from one "
            "of its kind"
        )
    some = np.linspace(0, len(crops.points) - 1, min(FACES, len(crops.points))).round().astype(int)
    landmarker = Landmarker(TorchBackend(initial, "initial", there.scheme))
    box = crops.box_for(landmarker.card.crop_factor)
    faces = landmarker.align_each((crops.images[row], box, 0.0) for row in some)
    pairs = nearest_pairs(np.array([face.points for face in faces]), crops.points[some])
    own, theirs = network.state_dict(), there.weights()
    weights = {}
    for name, tensor in own.items():
        if name in MEAN_OF_ITS_PAIR:
            rows = theirs[name]
            weights[name] = (rows[pairs[:, 0]] + rows[pairs[:, 1]]) / 2
        else:
            weights[name] = tensor if name.startswith(NEW) else theirs[name].to(tensor.dtype)
    load_state(network, weights, path)
    return (
        f"starting from {path} ({config.input_size} pixels), each landmark from those of "
        f"{there.scheme.name} that lie nearest"
    )


def nearest_pairs(known: NDArray[np.floating], new: FloatArray) -> NDArray[np.int64]:
    """Which known landmark, or which two, lie nearest to each new one, or their middle; (L, 2).

    Nearest by the median of the distances on all faces. Of a single one both numbers are the same.

    Args:
        known: (N, K, 2) places on N faces.
        new: (N, L, 2) those of others on the same faces; NaN where not labelled.
    """
    count = known.shape[1]
    pairs = sorted(itertools.combinations_with_replacement(range(count), 2), key=_apart)
    first, second = np.array(pairs).T
    middles = (known[:, first] + known[:, second]) / 2  # N, pairs, 2
    best = []
    for place in new.transpose(1, 0, 2):
        labelled = np.isfinite(place).all(axis=1)
        off = np.linalg.norm(middles[labelled] - place[labelled, None], axis=2)
        best.append(pairs[int(np.median(off, axis=0).argmin())] if labelled.any() else (0, 0))
    return np.array(best)


def _apart(pair: tuple[int, int]) -> bool:
    return pair[0] != pair[1]
