"""Occluders drawn by program. Each paints one thing on an empty overlay over one face.

Shapes, sizes and frequencies are our choice: they follow what people label as hidden in real
photographs, most of it hair, then hands, glasses, hats, masks and things held before the face,
and what lies on a face without hiding it.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.geometry import BORDER_VALUE, FloatArray
from aadn.occlude.accessories import hat, hood, mask, scarf, softness, spectacles, sunglasses
from aadn.occlude.hair import beard, fringe, hang_long_hair, long_hair, side_hair, wisps
from aadn.occlude.hands import grip, hand, held_thing, thin_things
from aadn.occlude.overlay import FaceFrame, Image, Overlay
from aadn.occlude.shapes import bezier, circle, head, lump
from aadn.occlude.textures import Paints, any_colour, clouds

Rng = np.random.Generator
Points = NDArray[np.floating]
Painter = Callable[[Overlay, FaceFrame, Points, Rng, Paints], None]


def _somewhere(frame: FaceFrame, rng: Rng) -> FloatArray:
    """A place on the face, in pixels (2,)."""
    return np.asarray(frame.place([(rng.uniform(-2.2, 2.2), rng.uniform(-0.9, 1.9))])[0])


def blob(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A rectangle, an ellipse, a polygon or a smooth lump of any texture."""
    centre = _somewhere(frame, rng)
    size = frame.unit * rng.uniform(0.25, 1.3)
    aspect = rng.uniform(0.4, 1.0)
    kind = rng.choice(["rectangle", "lump", "polygon"], p=[0.4, 0.35, 0.25])
    if kind == "rectangle":
        angle = 0.0 if rng.random() < 0.5 else rng.uniform(0, np.pi)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [size, size * aspect]
        outline = centre + square @ turn
    elif kind == "lump":
        outline = lump(rng, centre, (size, size * aspect), 0.35)
    else:
        turns = np.linspace(0, 2 * np.pi, 7, endpoint=False)
        ring = np.stack([np.cos(turns), np.sin(turns) * aspect], axis=1)
        outline = centre + size * rng.uniform(0.4, 1.2, (7, 1)) * ring
    alpha = overlay.polygon(outline, softness(frame, rng))
    overlay.paint(alpha, paints.texture(rng, *overlay.shape), hides=True)


def half_plane(
    overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints
) -> None:
    """A large thing that reaches in from one side, or the picture's border."""
    angle = rng.uniform(0, 2 * np.pi)
    border = rng.random() < 0.4
    if border:
        angle = round(angle / (np.pi / 2)) * np.pi / 2
    normal = np.array([np.cos(angle), np.sin(angle)])
    middle = frame.place([(0.0, 0.6)])[0]
    edge = middle + normal * frame.unit * rng.uniform(0.0, 1.5)
    along = np.array([-normal[1], normal[0]])
    bow = 0.0 if border else rng.normal(0, 0.3)
    steps = np.linspace(-8, 8, 17)[:, None] * frame.unit
    curve = edge + steps * along + bow * np.cos(steps / frame.unit) * frame.unit * normal
    far = normal * 1e4
    corners = np.concatenate([curve, curve[-1:] + far, curve[:1] + far])
    if border:
        colour = (0.0, 0.0, 0.0) if rng.random() < 0.3 else BORDER_VALUE
        overlay.paint(overlay.polygon(corners), colour, hides=True)
    else:
        alpha = overlay.polygon(corners, softness(frame, rng))
        overlay.paint(alpha, paints.texture(rng, *overlay.shape), hides=True)


def other_face(
    overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints
) -> None:
    """The head of another picture before a side of this one, upright or a little turned."""
    if paints.pictures is None or paints.points is None:
        blob(overlay, frame, points, rng, paints)
        return
    chosen = int(rng.integers(len(paints.pictures)))
    source = FaceFrame.of(paints.points[chosen], frame.scheme)
    side = rng.choice([-1.0, 1.0])
    scale = frame.unit / source.unit * rng.uniform(0.7, 1.3)
    angle = float(rng.normal(0, 12))
    centre = source.place([(0.0, 0.3)])[0]
    u, v = side * rng.uniform(2.2, 3.4), rng.uniform(-0.8, 1.8)
    turn = cv2.getRotationMatrix2D((centre[0], centre[1]), angle, scale)
    matrix = np.asarray(turn, np.float64)
    matrix[:, 2] += frame.place([(u, v)])[0] - centre
    outline = lump(rng, centre, (1.15 * source.unit, 1.45 * source.unit), 0.08)
    outline = outline @ matrix[:, :2].T + matrix[:, 2]
    alpha = overlay.polygon(outline, softness(frame, rng))
    overlay.paint(alpha, _warped(overlay, paints.pictures[chosen], matrix), hides=True)


