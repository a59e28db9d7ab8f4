"""What to train and how, as plain values: read by the command line without PyTorch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from aadn.data.release import Benchmark
from aadn.errors import InputError
from aadn.inference.weights import checkpoint_file
from aadn.models.registry import NETWORKS, ModelConfig, ModelName
from aadn.schemes import IBUG68, Scheme, find_scheme, scheme_of

Tell = Callable[[str], None]
"""Takes what a run has to say, a line at a time."""


def nothing(line: str) -> None:
    """A `Tell` that keeps still."""


@dataclass(frozen=True)
class DataConfig:
    """Which faces, and where the result goes.

    Attributes:
        folders: Folders of pictures with .pts files to train on (300W's layout), or files of COCO,
            CVAT, Label Studio, imglab or menpo, see `aadn convert`.
        out: Folder for what the run leaves.
        more_folders: Others, of whose faces none is held out.
        benchmark: A release whose training part is added to the folders.
        data: The folder of that release.
        scheme: The landmark scheme of the labels: aflw19, cofw29, ibug68, wflw98, or a .toml file
            that describes another. It sets the number of landmarks. If left out, the number of
            landmarks chooses among the known ones.
        validation: Folders to validate on, beside the held-out part of the training data.
        hold_out: Share of the training data to validate on; faces of one picture stay together.
        occluders: Folders of RGBA cut-outs to use beside the drawn occluders: masks, sunglasses and
            things, and folders named hands and hair.
        closed_eyes: Share of the training faces that are there once more with their eyes closed, by
            warping the picture (iBUG's landmarks).
        head_model: A 3D model of heads (.npz; docs/training.md says what is in it). Fitted to each
            training face, it says which landmarks the head itself hides, and the network learns
            to tell them from those that something covers.
    """

    folders: tuple[Path, ...]
    out: Path
    more_folders: tuple[Path, ...] = ()
    benchmark: Benchmark | None = None
    data: Path | None = None
    scheme: str | None = None
    validation: tuple[Path, ...] = ()
    hold_out: float = 0.1
    occluders: tuple[Path, ...] = ()
    closed_eyes: float = 0.0
    head_model: Path | None = None


@dataclass(frozen=True)
class ScheduleConfig:
    """How long, and from which weights of a trunk.

    Attributes:
        epochs: Passes over the training data.
        epoch_faces: Faces of an epoch at least: fewer are gone through several times, each time
            drawn anew.
        batch: Faces per step, over all processes.
        learning_rate: Highest learning rate of AdamW: it warms up, then falls as a cosine to 0. If
            it is 0, 1.5e-3 is taken, and 3e-4 where a run starts from an initial network.
        warmup: Steps of linear warm-up, but at most a tenth of the run (our choice).
        trunk: Weights that the trunk of the paper's networks starts from: a file of a ResNet-18
            (.safetensors, .pth), a checkpoint of resnet18 trained here, or "resnet18" to fetch
            ImageNet's.
    """

    epochs: int = 60
    epoch_faces: int = 256
    batch: int = 32
    learning_rate: float = 0.0
    warmup: int = 500
    trunk: str | None = None


@dataclass(frozen=True)
class MachineConfig:
    """What it runs on.

    Attributes:
        workers: Processes that draw augmentation; -1 takes one for each core but one, at most 16
            (4 where processes are not forked, and each has a copy of the faces).
        device: One of auto, cpu, cuda and cuda:N.
        precision: Number format of the computation; auto takes bf16 where it is faster: on
            GPUs that have it, and on processors where a short trial shows it.
    """

    workers: int = -1
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"


@dataclass(frozen=True)
class LossWeights:
    """How much each term of the loss counts; 0 leaves it out, None takes the network's own weight.

    Attributes:
        squared: Eq. 1's (1/N) Σ ‖S̆ - S‖², coordinates in crop units.
        absolute: Mean |S̆ - S| in crop units, of the points and, if there are heatmaps, of the
            points before refinement, half as much.
        nuclear: α of eq. 1, the weight of ‖M‖_*.
        visibility: Cross-entropy of each landmark's visibility, mean over the known ones.
        heatmap: Cross-entropy between heatmaps and a Gaussian around the truth.
        visible_map: Cross-entropy between P and where, on the face, nothing covers it.
        uncertainty: Negative log-likelihood of each landmark's distance to the truth under an
            exponential distribution of the predicted mean (heatmap).
        turned: Cross-entropy of whether the head itself hides each landmark, mean over those of
            which the head model says it (heatmap, with --head-model).
        teacher: Distance of the network's features from the teacher's, over their variance
            (heatmap, with --teacher).
    """

    squared: float | None = None
    absolute: float | None = None
    nuclear: float | None = None
    visibility: float | None = None
    heatmap: float | None = None
    # --loss.seen is what aadn 0.1 called it.
    visible_map: Annotated[float | None, tyro.conf.arg(aliases=["--loss.seen"])] = None
    uncertainty: float | None = None
    turned: float | None = None
    teacher: float | None = None

    def check(self, name: ModelName) -> None:
        """Raise InputError for a weight out of range, and for a term that a network cannot have."""
        possible = NETWORKS[name].terms
        for term, weight in dataclasses.asdict(self).items():
            option = f"--loss.{term.replace('_', '-')}"
            if weight is not None and not 0 <= weight < math.inf:
                raise InputError(f"expected {option} of 0 or more, got {weight}")
            if weight and term not in possible:
                raise InputError(
                    f"{option} means nothing for {name}: its loss may have {', '.join(possible)}"
                )

    def for_model(self, name: ModelName) -> dict[str, float]:
        """Every term's weight for a network."""
        given = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        terms = dict.fromkeys(dataclasses.asdict(self), 0.0)
        return terms | dict(NETWORKS[name].loss) | given


@dataclass(frozen=True)
class TrainConfig(MachineConfig, ScheduleConfig, DataConfig):
    """What to train, on what and for how long. Defaults are our choice.

    Attributes:
        out: Folder for best.safetensors, last.safetensors, metrics.jsonl and config.json.
        model: Which network.
        weight_decay: Weight decay of AdamW.
        ema: Decay of the weights' moving average, which is what is validated and kept.
        mirror: Share of the epochs in which half of the faces are mirrored. The last epochs learn
            left and right as labelled: labels are no exact mirror images (300-W's lie about a
            pixel to one side), which a network trained on mirrored faces averages away.
        label_offset: How far the labels lie to the right of what they mean, in pixels of the
            source pictures; mirrored labels are moved to lie so too. benchmarks/label_offset.py
            measures it.
        twice: Training folders whose faces count twice in an epoch; one that is named twice counts
            three times, and so on.
        paint_occluders: Put synthetic occluders on training faces.
        initial: What to start from: a checkpoint, or the name of an embedded network, default or
            lite. Where --model says nothing but the usual, the network is that of the checkpoint,
            and so is the input's size. With other landmarks than its own, all is kept but what is
            of each landmark (heatmap, lite): that starts from those of its landmarks that lie
            nearest.
        crop_factor: Side of the part of a picture that the network sees, over the longer side of
            the box around a face's landmarks. 0 takes 1.3; with landmarks other than those of the
            initial network, what shows faces as large as that one sees them.
        visibility_labels: JSON files that say which landmarks are hidden in pictures of the folders
            and of `validation`: {"end/of/its/path.jpg": {"hidden": [[0, 1]], "unsure": [[]]}, ...},
            a list of indices from 0 for each annotator. Landmarks in neither list are seen, those
            that annotators do not agree on unknown. Keep the files as they are for a resumed run.
        only: Parts of the network to train, such as turned, by the names that its tensors begin
            with; all else stays as it is in the initial network.
        teacher: A checkpoint of a heatmap network, or default, whose features are imitated too.
        taught: Share of the epochs in which the teacher is imitated. The last ones learn from the
            labels alone, which may say what the teacher does not know.
        relabel: Let the initial network say which landmarks of the training faces are hidden by
            what is in the picture, where nobody has labelled that. A run that is resumed asks it
            again: keep the file as it is.
        relabel_by: The checkpoint, or default or lite, to ask instead of the initial one.
        resume: Go on from last.safetensors in the run's folder.
        patience: Stop after so many epochs in a row that were no better than the best one; 0 never
            does.
        seed: Seed of weights, order, augmentation and occluders.
        split_seed: Seed of which faces are held out, and of the occluders put on them. A run that
            starts from another's checkpoint should keep it: with another seed, it would be
            validated on faces that the other was trained on.
        loss: Weights of the loss's terms.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    weight_decay: float = 0.02
    ema: float = 0.999
    mirror: float = 0.6
    label_offset: float = 0.0
    twice: tuple[Path, ...] = ()
    paint_occluders: bool = True
    initial: Path | None = None
    crop_factor: float = 0.0
    visibility_labels: tuple[Path, ...] = ()
    only: tuple[str, ...] = ()
    teacher: Path | None = None
    taught: float = 0.6
    relabel: bool = False
    relabel_by: Path | None = None
    resume: bool = False
    patience: int = 0
    seed: int = 0
    split_seed: int = 0
    loss: LossWeights = field(default_factory=LossWeights)

    @property
    def landmark_scheme(self) -> Scheme:
        """Whose points are learned; InputError if --scheme and --model.landmarks disagree."""
        return chosen_scheme(self.scheme, self.model.landmarks, "--model.landmarks")

    @property
    def initial_file(self) -> Path | None:
        """The checkpoint that `initial` means."""
        return None if self.initial is None else checkpoint_file(self.initial)

    def check(self) -> None:
        """Raise InputError for values that are out of range or mean nothing together."""
        for name in ("epochs", "epoch_faces", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"expected {name} of at least 1, got {getattr(self, name)}")
        for name in ("seed", "split_seed", "warmup", "patience"):
            if getattr(self, name) < 0:
                raise InputError(f"expected {name} of 0 or more, got {getattr(self, name)}")
        for name in ("mirror", "taught"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(
                    f"expected a share of epochs in [0, 1] for {name}, got {getattr(self, name)}"
                )
        if not 0 <= self.ema < 1:
            raise InputError(f"expected a decay of the average in [0, 1) for ema, got {self.ema}")
        if self.workers < -1:
            raise InputError(f"expected workers of -1 or more, got {self.workers}")
        if not math.isfinite(self.label_offset):
            raise InputError(f"expected a label offset in pixels, got {self.label_offset}")
        if not (self.crop_factor == 0 or 1 <= self.crop_factor <= 10):
            raise InputError(
                f"expected a crop_factor from 1 to 10, or 0 for the usual one, got "
                f"{self.crop_factor}"
            )
        if not self.learning_rate >= 0:
            raise InputError(
                f"expected a learning rate above 0, or 0 for the usual one, got "
                f"{self.learning_rate}"
            )
        if self.only and self.initial is None:
            raise InputError("--only trains parts of the --initial network; expected a checkpoint")
        if self.relabel and self.initial is None and self.relabel_by is None:
            raise InputError(
                "--relabel asks the --initial network; expected a checkpoint there, or --relabel-by"
            )
        if self.relabel_by is not None and not self.relabel:
            raise InputError("--relabel-by says whom --relabel asks; add --relabel")
        if self.trunk is not None and self.initial is not None:
            raise InputError("--initial brings all weights, the trunk's too: leave out --trunk")
        if self.trunk is not None and not NETWORKS[self.model.name].trunk:
            raise InputError(f"{self.model.name} has a trunk of its own: leave out --trunk")
        if self.model.turned and self.head_model is None:
            raise InputError("--model.turned is learned from a head model; expected --head-model")
        if not 0 <= self.closed_eyes <= 1:
            raise InputError(f"expected a share in [0, 1] for closed_eyes, got {self.closed_eyes}")
        for option, given in (
            ("--head-model", self.head_model is not None),
            ("--closed-eyes", self.closed_eyes > 0),
        ):
            if given and self.landmark_scheme != IBUG68:
                raise InputError(
                    f"{option} is of the landmarks of {IBUG68.name}, the training faces have those "
                    f"of {self.landmark_scheme.name}; leave it out"
                )
        if self.initial is None:  # which may be of another network
            self.loss.check(self.model.name)
        _ = self.landmark_scheme, self.model.options  # each raises for what it does not know


def chosen_scheme(name: str | None, landmarks: int, option: str) -> Scheme:
    """The scheme that --scheme names, or the one known here with so many landmarks.

    Raises InputError for an unknown one, and if `option`, which gives the number, says another
    than the named scheme has; the usual 68 says nothing.
    """
    if name is None:
        try:
            return scheme_of(landmarks)
        except InputError as error:
            raise InputError(f"{option} {landmarks}: {error}") from None
    scheme = find_scheme(name)
    if landmarks not in (IBUG68.size, scheme.size):
        raise InputError(
            f"--scheme {name} has {scheme.size} landmarks, but {option} says {landmarks}; "
            f"leave out {option}"
        )
    return scheme
