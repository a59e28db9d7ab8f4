"""What lies over a face: colour, opacity, and which of it hides the skin."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.geometry import FloatArray, box_of_points
from aadn.schemes import Scheme

Image = NDArray[np.uint8]
Alpha = NDArray[np.float32]
Colours = NDArray[np.float32]

HIDDEN_ABOVE = 0.5
"""A landmark is hidden where more than this share of its neighbourhood is covered (our choice)."""

NEIGHBOURHOOD = 0.02
"""Radius of that neighbourhood over the face's unit: about the half-width of an eye lid."""


@dataclass(frozen=True)
class FaceFrame:
    """Coordinates (u, v) of a face: the eyes at (-1, 0) and (1, 0), the mouth at (0, 1).

    In them, for any scheme and pose: brows at v ≈ -0.4, hairline -1.2, nose tip (0, 0.6), chin
    (0, 1.7), ears (±2.1, 0.1). `unit` is a length in pixels, about the distance of the eyes.
    `scheme` is that of the landmarks it is of.
    """

    origin: FloatArray
    across: FloatArray
    down: FloatArray
    unit: float
    scheme: Scheme

    @classmethod
    def of(cls, points: NDArray[np.floating], scheme: Scheme) -> FaceFrame:
        """The frame of a scheme's landmarks (L, 2).

        Where an eye or the mouth is not labelled (NaN), or the scheme has no such group, it is
        read off the landmarks' box. InputError if no landmark is labelled.
        """
        points = np.asarray(points, np.float64)
        right, left, mouth = (
            points[list(scheme.groups[name])].mean(axis=0)
            if name in scheme.groups
            else np.full(2, np.nan)
            for name in ("right eye", "left eye", "mouth")
        )
        origin = (right + left) / 2
        down = mouth - origin
        across = (left - right) / 2
        if not np.isfinite([origin, down, across]).all():
            x0, y0, x1, y1 = box_of_points(points)
            origin = np.array([(x0 + x1) / 2, y0 + 0.2 * (y1 - y0)])
            across, down = np.array([(x1 - x0) / 4.2, 0.0]), np.array([0.0, 0.47 * (y1 - y0)])
        size = max(float(np.ptp(points[np.isfinite(points).all(1)], axis=0).max()), 1.0)
        if np.hypot(*down) < 0.1 * size:
            down = np.array([0.0, 0.35 * size])
        # A profile's eyes fall together, or lie on a line with its mouth: keep the frame at least a
        # third as wide as it is high, and its axes apart.
        wide, high = float(np.hypot(*across)), float(np.hypot(*down))
        floor = 0.35 * high
        area = abs(across[0] * down[1] - across[1] * down[0])
        if wide < floor or area < 1e-3 * wide * high:
            wide = max(wide, floor)
            across = wide * np.array([down[1], -down[0]]) / high
        unit = max(2 * wide, high)
        return cls(origin, across, down, unit, scheme)

    def place(self, uv: NDArray[np.floating] | list[tuple[float, float]]) -> FloatArray:
        """Pixels (N, 2) of face coordinates (N, 2)."""
        uv = np.asarray(uv, np.float64)
        return self.origin + uv[:, :1] * self.across + uv[:, 1:] * self.down