def printed_face(
    overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints
) -> None:
    """A part of another face, often half of it, its features about where this one has them.

    As on a photograph, a screen or a printed cloth held there: found by its edge and its style.
    """
    if paints.pictures is None or paints.points is None:
        blob(overlay, frame, points, rng, paints)
        return
    chosen = int(rng.integers(len(paints.pictures)))
    corners = np.array([[-1.0, 0], [1, 0], [0, 1]])
    source = FaceFrame.of(paints.points[chosen], frame.scheme).place(corners)
    target = frame.place(corners + rng.normal(0, 0.2, 2) + rng.normal(0, 0.1, (3, 2)))
    matrix = np.asarray(
        cv2.getAffineTransform(source.astype(np.float32), target.astype(np.float32)), np.float64
    )
    size = frame.unit * rng.uniform(0.25, 0.75) * np.array([1.0, rng.uniform(0.5, 1.0)])
    centre = _somewhere(frame, rng)
    kind = rng.random()
    if kind < 0.7:  # all of one side of it, the upper or the lower half
        side = rng.choice([-1.0, 1.0])
        # Its outer edges are mostly in the crop: without them, nothing says which half is before.
        left, right = -rng.uniform(1.9, 2.4), rng.uniform(1.9, 2.4)
        top, bottom = -rng.uniform(0.7, 1.4), rng.uniform(1.7, 2.2)
        if kind < 0.4:
            u, v = (rng.normal(0, 0.3), right if side > 0 else left), (top, bottom)
        else:
            u, v = (left, right), (rng.uniform(0.2, 0.8), bottom if side > 0 else top)
        ends = [(u[0], v[0]), (u[1], v[0]), (u[1], v[1]), (u[0], v[1])]
        outline = frame.place(np.array(ends) + rng.normal(0, 0.1, (4, 2)))
    elif kind < 0.88:
        outline = centre + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size
    else:
        outline = lump(rng, centre, (size[0], size[1]), 0.3)
    piece = _warped(overlay, paints.pictures[chosen], matrix) * np.float32(rng.uniform(0.7, 1.1))
    overlay.paint(overlay.polygon(outline, softness(frame, rng)), piece, hides=True)


