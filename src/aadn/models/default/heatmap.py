"""Our default network: the paper's distillation before heatmaps, and landmarks that exchange.

Not in the paper; every width and layer here is our choice. What it keeps of the paper: the
attentioned distillation module finds what is hidden (P) and weighs it down, at every resolution;
geometry recovers it, by the geometry-aware module over the picture, by attention between the
landmarks and by the shape of faces.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aadn.errors import InputError
from aadn.geometry import to_units
from aadn.models.default.landmark_attention import LandmarkAttention
from aadn.models.default.layout import LAYOUTS, Layout
from aadn.models.default.separable import Separable
from aadn.models.default.shape_completion import ShapeCompletion
from aadn.models.default.turning import Turning
from aadn.models.network import Network
from aadn.models.paper.distillation import AttentionedDistillationModule
from aadn.models.paper.geometry_aware import GeometryAwareModule
from aadn.models.paper.resnet import Float32Linear, conv_bn_relu
from aadn.models.prediction import Prediction
from aadn.models.registry import Convolutions, Order

SHARPNESS = 8.0
"""Factor on the heatmaps' logits: they must span about ±10, far for weights that start near 0."""

LEAST_UNCERTAINTY = 1e-4
"""What the predicted distances are bounded below by, in crop units: about a hundredth of a pixel
of a crop of 128 pixels, far less than any label is exact to. It keeps the loss finite."""

FIRST_UNCERTAINTY = 0.02
"""What they start from, in crop units: about the error of a trained network."""