class Overlay:
    """A picture-sized layer that occluders are painted on, first to last.

    Attributes:
        colour: (H, W, 3) float32 in [0, 255], multiplied by the opacity.
        alpha: (H, W) float32 in [0, 1], opacity.
        hiding: (H, W) float32 in [0, 1], the part of the opacity that hides what is below;
            shadows, tints and thin frames change colours but hide nothing.
    """

    def __init__(self, height: int, width: int) -> None:
        self.colour = np.zeros((height, width, 3), np.float32)
        self.alpha = np.zeros((height, width), np.float32)
        self.hiding = np.zeros((height, width), np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.alpha.shape[0], self.alpha.shape[1]

    def paint(
        self,
        alpha: Alpha,
        colour: Image | Colours | tuple[float, float, float],
        *,
        hides: bool,
    ) -> None:
        """Lay a colour, (H, W, 3) or one for all pixels, over what is there, with opacity alpha."""
        top, bottom, left, right = _extent(alpha)
        part = (slice(top, bottom), slice(left, right))
        alpha = alpha[part]
        colour = np.asarray(colour, np.float32)
        if colour.ndim == 3:
            colour = colour[part]
        rest = 1 - alpha
        self.colour[part] *= rest[..., None]
        self.colour[part] += alpha[..., None] * colour
        self.alpha[part] *= rest
        self.alpha[part] += alpha
        if hides:
            np.maximum(self.hiding[part], alpha, out=self.hiding[part])

    def lay(self, layer: Overlay) -> None:
        """Lay a whole layer of the same size over what is there: one thing in front of others."""
        top, bottom, left, right = _extent(layer.alpha)
        part = (slice(top, bottom), slice(left, right))
        rest = 1 - layer.alpha[part]
        self.colour[part] *= rest[..., None]
        self.colour[part] += layer.colour[part]
        self.alpha[part] *= rest
        self.alpha[part] += layer.alpha[part]
        self.hiding[part] += layer.hiding[part] * (1 - self.hiding[part])

    def fade(self, share: Alpha) -> None:
        """Keep only a share, (H, W) in [0, 1], of what is on this layer."""
        self.colour *= share[..., None]
        self.alpha *= share
        self.hiding *= share

    def soften(self, sigma: float, streak: FloatArray | None = None) -> None:
        """Blur the layer: out of focus by `sigma` pixels, and moved along `streak` (2,) pixels."""
        for plane in (self.colour, self.alpha, self.hiding):
            if sigma > 0.2:
                size = 2 * int(np.ceil(2 * sigma)) + 1
                cv2.GaussianBlur(plane, (size, size), sigma, dst=plane)
            if streak is not None:
                cv2.filter2D(plane, -1, _streak(streak), dst=plane)

    def over(self, image: Image) -> Image:
        """The picture (H, W, 3) with this layer on it."""
        mixed = image * (1 - self.alpha[..., None]) + self.colour
        return np.asarray(np.clip(mixed + 0.5, 0, 255), np.uint8)

    def visible(self, points: NDArray[np.floating], unit: float) -> NDArray[np.bool_]:
        """Which of the points (L, 2) this layer leaves visible, (L,) bool.

        `unit` is the face's (FaceFrame.unit). Points beyond the layer are taken at its border.
        """
        radius = max(1, round(NEIGHBOURHOOD * unit))
        share = cv2.blur(self.hiding, (2 * radius + 1, 2 * radius + 1))
        height, width = self.shape
        places = np.rint(np.nan_to_num(points))
        columns = np.clip(places[:, 0], 0, width - 1).astype(int)
        rows = np.clip(places[:, 1], 0, height - 1).astype(int)
        return np.asarray(share[rows, columns] <= HIDDEN_ABOVE)

    def polygon(self, corners: NDArray[np.floating], soften: float = 0.0) -> Alpha:
        """Opacity of a filled polygon (N, 2) pixels, its edge blurred by `soften` pixels."""
        mask = np.zeros(self.shape, np.uint8)
        cv2.fillPoly(mask, [fixed(corners)], 255, cv2.LINE_AA, 4)
        return self._finish(mask, soften)

    def lines(self, curves: list[FloatArray], widths: list[int], soften: float = 0.0) -> Alpha:
        """Opacity of open curves, each (N, 2) pixels with its width in pixels."""
        mask = np.zeros(self.shape, np.uint8)
        for curve, width in zip(curves, widths, strict=True):
            cv2.polylines(mask, [fixed(curve)], False, 255, max(1, width), cv2.LINE_AA, 4)
        return self._finish(mask, soften)

    @staticmethod
    def _finish(mask: Image, soften: float) -> Alpha:
        alpha: Alpha = mask.astype(np.float32) / np.float32(255)
        if soften > 0.2:
            alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), soften), np.float32)
        return alpha


def _extent(alpha: Alpha) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what is not wholly transparent."""
    left, top, width, height = cv2.boundingRect((alpha > 0).view(np.uint8))
    return top, top + height, left, left + width


def _streak(along: FloatArray) -> Alpha:
    """The kernel of a movement by (x, y) pixels."""
    side = 2 * int(np.ceil(np.abs(along).max() / 2)) + 1
    kernel = np.zeros((side, side), np.float32)
    middle = np.array([side // 2, side // 2])
    ends = np.stack([middle - along / 2, middle + along / 2])
    cv2.polylines(kernel, [fixed(ends)], False, 1.0, 1, cv2.LINE_8, 4)
    return np.asarray(kernel / kernel.sum(), np.float32)


def fixed(points: NDArray[np.floating]) -> NDArray[np.int32]:
    """Points in OpenCV's fixed-point form with 4 fractional bits."""
    return np.asarray(np.rint(np.clip(points, -1e5, 1e5) * 16), np.int32)
