"""Augmentation: drawn per sample on the CPU from its own seed, applied per batch on any device.

`Draw` decides (one affine map, flip, light, blur, occluders, the labels that follow) with NumPy,
so a draw depends on (seed, epoch, row) alone and not on the number of workers. `apply` makes
the pictures of a batch with torch, on the CPU or a GPU. All ranges are our choice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from aadn.geometry import BORDER_VALUE, FloatArray, beyond, grid_units, invert, to_units, transform
from aadn.models.inputs import normalise
from aadn.occlude.cutouts import Cutouts
from aadn.occlude.overlay import FaceFrame, Overlay
from aadn.occlude.textures import Look, Paints
from aadn.occlude.training import paint_occluders
from aadn.training.crops import CropSet

MAP_CELLS = 32
"""Side of the map that says which part of the crop is face, and which is covered."""

DAB = 0.15
"""How far about a landmark the map is taken to be as hidden, or as unknown, as the landmark is,
over the face's unit (our choice)."""


@dataclass(frozen=True)
class Ranges:
    """How far augmentation goes.

    Attributes:
        rotation: two standard deviations, in degrees.
        scale: two standard deviations of the size's logarithm.
        shift: two standard deviations, as a share of the crop's side.
        light: factor on the changes of colour, contrast and brightness; 0 leaves them out.
        flip, grey, blur, low_resolution, noise: shares of the faces that are mirrored, lose their
            colour, and so on.
    """

    rotation: float = 30.0
    scale: float = 0.2
    shift: float = 0.08
    light: float = 1.0
    flip: float = 0.5
    grey: float = 0.1
    blur: float = 0.15
    low_resolution: float = 0.25
    noise: float = 0.15


STILL = Ranges(0, 0, 0, 0, 0, 0, 0, 0, 0)
"""Leaves a face as it is."""