def _warped(overlay: Overlay, picture: Image, matrix: FloatArray) -> NDArray[np.float32]:
    """A picture moved by a (2, 3) matrix, as large as the overlay; its border goes on."""
    height, width = overlay.shape
    moved = cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def shadow(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A shadow or a patch of light, with a hard or a soft edge; it hides nothing."""
    kind = rng.choice(["lump", "half", "bars"], p=[0.5, 0.3, 0.2])
    soften = frame.unit * float(rng.choice([0.01, 0.05, 0.25]))
    centre = _somewhere(frame, rng)
    angle = rng.uniform(0, np.pi)
    if kind == "lump":
        size = frame.unit * rng.uniform(0.4, 2.0)
        alpha = overlay.polygon(lump(rng, centre, (size, size * rng.uniform(0.3, 1)), 0.3), soften)
    else:
        along = np.array([np.cos(angle), np.sin(angle)]) * frame.unit * 8
        normal = np.array([-along[1], along[0]])
        if kind == "half":
            corners = np.stack([centre - along, centre + along,
                                centre + along + normal, centre - along + normal])  # fmt: skip
            alpha = overlay.polygon(corners, soften)
        else:
            gap, wide = rng.uniform(0.03, 0.09), max(1, round(frame.unit * rng.uniform(0.1, 0.3)))
            bars = [np.stack([centre - along, centre + along]) + normal * gap * i
                    for i in range(-3, 4)]  # fmt: skip
            alpha = overlay.lines(bars, [wide] * 7, min(soften, 0.05 * frame.unit))
    colour = rng.choice(["dark", "light", "any"], p=[0.6, 0.25, 0.15])
    tints = {"dark": (8.0, 6.0, 6.0), "light": (255.0, 248.0, 235.0), "any": any_colour(rng)}
    overlay.paint(alpha * np.float32(rng.uniform(0.15, 0.6)), tints[str(colour)], hides=False)


def make_up(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """Lipstick, eye shadow, rouge, face paint or drawn lines, on the skin; they hide nothing."""
    kind = rng.choice(["lips", "eyes", "cheeks", "paint", "lines"])
    strength = np.float32(rng.uniform(0.2, 0.6))
    vivid = tuple(float(v) for v in rng.uniform(0, 255, 3))
    tint = (vivid[0], vivid[1], vivid[2])
    soften = 0.05 * frame.unit
    if kind == "lips":
        wide, tall = frame.unit * rng.uniform(0.35, 0.45), frame.unit * rng.uniform(0.1, 0.16)
        turn = float(np.arctan2(frame.across[1], frame.across[0]))
        outline = circle(frame.place([(0.0, 1.0)])[0], (wide, tall), turn)
        red = (rng.uniform(90, 220), rng.uniform(0, 70), rng.uniform(20, 90))
        overlay.paint(overlay.polygon(outline, soften) * strength, red, hides=False)
    elif kind in ("eyes", "cheeks"):
        u, v = (1.0, -0.15) if kind == "eyes" else (1.2, 0.6)
        size = frame.unit * rng.uniform(0.25, 0.4)
        for side in (-1.0, 1.0):
            outline = circle(frame.place([(side * u, v)])[0], (size, 0.6 * size))
            overlay.paint(overlay.polygon(outline, 2 * soften) * strength, tint, hides=False)
    elif kind == "paint":
        patches = clouds(rng, *overlay.shape, int(rng.integers(4, 12)))
        alpha = np.clip(patches * 8, 0, 1) * head(overlay, frame, points) * strength
        overlay.paint(np.asarray(alpha, np.float32), tint, hides=False)
    else:
        controls = np.stack([_somewhere(frame, rng) for _ in range(4)])
        curves = bezier(controls + rng.normal(0, 0.2 * frame.unit, (4, 4, 2)))
        width = max(1, round(0.03 * frame.unit))
        alpha = overlay.lines(list(curves), [width] * 4, 0.4) * head(overlay, frame, points)
        overlay.paint(alpha * np.float32(rng.uniform(0.4, 0.9)), tint, hides=False)


def beside(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """Hair, a hand, a head or a thing beside or behind the face, up to its outline: hides nothing.

    With it alone, skin against something else at the jaw does not come to mean "hidden".
    """
    kind = rng.choice(["hair", "hand", "face", "thing"], p=[0.5, 0.2, 0.15, 0.15])
    side = float(rng.choice([-1.0, 1.0]))
    if kind == "hair":
        hang_long_hair(overlay, frame, rng, paints, side, rng.uniform(1.3, 2.0), 2.5)
    elif kind == "hand":
        place = frame.place([(side * rng.uniform(1.8, 2.8), rng.uniform(-0.5, 1.8))])[0]
        angle = -np.pi / 2 + rng.normal(0, 0.5)
        grip(overlay, frame, rng, paints, place, angle, "open")
    elif kind == "face":
        other_face(overlay, frame, points, rng, paints)
    else:
        held_thing(overlay, frame, points, rng, paints)
    overlay.fade(1 - head(overlay, frame, points))
    overlay.hiding[:] = 0


PAINTERS: dict[str, tuple[Painter, float]] = {
    "fringe": (fringe, 0.08),
    "wisps": (wisps, 0.03),
    "long_hair": (long_hair, 0.04),
    "side_hair": (side_hair, 0.06),
    "hand": (hand, 0.14),
    "sunglasses": (sunglasses, 0.05),
    "mask": (mask, 0.22),
    "hat": (hat, 0.04),
    "hood": (hood, 0.03),
    "scarf": (scarf, 0.03),
    "held_thing": (held_thing, 0.05),
    "thin_things": (thin_things, 0.02),
    "other_face": (other_face, 0.03),
    "printed_face": (printed_face, 0.20),
    "blob": (blob, 0.11),
    "half_plane": (half_plane, 0.03),
    "spectacles": (spectacles, 0.03),
    "beard": (beard, 0.02),
    "shadow": (shadow, 0.02),
    "make_up": (make_up, 0.01),
    "beside": (beside, 0.03),
}
"""What is painted in training, and how often (our choice); the last five hide nothing."""

HARMLESS = ("spectacles", "beard", "shadow", "make_up", "beside")
"""The painters that hide nothing."""
