"""What hides landmarks in training pictures that nobody has labelled: a trained network says it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.errors import InputError
from aadn.inference.landmarker import Landmarker
from aadn.inference.pytorch import TorchBackend
from aadn.inference.weights import checkpoint_file
from aadn.models import checkpoint
from aadn.models.build import build
from aadn.training.config import TrainConfig
from aadn.training.crops import CropSet

HIDDEN, SEEN = 0.3, 0.97
"""Landmarks of lower visibility than the first are relabelled as hidden, those between the two as
unknown. Our choice, by 95 validation faces whose natural occlusion was labelled by looking
(benchmarks/natural.py): of the first, 95 % are hidden; of those just below the second, one in
eight."""


def initial_landmarker(config: TrainConfig, device: torch.device) -> Landmarker:
    """The network that relabels, at its own input size; WeightsError if it cannot be read."""
    named = config.relabel_by or config.initial
    assert named is not None
    path = checkpoint_file(named)
    initial = checkpoint.load(path)
    if initial.scheme != config.landmark_scheme:
        raise InputError(
            f"--relabel asks {path}, which has the landmarks of {initial.scheme.name}, not those "
            f"of {config.landmark_scheme.name}; leave it out, or name another with --relabel-by"
        )
    network = build(initial.config)
    # As training starts from it: one of aadn 0.1 is good enough to ask.
    checkpoint.start_from(network, initial.config, initial.scheme, path)
    return Landmarker(TorchBackend(network, initial.config.name, initial.scheme, device=device))


def relabelled(crops: CropSet, labelled: NDArray[np.bool_], landmarker: Landmarker) -> CropSet:
    """Faces with the visibility that a network sees on them.

    Landmarks that it gives less than HIDDEN become hidden, those below SEEN unknown; those that
    are hidden already, and those of `labelled` faces (N,), stay.
    """
    asked = np.flatnonzero(~labelled)
    if not len(asked):
        return crops
    # The stored crop is the picture, the face's box lies in its middle.
    box = crops.box_for(landmarker.card.crop_factor)
    faces = tqdm(asked, "relabelling", unit="face", disable=None)
    found = landmarker.align_each((crops.images[i], box, 0.0) for i in faces)
    visibility = np.stack([face.visibility for face in found])
    visible, before = crops.visible.copy(), crops.visible[asked]
    visible[asked] = np.where(visibility < SEEN, np.nan, before)
    visible[asked] = np.where((visibility < HIDDEN) | (before == 0), 0.0, visible[asked])
    return replace(crops, visible=visible)


def shares(crops: CropSet) -> str:
    """A line that says how many landmarks are hidden or unknown."""
    hidden, unknown = np.mean(crops.visible == 0), np.isnan(crops.visible).mean()
    return f"relabelled: {hidden:.2%} of the landmarks hidden, {unknown:.2%} unknown"
