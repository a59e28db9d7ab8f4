"""A network on labelled pictures: what it gives for each face, beside what is true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.data.folders import check_points
from aadn.data.samples import Sample
from aadn.errors import InputError
from aadn.evaluation.metrics import normalisers, point_errors
from aadn.evaluation.report import Report
from aadn.evaluation.scores import Measured
from aadn.evaluation.setting import Setting
from aadn.faces import TURNED_THRESHOLD, Face, uncovered
from aadn.geometry import Crop, beyond, read_map
from aadn.inference.landmarker import Landmarker
from aadn.occlude.cutouts import Cutouts
from aadn.occlude.evaluation import occlude_picture, occluder_rng
from aadn.schemes import Scheme

FloatArray = NDArray[np.float64]

MIN_OVERLAP = 0.3
"""A detected face is the labelled one if their boxes overlap at least so much (intersection over
union). Our choice: on 104 training pictures the boxes of libfacedetection, which was the detector
then, overlapped the right face's by 0.5 or more, and every other by less than 0.1."""


def evaluate(
    landmarker: Landmarker,
    samples: Sequence[Sample],
    setting: Setting | None = None,
    *,
    progress: bool | None = None,
) -> Report:
    """Run a network on labelled pictures and measure it.

    Args:
        landmarker: the network, and the detector for boxes that are found.
        samples: at least one; their `parts` are reported apart.
        setting: how; None for the usual one.
        progress: show a bar; None for a bar where the error output is a terminal.

    Raises:
        InputError: for settings out of range, or landmarks that the normaliser or the occluder
            needs and a sample lacks.
        ImageError, AnnotationError: for a picture or labels that are broken.
        NetworkError: if the network gives what no network may give.
    """
    card = landmarker.card
    setting = setting or Setting()
    setting.check()
    setting = replace(setting, normaliser=setting.normaliser or card.scheme.normaliser)
    _check_samples(samples, card.landmarks, setting)
    measured, predicted = _measured(landmarker, samples, setting, progress)
    turned = card.turned_threshold or TURNED_THRESHOLD
    thresholds = setting.threshold, card.visibility_threshold, turned
    parts = {
        part: measured[np.array([part in sample.parts for sample in samples])].scores(*thresholds)
        for part in dict.fromkeys(part for sample in samples for part in sample.parts)
    }
    scores = measured.scores(*thresholds)
    return Report(setting, card, scores, parts, samples, measured, predicted)


def _measured(
    landmarker: Landmarker, samples: Sequence[Sample], setting: Setting, progress: bool | None
) -> tuple[Measured, FloatArray]:
    """What is measured on the samples, and the predicted landmarks as `Report.predicted`."""
    scheme = landmarker.card.scheme
    lengths = np.concatenate([_length(sample, scheme, setting) for sample in samples])
    cutouts = None
    if setting.occlude != "none" and setting.occluders is not None:
        cutouts = Cutouts.load(Path(setting.occluders))
    visible = np.ones((len(samples), scheme.size))
    rows: list[int] = []  # of the faces found

    def cut_out() -> Iterator[tuple[NDArray[np.uint8], FloatArray, float]]:
        hide = progress if progress is None else not progress
        for i, sample in enumerate(tqdm(samples, "evaluating", unit="face", disable=hide)):
            image, visible[i] = prepare(sample, scheme, setting, cutouts)
            if setting.boxes == "truth":  # labelled faces count as upright, as in published figures
                rows.append(i)
                yield image, sample.box, 0.0
                continue
            found = landmarker.detect(image)
            best = matching(np.asarray(found.boxes, np.float64), sample.box)
            if best is not None:
                rows.append(i)
                yield image, np.asarray(found.boxes[best], np.float64), float(found.angles[best])

    faces = list(landmarker.align_each(cut_out(), level=setting.boxes == "detector"))
    predicted = np.full((*visible.shape, 2), np.nan)
    visibility, away, uncertainty, visible_map = (np.full(visible.shape, np.nan) for _ in range(4))
    for i, face in zip(rows, faces, strict=True):
        predicted[i], away[i] = face.points, face.turned_away
        visibility[i] = uncovered(face.visibility, face.turned_away)
        uncertainty[i], visible_map[i] = face.uncertainty, _map_at_points(face)
    truth = np.stack([sample.points for sample in samples])
    known = setting.occlude != "none" or all(sample.visible is not None for sample in samples)
    measured = Measured(
        100 * point_errors(predicted, truth, lengths),
        ~np.isin(np.arange(len(samples)), rows),
        visible if known else None,
        visibility,
        100 * uncertainty / lengths[:, None],
        visible_map,
        None if all(s.turned is None for s in samples) else _turned(samples, scheme.size),
        None if np.isnan(away).all() else away,
    )
    return measured, predicted


