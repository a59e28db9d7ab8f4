"""The few shapes that occluders are made of: curves, ribbons, rounded solids, strands."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.geometry import FloatArray
from aadn.occlude.overlay import Alpha, Colours, FaceFrame, Overlay, fixed
from aadn.occlude.textures import Colour

_NEUTRAL = 170.0
"""Level of a Solid's light that leaves a colour as it is."""


def circle(centre: FloatArray, radii: tuple[float, float], angle: float = 0.0) -> FloatArray:
    """An ellipse's outline (36, 2)."""
    turn = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    x, y = radii[0] * np.cos(turn), radii[1] * np.sin(turn)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos], axis=1)


def superellipse(turn: FloatArray, squareness: float) -> FloatArray:
    """Points (N, 2) of the curve |x|^p + |y|^p = 1, p = 1 + squareness, at angles (N,) in radians.

    A squareness of 0 is a square on its corner, 1 a circle; more comes near a square.
    """
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.asarray(np.sign(ring) * np.abs(ring) ** (2 / (1 + squareness)))


def lump(
    rng: np.random.Generator, centre: FloatArray, radii: tuple[float, float], rough: float
) -> FloatArray:
    """A smooth irregular outline (40, 2) about an ellipse; rough 0 is the ellipse."""
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = np.ones_like(turns)
    for wave in range(2, 6):
        radius += rng.normal(0, rough / wave) * np.cos(wave * turns + rng.uniform(0, 6.3))
    ring = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return np.asarray(centre + radius[:, None] * ring * np.array(radii))


def bezier(controls: NDArray[np.floating], steps: int = 9) -> FloatArray:
    """Cubic curves (N, steps, 2) of control points (N, 4, 2)."""
    t = np.linspace(0, 1, steps)
    basis = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3])
    return np.asarray(np.einsum("nkd,ks->nsd", controls, basis), np.float64)


def ribbon(curve: FloatArray, radii: FloatArray) -> FloatArray:
    """The outline of a curve (S, 2) that is drawn with a radius at each point, round at its end."""
    padded = np.concatenate([curve[:1], curve, curve[-1:]])
    along = padded[2:] - padded[:-2]
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
    turn = np.linspace(0, np.pi, 7)[1:-1, None]
    tip = curve[-1] + radii[-1] * (np.cos(turn) * normal[-1] + np.sin(turn) * along[-1])
    side = normal * radii[:, None]
    return np.concatenate([curve + side, tip, (curve - side)[::-1]])


class Solid:
    """Rounded parts, later ones before earlier ones: one outline, darker towards each edge.

    Attributes:
        mask, light: (H, W) uint8, the opacity and how bright the surface is.
    """

    def __init__(self, overlay: Overlay, towards: FloatArray) -> None:
        """`towards` (2,): how far the light comes from one side, about -0.5 … 0.5 each."""
        self.towards = towards
        self.mask = np.zeros(overlay.shape, np.uint8)
        self.light = np.full(overlay.shape, int(_NEUTRAL), np.uint8)

    def add(self, outline: FloatArray, thick: float) -> None:
        """A part by its outline (N, 2); `thick` is its half-width in pixels."""
        cv2.fillPoly(self.mask, [fixed(outline)], 255, cv2.LINE_AA, 4)
        middle = outline.mean(axis=0)
        reach = max(float(np.abs(outline - middle).max()), 1e-6)
        # The outline shrunk by a share of the half-width, towards the light.
        for share, level in ((0.0, 112), (0.18, 145), (0.42, 168), (0.7, 182)):
            inner = middle + (outline - middle) * max(0.0, 1 - share * thick / reach)
            cv2.fillPoly(self.light, [fixed(inner + self.towards * share * thick)], level,
                         cv2.LINE_AA, 4)  # fmt: skip

    def tube(self, curve: FloatArray, radii: FloatArray) -> None:
        """A part round a curve (S, 2) with a radius at each point."""
        cv2.fillPoly(self.mask, [fixed(ribbon(curve, radii))], 255, cv2.LINE_AA, 4)
        for share, level in ((1.0, 112), (0.82, 145), (0.58, 168), (0.3, 182)):
            shift = self.towards * (1 - share) * radii[:, None]
            inner = ribbon(curve + shift, radii * share)
            cv2.fillPoly(self.light, [fixed(inner)], level, cv2.LINE_AA, 4)

    def paint(self, overlay: Overlay, colour: Colour | Colours, smooth: float) -> None:
        """Paint it, opaque; `smooth` (pixels) blurs the light, not the outline."""
        light = self.light.astype(np.float32) / np.float32(_NEUTRAL)
        if smooth > 0.2:
            light = np.asarray(cv2.GaussianBlur(light, (0, 0), smooth), np.float32)
        lit = light[..., None] * np.asarray(colour, np.float32)
        alpha = self.mask.astype(np.float32) / np.float32(255)
        overlay.paint(alpha, np.clip(lit, 0, 255), hides=True)


