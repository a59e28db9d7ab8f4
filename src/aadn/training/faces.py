"""Which faces are trained and which are validated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aadn.data.release import read_release
from aadn.data.releases import RELEASES
from aadn.data.samples import Sample, content_of, hold_out
from aadn.data.sources import read_sources
from aadn.data.visibility_labels import with_visibility
from aadn.errors import AnnotationError, InputError
from aadn.evaluation.metrics import normalisers
from aadn.geometry import CROP_FACTOR
from aadn.inference.backend import box_transform
from aadn.inference.detectors import IDENTITY, BoxTransform, default_detector
from aadn.models import checkpoint
from aadn.schemes import IBUG68, Normaliser, Scheme
from aadn.training.closed_eyes import with_closed_eyes
from aadn.training.config import TrainConfig
from aadn.training.crops import CropSet, cut_crops
from aadn.training.detector_box import detector_box
from aadn.training.head import HeadModel
from aadn.training.resume import LAST
from aadn.training.self_occlusion import SelfOcclusion
from aadn.training.start import resolved


@dataclass(frozen=True)
class Data:
    """The faces of a run, cut out: read once, trained on as often as one likes.

    An epoch is `rows`, (R,) indices of training faces, some of them several times. `labelled`
    (N,) says of each training face whether its visibility is labelled by people or a release.
    `detector_box` is that of points other than iBUG's, see `aadn.training.detector_box`.
    """

    training: CropSet
    validation: CropSet
    rows: NDArray[np.int64]
    labelled: NDArray[np.bool_]
    detector_box: BoxTransform | None = None


def load(config: TrainConfig) -> Data:
    """Read the faces that a configuration trains and validates on; raises AadnError."""
    config = resolved(config)
    scheme, size = config.landmark_scheme, config.model.input_size
    training, validation = split(config, scheme)
    rows = _rows(training, config)
    box, factor = _cut_by(config, training)
    validated = cut_crops(validation, scheme, size, factor=factor, title="reading validation faces")
    # Labels that cannot be measured are found before, not after, an epoch.
    normalisers(scheme, validated.points, normaliser(config, scheme))
    labelled = np.array([sample.visible is not None for sample in training])
    trained = cut_crops(training, scheme, size, factor=factor, title="reading training faces")
    if config.head_model is not None:
        head = SelfOcclusion(HeadModel.load(config.head_model))
        trained, validated = (head.labelled(crops) for crops in (trained, validated))
    if config.closed_eyes > 0:
        count = len(labelled)
        trained, again = with_closed_eyes(trained, config.closed_eyes, config.seed)
        labelled = np.concatenate([labelled, labelled[again]])
        rows = np.concatenate([rows, count + np.arange(len(again))])
    times = -(-config.epoch_faces // len(rows))
    return Data(trained, validated, np.tile(rows, times), labelled, box)


def _cut_by(config: TrainConfig, training: list[Sample]) -> tuple[BoxTransform | None, float]:
    """Where the faces lie in the detector's boxes, and the crop factor: a resumed run's own."""
    last = config.out / LAST
    if config.resume and last.exists():
        state = checkpoint.load(last).state
        if "crop_factor" in state:  # not yet in aadn 0.2
            return box_transform(state["detector_box"]), float(state["crop_factor"])
    of_ibug = config.landmark_scheme == IBUG68
    box = None if of_ibug else detector_box(training, default_detector())
    return box, crop_factor(config, box)


def crop_factor(config: TrainConfig, box: BoxTransform | None) -> float:
    """What the network sees of a face over the box around its landmarks, see `TrainConfig`.

    `box` is where landmarks that are not iBUG's lie in the detector's boxes. These are about as the
    boxes around iBUG's landmarks, and about square.
    """
    if config.crop_factor or config.initial_file is None:
        return config.crop_factor or CROP_FACTOR
    initial = checkpoint.load(config.initial_file)
    known = float(initial.state.get("crop_factor", CROP_FACTOR))
    if initial.scheme == config.landmark_scheme or box is None:
        return known
    there = box_transform(initial.state.get("detector_box")) or IDENTITY
    return round(known * max(there.width, there.height) / max(box.width, box.height), 3)


def normaliser(config: TrainConfig, scheme: Scheme) -> Normaliser:
    """What validation divides errors by: the scheme's usual length.

    The box where the protocol of the release is one of boxes: its eye corners may not be labelled.
    """
    release = RELEASES[config.benchmark] if config.benchmark else None
    if release and release.normaliser in ("box", "width"):
        return "box"
    return scheme.normaliser


def split(config: TrainConfig, scheme: Scheme) -> tuple[list[Sample], list[Sample]]:
    """Training and validation samples; InputError if either is empty or they share pictures."""
    samples = _of_folders(config.folders, scheme)
    given, more = (_of_folders(part, scheme) for part in (config.validation, config.more_folders))
    labelled = with_visibility([*samples, *given, *more], config.visibility_labels, scheme.size)
    samples, more = labelled[: len(samples)], labelled[len(samples) + len(given) :]
    given = labelled[len(samples) : len(samples) + len(given)]
    training, validation = hold_out(
        samples + _of_release(config, scheme), config.hold_out, config.split_seed
    )
    training += more
    if given:
        known = {content_of(sample) for sample in training}
        if shared := [sample for sample in given if content_of(sample) in known]:
            raise InputError(
                f"{len(shared)} of the --validation pictures are training pictures too, "
                f"{shared[0].image} for example; leave them out of one of the two"
            )
    validation += given
    for name, part in (("training", training), ("validation", validation)):
        if not part:
            raise InputError(
                f"no {name} samples are left: expected more pictures, or another --hold-out "
                f"(now {config.hold_out}) or --validation"
            )
    return training, validation


def _of_folders(folders: Sequence[Path], scheme: Scheme) -> list[Sample]:
    """The samples of folders; AnnotationError if they have other points than the scheme."""
    samples = read_sources(folders) if folders else []
    if samples and len(samples[0].points) != scheme.size:
        raise AnnotationError(
            f"{samples[0].image}: expected {scheme.size} landmarks ({scheme.name}), got "
            f"{len(samples[0].points)}; name the labels' scheme with --scheme"
        )
    return samples


def _of_release(config: TrainConfig, scheme: Scheme) -> list[Sample]:
    """The training samples of the configuration's release, if it names one."""
    if config.benchmark is None:
        return []
    release = RELEASES[config.benchmark]
    if release.scheme != scheme:
        raise InputError(
            f"{release.title} has {release.landmarks} landmarks ({release.scheme.name}), the "
            f"network {scheme.size} ({scheme.name}); add --scheme {release.scheme.name}"
        )
    if config.data is None:
        raise InputError(f"expected --data, the folder of {release.title}")
    return read_release(release, config.data, "train")


def _rows(training: Sequence[Sample], config: TrainConfig) -> NDArray[np.int64]:
    """The training samples of an epoch, see `Data`."""
    rows = list(range(len(training)))
    for folder in map(str, config.twice):
        again = [row for row, sample in enumerate(training) if folder in sample.parts]
        if not again:
            folders = ", ".join(map(str, config.folders))
            raise InputError(
                f"expected --twice to name training folders with faces of their own ({folders}); "
                f"got {folder}"
            )
        rows += again
    return np.array(rows)