def _turned(samples: Sequence[Sample], landmarks: int) -> FloatArray:
    """(N, L) which landmarks the head itself hides, NaN where nobody says."""
    unknown = np.full(landmarks, np.nan)
    return np.array([unknown if s.turned is None else s.turned for s in samples])


def _check_samples(samples: Sequence[Sample], landmarks: int, setting: Setting) -> None:
    if not samples:
        raise InputError("expected at least one labelled face to evaluate on, got none")
    for sample in samples:
        if len(sample.points) != landmarks:
            raise InputError(
                f"{sample.image}: expected {landmarks} landmarks as the network gives, "
                f"got {len(sample.points)}"
            )
        if setting.occlude != "none" and not np.isfinite(sample.points).all():
            raise InputError(
                f"{sample.image}: an occluder needs all landmarks, but some are not labelled; "
                "evaluate with occlude='none'"
            )


def prepare(
    sample: Sample, scheme: Scheme, setting: Setting, cutouts: Cutouts | None = None
) -> tuple[NDArray[np.uint8], FloatArray]:
    """A sample's picture as it is measured, and which of its landmarks are visible there.

    Args:
        sample: a labelled face.
        scheme: whose landmarks it has.
        setting: what is put on the face.
        cutouts: those of `setting.occluders`.

    Returns:
        The picture (H, W, 3) uint8 RGB with its occluder; (L,) 1 seen, 0 hidden, NaN unknown.

    Raises:
        ImageError, AnnotationError: for a picture or labels that are broken.
    """
    image = sample.picture()
    height, width = image.shape[:2]
    check_points(sample, width, height)
    # What labels say of landmarks beyond the border stands, as in published figures.
    if sample.visible is None:
        visible = np.asarray(~beyond(sample.points, width, height), np.float64)
    else:
        visible = np.asarray(sample.visible, np.float64)
    if setting.occlude == "none":
        return image, visible
    # A file's folder counts even where it is the current one, and its path does not name it.
    path = sample.image.absolute() if sample.read is None else sample.image
    rng = occluder_rng(setting.seed, path, sample.scene)
    image, left = occlude_picture(image, sample.points, scheme, setting.occlude, rng, cutouts)
    return image, np.where(left, visible, 0.0)


def _length(sample: Sample, scheme: Scheme, setting: Setting) -> FloatArray:
    assert setting.normaliser is not None
    try:
        return normalisers(scheme, sample.points[None], setting.normaliser, sample.box[None])
    except InputError as error:
        raise InputError(f"{sample.image}: {error}") from None


def _map_at_points(face: Face) -> FloatArray:
    """The visible map P of a face's network, read at its landmarks, (L,); NaN without one."""
    crop = Crop.around(face.box, 1, face.crop_factor, face.angle)
    return 1 - read_map(face.occlusion, crop.to_units(face.points))


def matching(boxes: FloatArray, box: FloatArray) -> int | None:
    """Which of boxes (N, 4) overlaps `box` (4,) most; None if none does by MIN_OVERLAP."""
    if len(boxes) == 0:
        return None
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    common = np.clip(sides, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    overlap = common / (areas + (box[2:] - box[:2]).prod() - common)
    best = int(np.argmax(overlap))
    return best if overlap[best] >= MIN_OVERLAP else None