class HeatmapAadn(Network):
    """Heatmaps at a quarter of the input's resolution, refined by what landmarks say of others.

    Args:
        landmarks: L.
        reduction: r of the channel attention (eq. 3).
        order: of ADM's attentions.
        size: side of the input in pixels, a multiple of 16.
        mean_shape: (L, 2) the mean face, where `ShapeCompletion` starts.
        convolutions: whether the residual blocks' are whole or separable.
        turned: whether it tells which landmarks the head itself hides.
        layout: its widths and blocks, in place of those that `convolutions` names.

    Raises:
        InputError: `size` is no multiple of 16, or `mean_shape` of another shape.
    """

    def __init__(
        self,
        landmarks: int,
        *,
        reduction: int = 8,
        order: Order = "channel-spatial",
        size: int = 128,
        mean_shape: Tensor | None = None,
        convolutions: Convolutions = "whole",
        turned: bool = False,
        layout: Layout | None = None,
    ) -> None:
        super().__init__()
        if size < 32 or size % 16:
            raise InputError(f"expected a size that is a multiple of 16 pixels, got {size}")
        self.landmarks = landmarks
        self.size = size
        parts = layout or LAYOUTS[convolutions]
        w1, w2, w3, token = parts.width, 2 * parts.width, 4 * parts.width, parts.token
        self.stem = nn.Sequential(
            nn.Conv2d(3, w1 // 2, 3, 2, 1, bias=False),
            nn.BatchNorm2d(w1 // 2),
            nn.ReLU(inplace=True),
            nn.Conv2d(w1 // 2, w1, 3, 2, 1, bias=False),
            nn.BatchNorm2d(w1),
            nn.ReLU(inplace=True),
        )
        self.stage1 = parts.stage("stage1", w1, w1)
        self.stage2 = parts.stage("stage2", w1, w2, 2)
        self.stage3 = parts.stage("stage3", w2, w3, 2)
        self.distillation = AttentionedDistillationModule(w3, reduction, order, parts.map_width)
        self.geometry = GeometryAwareModule(w3, 32)
        self.context = nn.Linear(32 * 32, w2)
        self.top = conv_bn_relu(w3, w2, 1)
        self.lateral2 = conv_bn_relu(w2, w2, 1)
        self.up2 = parts.stage("up2", w2, w2)[0]
        self.narrow = conv_bn_relu(w2, w1, 1)
        self.lateral1 = conv_bn_relu(w1, w1, 1)
        self.up1 = parts.stage("up1", w1, w1)[0]
        _separate(self.stem, 3, parts.stem_rank)
        _separate(self.distillation.occlusion.features, 0, parts.map_rank)
        self.heatmap = nn.Conv2d(w1, landmarks, 1)
        # Tokens: what is seen at a landmark, coarse and fine, and where it is.
        self.fine = nn.Linear(w1, token)
        self.coarse = nn.Linear(w2, token)
        self.place = nn.Linear(2, token)
        self.name = nn.Parameter(torch.randn(landmarks, token) * 0.02)
        self.attention = nn.Sequential(
            *(LandmarkAttention(token, heads=4) for _ in range(parts.layers)),
            nn.LayerNorm(token),
        )
        self.shift = Float32Linear(token, 2)
        self.visibility = Float32Linear(token, 1)
        self.spread = Float32Linear(token, 1)
        self.turned = Turning(landmarks, token, width=parts.turning) if turned else None
        self.shape = ShapeCompletion(landmarks, mean_shape, width=parts.completion)
        nn.init.normal_(self.shift.weight, std=1e-3)
        nn.init.zeros_(self.shift.bias)
        nn.init.normal_(self.spread.weight, std=1e-3)
        first = FIRST_UNCERTAINTY - LEAST_UNCERTAINTY
        nn.init.constant_(self.spread.bias, math.log(math.expm1(first)))  # softplus gives `first`
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.heatmap.weight, std=0.01)
        # P starts near 0.9 everywhere: most of a face is seen, and nothing is gated away.
        nn.init.normal_(self.distillation.occlusion.conv.weight, std=0.01)
        assert self.distillation.occlusion.conv.bias is not None
        nn.init.constant_(self.distillation.occlusion.conv.bias, 2.0)

    def forward(self, image: Tensor) -> Prediction:
        """Image (B, 3, S, S), ImageNet mean/std -> Prediction, its heatmaps (B, L, S/4, S/4).

        `points` are refined; `soft_argmax(heatmaps)` are the points before the refinement.
        """
        c1 = self.stage1(self.stem(image))  # (B, w1, S/4, S/4)
        c2 = self.stage2(c1)  # (B, w2, S/8, S/8)
        f = self.stage3(c2)  # (B, w3, S/16, S/16)
        clean, visible_map = self.distillation(f)  # (B, w3, S/16, S/16), (B, S/16, S/16)
        context = self.context(self.geometry(f).to(f.dtype))  # (B, w2)
        p2 = self.top(clean) + context[:, :, None, None]
        map2, map1 = (_enlarged(visible_map[:, None], factor) for factor in (2, 4))
        p2 = self.up2(_enlarged(p2, 2) + self.lateral2(c2) * map2)  # (B, w2, S/8, S/8)
        p1 = _enlarged(self.narrow(p2), 2) + self.lateral1(c1) * map1
        p1 = self.up1(p1)  # (B, w1, S/4, S/4)
        heatmaps = SHARPNESS * self.heatmap(p1).float()  # (B, L, S/4, S/4)
        weights = torch.softmax(heatmaps.flatten(2), dim=2)  # (B, L, S/4·S/4)
        points = expectation(weights, heatmaps.shape[3])  # (B, L, 2)

        weights = weights.to(p1.dtype)
        coarse = _halved(weights.view_as(heatmaps)).flatten(2)
        tokens = self.fine(weights @ p1.flatten(2).transpose(1, 2))  # (B, L, token)
        tokens = tokens + self.coarse(coarse @ p2.flatten(2).transpose(1, 2))
        tokens = tokens + self.place(points.detach() * 2 - 1) + self.name
        tokens = self.attention(tokens)
        points = points + self.shift(tokens)
        visibility = self.visibility(tokens).squeeze(2)
        uncertainty = LEAST_UNCERTAINTY + F.softplus(self.spread(tokens).squeeze(2))
        # No gradient to what is known of the points: it is not to be bent to make them fit.
        known = torch.sigmoid(visibility.detach()), uncertainty.detach()
        points = points + self.shape(points, *known)
        turned = None
        if self.turned is not None:
            turned = self.turned(self.shape.mean, points, known[0], tokens)
        return Prediction(points, visibility, visible_map, heatmaps, uncertainty, turned)

    def entry(self) -> nn.Conv2d:
        """The stem's first convolution."""
        first = self.stem[0]
        assert isinstance(first, nn.Conv2d)
        return first

    def regularisation(self) -> Tensor:
        """0: there is no M here. A scalar."""
        return self.name.new_zeros(())


def _separate(sequence: nn.Sequential, place: int, rank: int | None) -> None:
    """Make a convolution of a sequence separable, of this rank if it has one."""
    whole = sequence[place]
    assert isinstance(whole, nn.Conv2d)
    if rank is not None:
        sequence[place] = Separable.like(whole, rank)


def _enlarged(x: Tensor, factor: int) -> Tensor:
    """(B, C, h, w) -> (B, C, factor·h, factor·w), bilinear."""
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def _halved(weights: Tensor) -> Tensor:
    """(B, L, H, W) -> (B, L, H/2, W/2), the sum of each 2×2 cells; faster than average pooling."""
    batch, count, height, width = weights.shape
    rows = weights.view(batch, count, height // 2, 2 * width)
    rows = rows[..., :width] + rows[..., width:]
    pairs = torch.eye(width // 2, dtype=weights.dtype, device=weights.device)
    return rows @ pairs.repeat_interleave(2, 0)


def expectation(weights: Tensor, width: int) -> Tensor:
    """Mean place under weights (B, L, H·W) that sum to 1, in crop units (B, L, 2)."""
    height = weights.shape[2] // width
    x = to_units(torch.arange(width, device=weights.device, dtype=weights.dtype), width)
    y = to_units(torch.arange(height, device=weights.device, dtype=weights.dtype), height)
    grid = weights.view(*weights.shape[:2], height, width)
    return torch.stack([(grid.sum(2) * x).sum(2), (grid.sum(3) * y).sum(2)], dim=2)


def soft_argmax(heatmaps: Tensor) -> Tensor:
    """Expected place of each landmark under its heatmap's softmax.

    Heatmap logits (B, L, H, W) -> (B, L, 2) in crop units.
    """
    return expectation(torch.softmax(heatmaps.flatten(2), dim=2), heatmaps.shape[3])
