"""Training faces as training sees them, occluders and all, in one batch: to fit something to."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aadn.data.sources import read_sources
from aadn.geometry import CROP_FACTOR
from aadn.models.inputs import denormalise
from aadn.occlude.cutouts import Cutouts
from aadn.schemes import Scheme
from aadn.training import augment
from aadn.training.augment import Draw
from aadn.training.crops import cut_crops


def drawn_faces(
    folders: Sequence[Path],
    occluders: Sequence[Path],
    scheme: Scheme,
    size: int,
    count: int,
    *,
    factor: float = CROP_FACTOR,
) -> Tensor:
    """Some of the faces of labelled folders, drawn by chance, always the same ones.

    Args:
        folders: of labelled pictures.
        occluders: folders of photographed things to cover faces with, besides what is painted.
        scheme: the labels' scheme.
        size: S, side of a picture in pixels.
        count: N, how many; fewer where there are fewer.
        factor: side of a picture over the longer side of the box around its landmarks.

    Returns:
        (N, 3, S, S) as networks take them, normalised.

    Raises AadnError for folders that cannot be read.
    """
    samples = read_sources(folders, scheme.size)
    random.Random(0).shuffle(samples)
    crops = cut_crops(samples[:count], scheme, size, factor=factor)
    draws = Draw(crops, size, 0, cutouts=Cutouts.load(*occluders) if occluders else None)
    stored = torch.from_numpy(crops.images)
    batch = torch.utils.data.default_collate([draws[(0, i)] for i in range(len(draws))])
    return augment.apply(stored, batch)


def as_crops(pictures: Tensor) -> NDArray[np.uint8]:
    """What networks take, (N, 3, S, S), as crops (N, S, S, 3) uint8 RGB."""
    pixels = (255 * denormalise(pictures)).round().clamp(0, 255).byte()
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()
