"""What training minimises: eq. 1 of the paper, a visibility term beside it, and our own terms."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from aadn.models.default.heatmap import soft_argmax
from aadn.models.prediction import Prediction

SIGMA = 0.8
"""Standard deviation of the heatmaps' Gaussian in cells (our choice)."""


def total_loss(
    prediction: Prediction,
    points: Tensor,
    visible: Tensor,
    turned: Tensor,
    face: Tensor,
    visible_map: Tensor,
    regularisation: Tensor,
    weight: dict[str, float],
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum, and each term before weighting.

    Args:
        prediction: of a batch.
        points: (B, L, 2) in crop units; rows with NaN are not labelled and do not count.
        visible: (B, L) 1 seen, 0 hidden, NaN unknown.
        turned: (B, L) 1 turned away, 0 not, NaN unknown.
        face: (B, M, M) share of each cell of the crop that is face, as far as `visible_map` is
            known.
        visible_map: (B, M, M) share of each cell that nothing covers.
        regularisation: scalar, ‖M‖_*.
        weight: of each term, as LossWeights.for_model gives it.
    """
    terms: dict[str, Tensor] = {}
    labelled = torch.isfinite(points).all(dim=2)
    target = torch.where(labelled[..., None], points, 0.0)
    error = torch.where(labelled[..., None], prediction.points - target, 0.0)
    if weight["squared"]:
        terms["squared"] = squared_error(error)
    if weight["absolute"]:
        count = labelled.sum().clamp(min=1)
        terms["absolute"] = error.abs().sum() / count / 2
        if prediction.heatmaps is not None:
            first = torch.where(labelled[..., None], soft_argmax(prediction.heatmaps) - target, 0.0)
            terms["absolute"] = terms["absolute"] + 0.5 * first.abs().sum() / count / 2
    if weight["nuclear"]:
        terms["nuclear"] = regularisation
    if weight["visibility"]:
        terms["visibility"] = known_cross_entropy(prediction.visibility, visible)
    if weight["turned"] and prediction.turned is not None:
        terms["turned"] = known_cross_entropy(prediction.turned, turned)
    if weight["heatmap"] and prediction.heatmaps is not None:
        terms["heatmap"] = heatmap_loss(prediction.heatmaps, target, labelled)
    if weight["visible_map"] and prediction.visible_map is not None:
        terms["visible_map"] = visible_map_loss(prediction.visible_map, face, visible_map)
    if weight["uncertainty"] and prediction.uncertainty is not None:
        terms["uncertainty"] = uncertainty_loss(prediction.uncertainty, error, labelled)
    total = sum((weight[name] * term for name, term in terms.items()),
                start=torch.zeros((), device=points.device))  # fmt: skip
    return total, terms


def known_cross_entropy(logits: Tensor, true: Tensor) -> Tensor:
    """Binary cross-entropy of logits (B, L) with true (B, L), mean over those that are not NaN."""
    known = torch.isfinite(true)
    target = torch.where(known, true, 0.0)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * known).sum() / known.sum().clamp(min=1)


def squared_error(error: Tensor) -> Tensor:
    """The first term of eq. 1: (1/N) Σ_i ‖error_i‖², error (N, L, 2) with 0 where unlabelled."""
    return error.square().sum(dim=(1, 2)).mean()


def heatmap_loss(heatmaps: Tensor, points: Tensor, labelled: Tensor) -> Tensor:
    """Cross-entropy of softmax(heatmaps) (B, L, H, W) with a Gaussian at points (B, L, 2).

    The Gaussian's deviation is SIGMA cells; unlabelled landmarks and those beyond the map do not
    count.
    """
    height, width = heatmaps.shape[2:]
    x = torch.arange(width, device=heatmaps.device) + 0.5 - points[..., 0, None] * width  # B L W
    y = torch.arange(height, device=heatmaps.device) + 0.5 - points[..., 1, None] * height
    gx, gy = (torch.exp(-0.5 * (d / SIGMA) ** 2) for d in (x, y))
    mass = gx.sum(2) * gy.sum(2)  # B L
    counted = labelled & (mass > 0.5 * 2 * torch.pi * SIGMA**2)
    logits = torch.log_softmax(heatmaps.flatten(2), dim=2).view_as(heatmaps)
    expected = torch.einsum("blh,blhw,blw->bl", gy, logits, gx) / mass.clamp(min=1e-6)
    return -(expected * counted).sum() / counted.sum().clamp(min=1)


def uncertainty_loss(expected: Tensor, error: Tensor, labelled: Tensor) -> Tensor:
    """Mean over the labelled of log b + d / b: d = ‖error‖ (B, L, 2), b the expected d (B, L) > 0.

    The negative log-likelihood of d under an exponential distribution of mean b, lowest where b is
    the mean of d. No gradient goes to the error: nothing is won by making it larger or smaller
    (our choice).
    """
    distance: Tensor = torch.linalg.vector_norm(error.detach(), dim=2)
    loss = expected.log() + distance / expected
    return (loss * labelled).sum() / labelled.sum().clamp(min=1)


def visible_map_loss(predicted: Tensor, face: Tensor, true: Tensor) -> Tensor:
    """Binary cross-entropy of P (B, h, w) with what nothing covers, weighted by the face.

    `face` and `true` (B, M, M) are averaged down to P's grid.
    """
    size = (predicted.shape[1], predicted.shape[2])
    # Covered and face are averaged together: a cell counts by its face, not its background.
    weight = F.adaptive_avg_pool2d(face[:, None], size)[:, 0]
    target = F.adaptive_avg_pool2d(true[:, None], size)[:, 0].clamp(0, 1)
    probability = predicted.float().clamp(1e-4, 1 - 1e-4)
    loss = -(target * probability.log() + (1 - target) * (1 - probability).log())
    return (loss * weight).sum() / weight.sum().clamp(min=1e-6)
