"""Faces cut out upright: looked at, and where their eyes do not lie level, looked at again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aadn.geometry import Crop, FloatArray, wrapped
from aadn.images import Copy
from aadn.inference.backend import Card
from aadn.inference.estimates import Estimates
from aadn.schemes import Scheme

LEVEL = 10.0
"""Degrees by which the eyes of a face may be off level without another look. Our choice: on
validation faces the error grows by 0.01 % of the inter-ocular distance up to there, by 0.1 % up to
30°, by 2 % up to 60°; under training's occluders by 0.01 %, 0.3 % and 4 %."""

TURNS = (90.0, 180.0, 270.0)
"""Angles by which a face is turned further where the network is not sure of it as it stands."""

SURE = 0.03
"""The network is sure of a face where its mean uncertainty is below this share of the crop's side.
Our choice: it is sure of all upright validation faces, of 96 % under training's occluders, and of
none that is turned by 90° or more; of the others it sees the roll to 15°."""

BETTER = 0.9
"""A face counts as turned further where its mean uncertainty, so turned, is below this share of
what it is as the face stands (our choice: mostly it stands as it is said to)."""


class Target(NamedTuple):
    """A face to look at.

    `box` (4,) and `angle` as in `geometry`, the angle NaN where nobody knows it; an `exact` one is
    not corrected.
    """

    image: Copy
    box: NDArray[np.floating]
    angle: float
    exact: bool


@dataclass(frozen=True, eq=False)
class Looks:
    """What a network says of N faces, each in a crop of its own.

    Attributes:
        estimates: the answers.
        crops: how they were cut out.
        angles: (N,) float64, those by which the crops are turned.
        pixels: (N, S, S, 3) uint8, the crops.
    """

    estimates: Estimates
    crops: Sequence[Crop]
    angles: FloatArray
    pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, rows: NDArray[np.intp]) -> Looks:
        """Some of them."""
        crops = [self.crops[row] for row in rows]
        return Looks(self.estimates[rows], crops, self.angles[rows], self.pixels[rows])

    def followed_by(self, other: Looks) -> Looks:
        """These, then others of the same network."""
        return Looks(
            Estimates.joined([self.estimates, other.estimates]),
            [*self.crops, *other.crops],
            np.concatenate([self.angles, other.angles]),
            np.concatenate([self.pixels, other.pixels]),
        )


Ask = Callable[[NDArray[np.uint8]], Estimates]
"""Crops (N, S, S, 3) uint8 RGB to a network's answers."""


def level(ask: Ask, card: Card, targets: Sequence[Target], *, alike: bool = False) -> Looks:
    """Look at faces so that they are upright in their crops.

    They are looked at by the angles that are said, or as they stand where nobody knows. Where the
    network is not sure of what it sees, they are turned further by quarters, and that turn with the
    lowest mean uncertainty is kept (a network without uncertainty is asked once). Then those whose
    eyes are off level by more than LEVEL are looked at once more, turned by as much; the box stays.
    Each step asks for all its faces together; faces that are upright already take one look.

    Args:
        ask: the network.
        card: its card.
        targets: N faces.
        alike: look again at all faces as soon as one needs it: answers depend on the number of
            crops in the last bit, and so are those of the same boxes and angles given as exact.
    """
    exact = np.array([target.exact for target in targets], bool)
    angles = np.nan_to_num(np.array([target.angle for target in targets], np.float64))
    looks = _look(ask, card, targets, angles)
    unsure = np.flatnonzero(~exact & ~_sure(looks))
    if len(unsure):
        looks = _best_turns(ask, card, targets, looks, unsure)
    roll = np.where(exact, 0.0, _roll(looks, card.scheme))
    tilted = np.abs(roll) > LEVEL
    turned = looks.angles != angles  # asked with the other turns
    again = np.flatnonzero(tilted | turned)
    if not len(again):
        return looks
    # In float32, as they are given out, so that they give the same crop when they come back.
    aims = np.where(exact, angles, wrapped((looks.angles + roll * tilted).astype(np.float32)))
    rows = np.arange(len(targets)) if alike else again
    return _replaced(looks, rows, _look(ask, card, _of(targets, rows), aims[rows]))


def _look(ask: Ask, card: Card, targets: Sequence[Target], angles: FloatArray) -> Looks:
    """What the network says of faces in crops that are turned by these angles (N,)."""
    crops = [
        Crop.around(target.box, card.size, card.crop_factor, float(angle))
        for target, angle in zip(targets, angles, strict=True)
    ]
    pixels = np.empty((len(crops), card.size, card.size, 3), np.uint8)
    for row, (target, crop) in enumerate(zip(targets, crops, strict=True)):
        pixels[row] = target.image.cut(crop)
    return Looks(ask(pixels), crops, angles, pixels)


def _of(targets: Sequence[Target], rows: NDArray[np.intp]) -> list[Target]:
    return [targets[int(row)] for row in rows]


def _sure(looks: Looks) -> NDArray[np.bool_]:
    """Of which faces the network is sure, (N,); of all where it does not say."""
    uncertainty = _mean_uncertainty(looks)
    if uncertainty is None:
        return np.ones(len(looks), bool)
    return np.asarray(uncertainty < SURE * looks.pixels.shape[1])


def _best_turns(
    ask: Ask, card: Card, targets: Sequence[Target], looks: Looks, unsure: NDArray[np.intp]
) -> Looks:
    """The looks, those at `unsure` faces each by its best quarter turn."""
    aims = np.add.outer(TURNS, looks.angles[unsure]).ravel().astype(np.float32)
    turned = _look(ask, card, _of(targets, unsure) * len(TURNS), wrapped(aims))
    here, there = _mean_uncertainty(looks), _mean_uncertainty(turned)
    assert here is not None
    assert there is not None
    by_turn = there.reshape(len(TURNS), len(unsure))
    better = by_turn.min(axis=0) < BETTER * here[unsure]
    best = by_turn.argmin(axis=0) * len(unsure) + np.arange(len(unsure))
    return _replaced(looks, unsure[better], turned[best[better]])


def _mean_uncertainty(looks: Looks) -> FloatArray | None:
    """Over the landmarks, (N,) crop pixels; None from a network without it."""
    given = looks.estimates.uncertainty
    return None if given is None else given.mean(axis=1, dtype=np.float64)


def _replaced(looks: Looks, rows: NDArray[np.intp], more: Looks) -> Looks:
    """The looks, those at `rows` replaced."""
    order = np.arange(len(looks))
    order[rows] = len(looks) + np.arange(len(rows))
    return looks.followed_by(more)[order]


def _roll(looks: Looks, scheme: Scheme) -> FloatArray:
    """Angles of the line from the right eye to the left one in the crops, (N,) degrees.

    0 where the scheme does not say which points are the eyes'.
    """
    if not {"right eye", "left eye"} <= scheme.groups.keys():
        return np.zeros(len(looks))
    points = looks.estimates.points.astype(np.float64)
    right, left = (
        points[:, list(scheme.groups[eye])].mean(axis=1) for eye in ("right eye", "left eye")
    )
    x, y = (left - right).T
    roll: FloatArray = np.degrees(np.arctan2(y, x))
    return roll
