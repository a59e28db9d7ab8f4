"""Which cells of the face detector's grids shall find which face, and its loss.

Cells are assigned by how well they already find a face (task-aligned assignment: Feng et al., TOOD,
ICCV 2021), among those in the face whose stride fits its size. The score learns the overlap of the
box that it comes with (quality focal loss: Li et al., NeurIPS 2020); overlaps are of boxes in the
face's own upright frame, so that the angle has a loss of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

TOP = 9
"""Cells for each face."""

SIZES = (0.8, 7.0)
"""Sides of a face, in strides, that a grid finds; the first finds smaller ones too, the last larger
ones."""

WEIGHTS = {"score": 1.0, "box": 2.0, "angle": 0.5}
"""Of the terms of the loss (our choice, as all constants here)."""


@dataclass(frozen=True)
class Truth:
    """The faces of B pictures.

    Attributes:
        faces: (B, M, 6) as `scenes.Scene` has them, angles in degrees.
        there: (B, M) bool: which rows are faces.
        ignored: (B, K, 4) x0, y0, x1, y1; rows without extent are none.
    """

    faces: Tensor
    there: Tensor
    ignored: Tensor

    def to(self, device: torch.device) -> Truth:
        """The same on a device."""
        return Truth(self.faces.to(device), self.there.to(device), self.ignored.to(device))


def losses(raw: Tensor, middles: Tensor, strides: Tensor, truth: Truth) -> dict[str, Tensor]:
    """The loss and its terms.

    Args:
        raw: (B, C, 7) of the network.
        middles: (C, 2), strides: (C,), see `models.face_detector.cell_middles`.
        truth: of the same pictures.
    """
    raw = raw.float()
    score, where, angle = raw[..., 0], raw[..., 1:5], raw[..., 5:7]
    with torch.no_grad():
        chosen, quality = assign(score.sigmoid(), where, middles, strides, truth)
    positive = chosen >= 0
    row = chosen.clamp(min=0)
    faces = truth.faces.gather(1, row[..., None].expand(-1, -1, 6))
    found = positive.nonzero(as_tuple=True)
    target = torch.where(positive, quality, 0.0)
    ignored = _within(middles, truth.ignored) & ~positive
    focal = (target - score.sigmoid()).abs().square()
    per_cell = focal * F.binary_cross_entropy_with_logits(score, target, reduction="none")
    count = target.sum().clamp(min=1.0)
    terms = {"score": (per_cell * ~ignored).sum() / count}
    weight, face = target[found], faces[found]
    cells, steps = middles[found[1]], strides[found[1]]
    overlap, near = _compared(where[found], cells, steps, face)
    terms["box"] = (weight * (1 - overlap + near)).sum() / count
    turned = torch.deg2rad(face[:, 4])
    true = torch.stack([turned.cos(), turned.sin()], -1)
    # Not normalised: the difference itself, which also holds the vector's length at one.
    terms["angle"] = (weight * face[:, 5] * (angle[found] - true).square().sum(-1)).sum() / count
    loss = sum(WEIGHTS[name] * term for name, term in terms.items())
    assert isinstance(loss, Tensor)
    return {"loss": loss, **terms}


def assign(
    score: Tensor, where: Tensor, middles: Tensor, strides: Tensor, truth: Truth
) -> tuple[Tensor, Tensor]:
    """For each cell the face that it shall find, and how good it shall say it is.

    Returns:
        chosen (B, C): the face's row, -1 for none; quality (B, C) in [0, 1].
    """
    faces = truth.faces[:, :, None]  # B M 1 6
    count = faces.shape[1]
    offset = middles - faces[..., :2]  # B M C 2
    turned = torch.deg2rad(faces[..., 4])
    across = offset[..., 0] * turned.cos() + offset[..., 1] * turned.sin()
    down = -offset[..., 0] * turned.sin() + offset[..., 1] * turned.cos()
    size = faces[..., 2:4]
    radius = torch.hypot(across / size[..., 0], down / size[..., 1])
    inside = (radius < 0.5) | (torch.hypot(across, down) < 0.75 * strides)
    side = size.prod(-1).sqrt() / strides
    low, high = (strides == strides.min()), (strides == strides.max())
    fits = ((side >= SIZES[0]) | low) & ((side < SIZES[1]) | high)
    candidate = inside & fits & truth.there[:, :, None]
    overlap, _ = _compared(where[:, None], middles, strides, faces)  # B M C
    overlap = overlap.clamp(min=0)
    alignment = (score[:, None].sqrt() * overlap.pow(4) + 1e-9) * candidate
    best, cells = alignment.topk(min(TOP, alignment.shape[2]), dim=2)
    taken = torch.zeros_like(alignment, dtype=torch.bool).scatter_(2, cells, best > 0)
    # A cell that several faces want goes to the one it overlaps most.
    rank = torch.where(taken, overlap + 1e-6, torch.zeros_like(overlap))
    most, chosen = rank.max(dim=1)
    chosen = torch.where(most > 0, chosen, -1)
    owned = taken & (chosen[:, None] == torch.arange(count, device=chosen.device)[None, :, None])
    # As in TOOD: the face's best aligned cell shall say its best overlap, the others less.
    alignment = alignment * owned
    scaled = alignment / alignment.amax(2, keepdim=True).clamp(min=1e-9)
    top = (overlap * owned).amax(2, keepdim=True)
    quality = (scaled * top.clamp(min=0.1)).amax(1)
    return chosen, quality


def _compared(
    where: Tensor, middles: Tensor, strides: Tensor, faces: Tensor
) -> tuple[Tensor, Tensor]:
    """Overlap of boxes and faces in the face's frame, and how far apart the two lie.

    Args:
        where: (..., 4) offsets and logarithms of sizes in strides.
        middles: (..., 2), strides: (...), of the cells.
        faces: (..., 6).

    Returns:
        Intersection over union (...), and the middles' squared distance over the squared diagonal
        of both (as in DIoU: Zheng et al., AAAI 2020).
    """
    middle = middles + where[..., :2] * strides[..., None]
    size = where[..., 2:4].clamp(max=6).exp() * strides[..., None]
    offset = middle - faces[..., :2]
    turned = torch.deg2rad(faces[..., 4])
    cos, sin = turned.cos(), turned.sin()
    across = offset[..., 0] * cos + offset[..., 1] * sin
    down = offset[..., 1] * cos - offset[..., 0] * sin
    shift = torch.stack([across, down], -1).abs()
    true = faces[..., 2:4]
    common = (
        torch.minimum(torch.minimum((size + true) / 2 - shift, size), true).clamp(min=0).prod(-1)
    )
    union = size.prod(-1) + true.prod(-1) - common
    around = torch.maximum((size + true) / 2 + shift, torch.maximum(size, true))
    far = shift.square().sum(-1) / around.square().sum(-1)
    return common / union.clamp(min=1e-6), far


def _within(middles: Tensor, boxes: Tensor) -> Tensor:
    """Which cells (B, C) lie in one of a picture's boxes (B, K, 4)."""
    x, y = middles[:, 0], middles[:, 1]
    x0, y0, x1, y1 = (boxes[..., None, i] for i in range(4))
    return ((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)).any(1)
