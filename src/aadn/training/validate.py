"""A network in training, measured on the validation faces as they are and occluded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aadn.errors import NetworkError
from aadn.evaluation.metrics import best_threshold, normalisers, point_errors
from aadn.evaluation.scores import Measured, Scores
from aadn.faces import VISIBILITY_THRESHOLD
from aadn.geometry import grid_units
from aadn.inference.backend import CHUNK
from aadn.models.build import build
from aadn.models.network import Network
from aadn.models.prediction import Prediction
from aadn.schemes import Normaliser
from aadn.training import augment
from aadn.training.augment import STILL, Draw
from aadn.training.config import TrainConfig
from aadn.training.crops import CropSet
from aadn.training.faces import normaliser

FAILURE = 8.0
"""Threshold of failure rate and AUC in percent, as evaluation usually has it; neither is kept."""

Named = dict[str, Tensor]


def validate(
    config: TrainConfig, weights: Named, crops: CropSet, device: torch.device, half: bool
) -> dict[str, float | None]:
    """The figures of a network's weights on crops as they are and with training's occluders.

    `nme` (percent of `normaliser`) and `turned_auc` of the crops as they are, and the
    `turned_threshold` that finds what is turned away best; of the occluded ones `nme_occluded`
    and, as in `Scores`, `visibility_auc`, `map_auc`, `calibration_error` and `uncertainty_ratio`;
    of both the best `visibility_threshold`. Rounded to four digits; None where undefined.
    Raises NetworkError if the network gives what is not finite.
    """
    network = build(config.model)
    network.load_state_dict(weights)
    network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    stored, kind = torch.from_numpy(crops.images).to(device), normaliser(config, crops.scheme)
    seed = config.split_seed + 1
    plain, occluded = (
        measured(
            network,
            Draw(crops, network.size, seed, STILL, occluders=occluders),
            stored,
            kind,
            half=half,
        )
        for occluders in (False, True)
    )
    clean, scores = _scores(plain), _scores(occluded)
    return {
        "nme": _rounded(clean.nme),
        "visibility_auc": _rounded(scores.visibility_auc),
        "map_auc": _rounded(scores.map_auc),
        "calibration_error": _rounded(scores.calibration_error),
        "uncertainty_ratio": _rounded(scores.uncertainty_ratio),
        "nme_occluded": _rounded(scores.nme),
        # Faces as they are count too: with occluded ones alone, far more would be hidden than in
        # use.
        "visibility_threshold": _threshold(plain, occluded),
        "turned_auc": _rounded(clean.turned_auc),
        "turned_threshold": _turned_threshold(plain),
    }


def measured(
    network: Network, draws: Draw, stored: Tensor, kind: Normaliser, *, half: bool
) -> Measured:
    """What a network gives for the draws of epoch 0, beside what is true."""
    points, visibility, uncertainty, visible_map, away, truth, visible, turned = (
        np.concatenate(part).astype(np.float64)
        for part in zip(*_parts(network, draws, stored, half), strict=True)
    )
    if not (np.isfinite(points).all() and np.isfinite(visibility).all()):
        raise NetworkError(
            "the network gives points or visibility that are not finite: its weights are broken; "
            "train with a lower --learning-rate"
        )
    lengths = normalisers(draws.scheme, truth, kind)
    return Measured(
        100 * point_errors(points, truth, lengths),
        np.zeros(len(points), bool),
        visible,
        visibility,
        100 * uncertainty / lengths[:, None],
        visible_map,
        turned,
        None if np.isnan(away).all() else away,
    )


def _parts(
    network: Network, draws: Draw, stored: Tensor, half: bool
) -> Iterator[tuple[np.ndarray, ...]]:
    """For each chunk the arrays of `measured`, points and uncertainty in crop units."""
    for prediction, drawn in predictions(network, draws, stored, half):
        points, visibility = prediction.points.float(), torch.sigmoid(prediction.visibility.float())
        uncertainty = visible_map = away = torch.full_like(visibility, torch.nan)
        if prediction.uncertainty is not None:
            uncertainty = prediction.uncertainty.float()
        if prediction.visible_map is not None:
            visible_map = _at(prediction.visible_map.float(), points)
        if prediction.turned is not None:
            away = torch.sigmoid(prediction.turned.float())
        given = points, visibility, uncertainty, visible_map, away
        true = tuple(drawn[name] for name in ("points", "visible", "turned"))
        yield tuple(part.cpu().numpy() for part in (*given, *true))


def predictions(
    network: Network, draws: Draw, stored: Tensor, half: bool
) -> Iterator[tuple[Prediction, Named]]:
    """The network's answers to the draws of epoch 0 in their order, by chunks."""
    device = stored.device
    for start in range(0, len(draws), CHUNK):
        rows = [draws[(0, i)] for i in range(start, min(start + CHUNK, len(draws)))]
        drawn = torch.utils.data.default_collate(rows)
        drawn = {key: t.to(device) for key, t in drawn.items()}
        images = augment.apply(stored, drawn).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
            prediction = network(images)
        yield prediction, drawn


def _at(maps: Tensor, points: Tensor) -> Tensor:
    """Maps (B, h, w) read at points (B, L, 2) in crop units, bilinear; (B, L)."""
    places = grid_units(points)[:, :, None]  # B L 1 2
    read = F.grid_sample(maps[:, None], places, "bilinear", "border", align_corners=False)
    return read[:, 0, :, 0]


def _scores(faces: Measured) -> Scores:
    return faces.scores(FAILURE, VISIBILITY_THRESHOLD)


def _threshold(*parts: Measured) -> float | None:
    """The visibility threshold that finds hidden landmarks best."""
    given, true = [], []
    for part in parts:
        assert part.visible is not None
        known = np.isfinite(part.visible)
        given.append(part.visibility[known])
        true.append(part.visible[known] > 0.5)
    return best_threshold(np.concatenate(given), np.concatenate(true))


def _turned_threshold(faces: Measured) -> float | None:
    """The threshold that finds best what is turned away; None where nothing is known of it."""
    if faces.away is None or faces.turned is None:
        return None
    known = np.isfinite(faces.turned)
    chosen = best_threshold(1 - faces.away[known], faces.turned[known] < 0.5)
    return None if chosen is None else round(1 - chosen, 2)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