class Draw(torch.utils.data.Dataset[dict[str, Any]]):
    """The random choices for a sample in an epoch, and the labels that follow from them.

    An item is a dict of arrays (S the crop's side, L the landmarks, M = MAP_CELLS):
        index: which stored crop.
        matrix (2, 3) float32: pixels of the augmented crop to pixels of the stored one.
        points (L, 2) float32: crop units in [0, 1], NaN where not labelled or guessed.
        visible (L,) float32: 1 seen, 0 hidden, NaN where unknown or not labelled.
        turned (L,) float32: 1 turned away, 0 not, NaN where unknown.
        face, visible_map (M, M) float32: share of a cell that is face and known to be covered or
            not; share that nothing covers.
        colour (S, S, 3), alpha (S, S) uint8: the occluders, colour multiplied by alpha.
        light (9,) float32: gain of R, G, B, contrast, brightness, greyness, blur's sigma in
            pixels, side of the low-resolution copy in pixels (0 = none), noise's sigma.
        seed: of the noise.

    An epoch has the crops `rows`, or all of them once. From epoch `mirror_epochs` on no face is
    mirrored. `label_offset` is TrainConfig's.
    """

    def __init__(
        self,
        crops: CropSet,
        size: int,
        seed: int,
        ranges: Ranges | None = None,
        cutouts: Cutouts | None = None,
        *,
        rows: NDArray[np.int64] | None = None,
        occluders: bool = True,
        mirror_epochs: int | None = None,
        label_offset: float = 0.0,
    ) -> None:
        self.crops = crops
        self.rows = np.arange(len(crops.images)) if rows is None else rows
        self.size = size
        self.seed = seed
        self.ranges = ranges or Ranges()
        self.cutouts = cutouts
        self.occluders = occluders
        self.mirror_epochs = mirror_epochs
        self.label_offset = label_offset
        self.scheme = crops.scheme
        self.paints = Paints(crops.images, crops.points, cutouts.textures if cutouts else ())

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any]:
        """The draw for (epoch, row)."""
        epoch, row = place
        rng = np.random.default_rng([self.seed, epoch, row])
        index = int(self.rows[row])
        size = self.size
        flip = rng.random() < self.ranges.flip
        if self.mirror_epochs is not None and epoch >= self.mirror_epochs:
            flip = False
        to_crop = self._matrix(rng, flip)
        points = transform(self.crops.points[index], to_crop)
        visible, turned = self.crops.visible[index].copy(), self.crops.turned[index]
        guessed = np.zeros(len(points), bool)
        if self.crops.guessed is not None:
            guessed = self.crops.guessed[index]
        if flip:
            points, visible, turned, guessed = (
                part[self.scheme.flip] for part in (points, visible, turned, guessed)
            )
            # Labels to the right of what they mean lie, mirrored, as far to its left: move them
            # to the right of it again. The first column is where a step to the right leads.
            offset = self.label_offset * self.crops.scales[index]
            points = points - 2 * offset * to_crop[:, 0]

        overlay, frame = Overlay(size, size), FaceFrame.of(points, self.scheme)
        if self.occluders:
            stored = FaceFrame.of(self.crops.points[index], self.scheme)
            paints = replace(self.paints, look=Look.of(self.crops.images[index], stored))
            paint_occluders(overlay, frame, points, rng, paints, self.cutouts)
        unit = frame.unit
        labelled = np.isfinite(points).all(axis=1)
        face, uncovered = _face(points[labelled], size), 1 - overlay.hiding
        # What the picture itself hides is known at its landmarks only.
        _dab(uncovered, points[labelled & (visible == 0)], unit, 0.0)
        _dab(face, points[labelled & np.isnan(visible)], unit, 0.0)
        covered = ~overlay.visible(points, unit) | beyond(points, size, size)
        visible, units = np.where(covered, 0.0, visible), to_units(points, size)
        return {
            "index": index,
            "matrix": invert(to_crop).astype(np.float32),
            "points": np.where(guessed[:, None], np.nan, units).astype(np.float32),
            "visible": np.where(labelled, visible, np.nan).astype(np.float32),
            "turned": turned.astype(np.float32),
            "face": _cells(face),
            "visible_map": _cells(uncovered),
            "colour": np.clip(overlay.colour + 0.5, 0, 255).astype(np.uint8),
            "alpha": np.clip(overlay.alpha * 255 + 0.5, 0, 255).astype(np.uint8),
            "light": self._light(rng).astype(np.float32),
            "seed": int(rng.integers(2**62)),
        }

    def _matrix(self, rng: np.random.Generator, flip: bool) -> FloatArray:
        """Stored crop pixels to augmented crop pixels, one affine map."""
        ranges, stored, size = self.ranges, self.crops.images.shape[1], self.size
        angle = math.radians(float(np.clip(rng.normal(0, ranges.rotation / 2), -90, 90)))
        scale = math.exp(float(np.clip(rng.normal(0, ranges.scale / 2), -0.5, 0.5)))
        scale *= size / stored * self.crops.margin
        shift = np.clip(rng.normal(0, ranges.shift / 2, 2), -0.2, 0.2) * size
        mirror = -1.0 if flip else 1.0
        cos, sin = scale * math.cos(angle), scale * math.sin(angle)
        linear = np.array([[cos * mirror, -sin], [sin * mirror, cos]])
        middle = np.array([(stored - 1) / 2] * 2)
        centre = np.array([(size - 1) / 2] * 2) + shift
        return np.hstack([linear, (centre - linear @ middle)[:, None]])

    def _light(self, rng: np.random.Generator) -> FloatArray:
        ranges = self.ranges
        gains = np.exp(ranges.light * (rng.normal(0, 0.06, 3) + rng.normal(0, 0.15)))
        contrast = math.exp(ranges.light * float(rng.normal(0, 0.2)))
        brightness = ranges.light * float(rng.normal(0, 0.06))
        grey = float(rng.random() < ranges.grey)
        blur = float(rng.uniform(0.5, 0.016 * self.size)) if rng.random() < ranges.blur else 0.0
        low = 0.0
        if rng.random() < ranges.low_resolution:
            low = float(round(self.size * rng.uniform(0.22, 0.7)))
        noise = float(rng.uniform(0.01, 0.06)) if rng.random() < ranges.noise else 0.0
        return np.array([*gains, contrast, brightness, grey, blur, low, noise])


