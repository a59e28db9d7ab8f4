"""What training paints over a face: none to three random things, as a camera sees them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.occlude.cutouts import AS_HAIR, AS_HAND, Cutouts, drop_thing, wear_mask, wear_sunglasses
from aadn.occlude.overlay import FaceFrame, Overlay
from aadn.occlude.painters import PAINTERS
from aadn.occlude.textures import Paints

_NAMES = list(PAINTERS)
_WEIGHTS = np.array([weight for _, weight in PAINTERS.values()])
_WEIGHTS /= _WEIGHTS.sum()
_HAIR = ("fringe", "long_hair", "side_hair")
_CLEAN = 0.3
"""Share of training faces without any occluder (our choice)."""


def paint_occluders(
    overlay: Overlay,
    frame: FaceFrame,
    points: NDArray[np.floating],
    rng: np.random.Generator,
    paints: Paints,
    cutouts: Cutouts | None = None,
) -> None:
    """Paint none to three random occluders for training over a face.

    Args:
        overlay: what is painted on.
        frame: of the face, in the overlay's pixels.
        points: (L, 2) landmarks in the overlay's pixels; NaN = not labelled, but not all of them.
        rng: all randomness comes from here.
        paints: textures.
        cutouts: used for half of the masks, sunglasses, things, hands and hair where it has any.
    """
    if rng.random() < _CLEAN:
        return
    for _ in range(int(rng.choice([1, 2, 3], p=[0.65, 0.27, 0.08]))):
        name = str(rng.choice(_NAMES, p=_WEIGHTS))
        layer = Overlay(*overlay.shape)
        real = cutouts is not None and rng.random() < 0.5
        if real and cutouts and name == "mask" and cutouts.masks:
            wear_mask(layer, frame, points, rng, cutouts.masks)
        elif real and cutouts and name == "sunglasses" and cutouts.sunglasses:
            wear_sunglasses(layer, frame, rng, cutouts.sunglasses)
        elif real and cutouts and name in ("blob", "held_thing") and cutouts.things:
            drop_thing(layer, frame, rng, cutouts.things)
        elif real and cutouts and name == "hand" and cutouts.hands:
            drop_thing(layer, frame, rng, cutouts.hands, AS_HAND)
        elif real and cutouts and name in _HAIR and cutouts.hair:
            drop_thing(layer, frame, rng, cutouts.hair, AS_HAIR)
        else:
            PAINTERS[name][0](layer, frame, points, rng, paints)
        _photograph(overlay, layer, frame, rng, grey=bool(paints.look and paints.look.grey))


def _photograph(
    overlay: Overlay, layer: Overlay, frame: FaceFrame, rng: np.random.Generator, *, grey: bool
) -> None:
    """Lay one thing over the rest as a camera sees it: blurred a little, with a shadow below."""
    if grey:
        layer.colour[:] = layer.colour.mean(axis=2, keepdims=True)
    # Sharper than a photograph's own edges, a pasted thing is found by its edge alone.
    sigma, streak = float(rng.uniform(0.2, 0.8)), None
    odd = rng.random()
    if odd < 0.08:
        sigma = frame.unit * float(rng.uniform(0.02, 0.07))
    elif odd < 0.13:
        angle = rng.uniform(0, 2 * np.pi)
        length = frame.unit * rng.uniform(0.05, 0.25)
        streak = np.array([np.cos(angle), np.sin(angle)]) * length
    layer.soften(sigma, streak)
    if rng.random() < 0.5:
        shift = rng.normal(0, 0.05, 2) * frame.unit + [0, 0.04 * frame.unit]
        move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
        moved = cv2.warpAffine(layer.hiding, move, overlay.shape[::-1])
        dark = cv2.GaussianBlur(moved, (0, 0), frame.unit * float(rng.uniform(0.02, 0.08)))
        dark = np.asarray(dark, np.float32) * np.float32(rng.uniform(0.1, 0.5))
        overlay.paint(dark, (12, 8, 8), hides=False)
    overlay.lay(layer)
