"""Crops in which faces lie alike, as face recognition wants them.

Ours, not the paper's. A similarity transform (turn, scale, shift; no mirroring) brings a few places
of the face, such as the eyes' middles, to those of a template, by least squares (Umeyama,
PAMI 1991).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.geometry import FloatArray, warp
from aadn.schemes import IBUG68, WFLW98, Scheme

SIDE = 112.0
"""Pixels of the side of the crop in which templates are given; pixel centres count from 0."""

Places = Mapping[str, tuple[int, ...]]

PLACES: Mapping[Scheme, Places] = {
    IBUG68: {
        "right eye": tuple(range(36, 42)),
        "left eye": tuple(range(42, 48)),
        "nose": (30,),
        "right mouth corner": (48,),
        "left mouth corner": (54,),
    },
    WFLW98: {
        "right eye": tuple(range(60, 68)),
        "left eye": tuple(range(68, 76)),
        "nose": (54,),
        "right mouth corner": (76,),
        "left mouth corner": (82,),
    },
}
"""By scheme: the landmarks of which each place is the mean. Right and left are the person's."""

TEMPLATES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    # ArcFace's (Deng et al., CVPR 2019), as InsightFace's networks are trained on.
    "arcface": {
        "right eye": (38.2946, 51.6963),
        "left eye": (73.5318, 51.5014),
        "nose": (56.0252, 71.7366),
        "right mouth corner": (41.5493, 92.3655),
        "left mouth corner": (70.7299, 92.2041),
    },
    # Level eyes, a third of the side apart, at two fifths of the height (our choice).
    "eyes": {"right eye": (37.0, 44.3), "left eye": (74.0, 44.3)},
}
"""Where the places lie in a crop of SIDE pixels."""

HIDDEN = 0.1
"""What a place that is not seen counts beside one that is (our choice): it is where the network
expects it, and keeps a face with one place seen from turning about that."""


@dataclass(frozen=True, eq=False)
class Aligned:
    """Crops of N faces, which lie in them as a template says.

    Attributes:
        crops: (N, S, S, 3) uint8 RGB.
        matrices: (N, 2, 3) float64 from the picture's pixels to the crops'.
    """

    crops: NDArray[np.uint8]
    matrices: FloatArray


def aligning(
    scheme: Scheme,
    points: NDArray[np.floating],
    seen: NDArray[np.bool_],
    size: int = 112,
    template: str = "arcface",
) -> FloatArray:
    """The matrices (N, 2, 3) from pixels to crops in which faces lie as a template says.

    Args:
        scheme: whose landmarks they are.
        points: (N, L, 2) pixels.
        seen: (N, L) places of which no landmark is seen count HIDDEN; those of which some are seen
            are the mean of all their landmarks, and count by the share that is seen.
        size: side of the crops in pixels.
        template: a name of TEMPLATES.

    Raises InputError for an unknown template, a scheme without these places or a size below 1.
    """
    if template not in TEMPLATES:
        raise InputError(f"expected a template of {', '.join(TEMPLATES)}; got {template!r}")
    if scheme not in PLACES:
        known = ", ".join(each.name for each in PLACES)
        raise InputError(f"faces are aligned by landmarks of {known}; got those of {scheme.name}")
    if size < 1:
        raise InputError(f"expected crops of 1 pixel or more, got {size}")
    wanted, places = TEMPLATES[template], PLACES[scheme]
    # The template's crop and one of another size cover the same part of the face.
    target = (np.array(list(wanted.values())) + 0.5) * size / SIDE - 0.5
    groups = [list(places[name]) for name in wanted]
    found = np.stack([points[:, group].mean(axis=1) for group in groups], axis=1)
    weight = np.stack([seen[:, group].mean(axis=1) for group in groups], axis=1)
    weight = np.maximum(weight, HIDDEN)
    pairs = zip(found, weight, strict=True)
    matrices = [similarity(one.astype(np.float64), target, own) for one, own in pairs]
    return np.array(matrices).reshape(-1, 2, 3)


def similarity(source: FloatArray, target: FloatArray, weight: FloatArray) -> FloatArray:
    """The (2, 3) turn, scale and shift that brings points (n, 2) nearest to others, by weight (n,).

    Points that are all in one place are only shifted.
    """
    weight = weight[:, None] / weight.sum()
    middle, aim = (weight * source).sum(axis=0), (weight * target).sum(axis=0)
    # x + iy: the best factor is the mean of conj(source) · target over that of |source|².
    arrow, wanted = (source - middle) @ [1, 1j], (target - aim) @ [1, 1j]
    spread = (weight[:, 0] * np.abs(arrow) ** 2).sum()
    factor = (weight[:, 0] * arrow.conj() * wanted).sum() / spread if spread > 0 else 1 + 0j
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.hstack([linear, (aim - linear @ middle)[:, None]])


def cut(image: NDArray[np.uint8], matrices: FloatArray, size: int) -> NDArray[np.uint8]:
    """The crops (N, size, size, 3) of an RGB picture that the matrices describe."""
    crops = np.zeros((len(matrices), size, size, 3), np.uint8)
    for crop, matrix in zip(crops, matrices, strict=True):
        crop[...] = warp(image, matrix, size)
    return crops