def _face(points: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """1 inside the landmarks' convex hull, (size, size); the forehead is not in it."""
    filled = np.zeros((size, size), np.uint8)
    if len(points) >= 3:
        hull = cv2.convexHull(np.rint(np.clip(points, -1e4, 1e4)).astype(np.int32))
        cv2.fillConvexPoly(filled, hull, 1)
    return filled.astype(np.float32)


def _dab(share: NDArray[np.float32], points: NDArray[np.float64], unit: float, to: float) -> None:
    """Set a map (H, W) about points (N, 2), within DAB of the face's unit."""
    radius = max(1, round(DAB * unit))
    for x, y in np.rint(np.clip(points, -1e4, 1e4)).astype(int).tolist():
        cv2.circle(share, (x, y), radius, to, cv2.FILLED)


def _cells(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """A picture-sized map averaged down to (MAP_CELLS, MAP_CELLS)."""
    small = cv2.resize(share, (MAP_CELLS, MAP_CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def apply(crops: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Make the pictures of a batch of draws.

    Args:
        crops: (N, T, T, 3) uint8 stored crops, on the device that shall do the work.
        batch: collated items of Draw, on the same device.

    Returns:
        (B, 3, S, S) float32 on that device, normalised.
    """
    device = crops.device
    size = batch["alpha"].shape[1]
    stored = crops[batch["index"]].permute(0, 3, 1, 2).float() / 255
    grey = torch.tensor(BORDER_VALUE, device=device).view(1, 3, 1, 1) / 255
    grid = _sampling_grid(batch["matrix"], size, crops.shape[1])
    # Zeros beyond the border become BORDER_VALUE.
    images = F.grid_sample(stored - grey, grid, "bilinear", "zeros", align_corners=False) + grey
    alpha = batch["alpha"].float()[:, None] / 255
    images = images * (1 - alpha) + batch["colour"].permute(0, 3, 1, 2).float() / 255

    light = batch["light"]
    gains, contrast, brightness, greyness = (
        light[:, :3, None, None],
        light[:, 3, None, None, None],
        light[:, 4, None, None, None],
        light[:, 5, None, None, None],
    )
    images = images * gains
    middle = images.mean((1, 2, 3), keepdim=True)
    images = (images - middle) * contrast + middle + brightness
    images = images + greyness * (images.mean(1, keepdim=True) - images)
    images = images.clamp(0, 1)
    images = _blur(images, light[:, 6])
    images = _low_resolution(images, light[:, 7])
    noisy = light[:, 8] > 0
    if bool(noisy.any()):
        generator = torch.Generator(device).manual_seed(int(batch["seed"][0]))
        noise = torch.randn(images[noisy].shape, generator=generator, device=device)
        images[noisy] = (images[noisy] + noise * light[noisy, 8, None, None, None]).clamp(0, 1)
    return normalise(images)


def _sampling_grid(matrix: Tensor, size: int, stored: int) -> Tensor:
    """Where `grid_sample` reads, (B, S, S, 2) in its units: -1 and 1 are the borders' edges."""
    axis = torch.arange(size, device=matrix.device, dtype=torch.float32)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    homogeneous = torch.stack([x, y, torch.ones_like(x)], dim=-1)  # S S 3
    pixels = torch.einsum("hwk,bck->bhwc", homogeneous, matrix)
    return grid_units(to_units(pixels, stored))


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur by a sigma per picture in pixels; 0 leaves it as it is."""
    chosen = sigma > 0
    if not bool(chosen.any()):
        return images
    radius = max(1, math.ceil(2.5 * float(sigma.max())))
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma[chosen, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)  # 3b, taps
    part = images[chosen]
    count, _, height, width = part.shape
    flat = F.pad(part, [radius] * 4, mode="replicate").flatten(0, 1)[None]  # 1, 3b, H+2r, W+2r
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=3 * count)
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=3 * count)
    images = images.clone()
    images[chosen] = flat.view(count, 3, height, width)
    return images


def _low_resolution(images: Tensor, side: Tensor) -> Tensor:
    """Each picture as if it had been `side` pixels wide; 0 leaves it as it is."""
    size = images.shape[-1]
    images = images.clone()
    for i in torch.nonzero(side > 0).flatten().tolist():
        small = F.interpolate(images[i : i + 1], size=int(side[i]), mode="area")
        images[i : i + 1] = F.interpolate(small, size=size, mode="bilinear", align_corners=False)
    return images