def strands(
    overlay: Overlay,
    rng: np.random.Generator,
    curves: FloatArray,
    colour: Colour,
    thick: float,
    *,
    opacity: float = 1.0,
    hides: bool = True,
) -> None:
    """Strands of one colour, each a little different, as one layer.

    Args:
        overlay: what is painted on.
        rng: all randomness comes from here.
        curves: (N, S, 2) pixels, from the root to the tip.
        colour: of the hair.
        thick: pixels a strand is wide at its root; it tapers to a line.
        opacity: of the strands; there is nothing between them.
        hides: whether the strands hide what is below.
    """
    layer = np.zeros((*overlay.shape, 4), np.uint8)
    tones = min(12, len(curves))
    base = np.array(colour) * np.exp(rng.normal(0, 0.22, (tones, 1))) + rng.normal(0, 4, (tones, 3))
    places = fixed(curves)
    for part, shade in zip(
        np.array_split(rng.permutation(len(curves)), tones), np.clip(base, 0, 255), strict=True
    ):
        width = max(1, round(thick * float(rng.uniform(0.5, 1.3))))
        ink = (float(shade[0]), float(shade[1]), float(shade[2]), 255.0)
        tips = max(1, width // 2)
        cv2.polylines(layer, list(places[part]), False, ink, tips, cv2.LINE_AA, 4)
        if width > tips:
            roots = list(places[part][:, : curves.shape[1] * 2 // 3])
            cv2.polylines(layer, roots, False, ink, width, cv2.LINE_AA, 4)
    # Lines on nothing are blended with nothing: their colours come multiplied by their opacity.
    sheet = Overlay(*overlay.shape)
    light = cv2.resize(np.exp(rng.normal(0, 0.15, (4, 4))).astype(np.float32), overlay.shape[::-1])
    share = np.float32(opacity / 255)
    sheet.alpha = layer[..., 3].astype(np.float32) * share
    lit = layer[..., :3].astype(np.float32) * (light * np.float32(opacity))[..., None]
    sheet.colour = np.minimum(lit, sheet.alpha[..., None] * 255)
    if hides:
        sheet.hiding = sheet.alpha.copy()
    overlay.lay(sheet)


def head(overlay: Overlay, frame: FaceFrame, points: NDArray[np.floating]) -> Alpha:
    """1 on the face, from the jaw to the hairline, and 0 beside it."""
    turn = np.linspace(0, np.pi, 16)
    top = np.stack([1.9 * np.cos(turn), 0.1 - 1.4 * np.sin(turn)], axis=1)
    outline = [frame.place(top), np.asarray(points, np.float64)]
    if "jaw" not in frame.scheme.groups:
        bottom = np.stack([1.95 * np.cos(turn), 0.1 + 1.6 * np.sin(turn)], axis=1)
        outline.append(frame.place(bottom))
    every = np.concatenate(outline)
    every = every[np.isfinite(every).all(axis=1)].astype(np.float32)
    return overlay.polygon(cv2.convexHull(every)[:, 0].astype(np.float64))
