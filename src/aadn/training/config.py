"""What to train and how, as plain values: read by the command line without PyTorch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from aadn.errors import InputError

Order = Literal["channel-spatial", "spatial-channel", "parallel", "channel", "spatial", "none"]
"""How ADM's two attentions are combined; the paper found the first best. The last three leave one
or both out."""

ModelName = Literal["resnet18", "odn", "aadn", "heatmap"]

Benchmark = Literal["300w", "300w-private", "cofw", "cofw68", "aflw", "merl-rav", "wflw", "300vw"]
"""The releases that `aadn.data.releases` reads."""

DEFAULT_SIZE = {"resnet18": 224, "odn": 224, "aadn": 224, "heatmap": 128}
"""Side of the input in pixels: the paper's for its networks, our choice for our own."""


@dataclass(frozen=True)
class ModelConfig:
    """Which network.

    Attributes:
        name: resnet18, odn and aadn are the paper's; heatmap is our default.
        landmarks: L.
        size: side of the input in pixels; 0 takes the network's usual one.
        reduction: r of the channel attention (aadn, heatmap).
        order: of the two attentions (aadn, heatmap).
        geometry: keep the geometry-aware module (odn, aadn).
        distillation: keep the distillation module (odn, aadn).
        low_rank: keep the low-rank learning module (odn, aadn).
    """

    name: ModelName = "heatmap"
    landmarks: int = 68
    size: int = 0
    reduction: Literal[8, 16, 32, 64] = 8
    order: Order = "channel-spatial"
    geometry: bool = True
    distillation: bool = True
    low_rank: bool = True

    @property
    def input_size(self) -> int:
        """Side of the input in pixels."""
        return self.size or DEFAULT_SIZE[self.name]

    @classmethod
    def of(cls, values: dict[str, Any]) -> ModelConfig:
        """From a checkpoint's plain values; InputError for unknown fields or names."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(values) - known:
            raise InputError(f"unknown fields of a model: {', '.join(sorted(unknown))}")
        config = cls(**values)
        if config.name not in get_args(ModelName):
            raise InputError(f"expected one of {', '.join(get_args(ModelName))}; got {config.name}")
        return config


@dataclass(frozen=True)
class LossWeights:
    """How much each term of the loss counts; 0 leaves it out, None takes the network's own weight.

    Attributes:
        squared: eq. 1's (1/N) Σ ‖S̆ - S‖², coordinates in crop units.
        absolute: mean |S̆ - S| in crop units, of the points and, if there are heatmaps, of the
            points before refinement, half as much.
        nuclear: α of eq. 1, the weight of ‖M‖_*.
        visibility: cross-entropy of each landmark's visibility, mean over the known ones.
        heatmap: cross-entropy between heatmaps and a Gaussian around the truth.
        seen: cross-entropy between P and where, on the face, nothing covers it.
        uncertainty: negative log-likelihood of each landmark's distance to the truth under an
            exponential distribution of the predicted mean (heatmap).
    """

    squared: float | None = None
    absolute: float | None = None
    nuclear: float | None = None
    visibility: float | None = None
    heatmap: float | None = None
    seen: float | None = None
    uncertainty: float | None = None

    def for_model(self, name: ModelName) -> dict[str, float]:
        """Every term's weight for a network."""
        own = _HEATMAP_LOSS if name == "heatmap" else _PAPER_LOSS
        given = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return dict.fromkeys(dataclasses.asdict(self), 0.0) | own | given


# The paper gives no weights: our choice.
_PAPER_LOSS = {"squared": 1.0, "nuclear": 1e-5, "visibility": 0.05}
_HEATMAP_LOSS = {
    "absolute": 40.0,
    "visibility": 0.5,
    "heatmap": 0.4,
    "seen": 0.3,
    "uncertainty": 0.05,
}


@dataclass(frozen=True)
class TrainConfig:
    """What to train, on what and for how long. Defaults are our choice.

    Attributes:
        folders: training data, folders of pictures with .pts files (300W's layout).
        out: folder for best.safetensors, last.safetensors and metrics.jsonl.
        benchmark: a release whose training part is added to the folders.
        data: where that release lies.
        validation: folders to validate on, beside the held-out part of the training data.
        hold_out: share of the training data to validate on; pictures stay together.
        model: which network.
        epochs: passes over the training data.
        batch: faces per step, over all processes.
        learning_rate: of AdamW, at its highest; warms up, then falls as a cosine to 0.
        weight_decay: of AdamW.
        warmup: steps of linear warm-up.
        ema: decay of the weights' moving average, which is what is validated and kept.
        occluders: a folder of RGBA cut-outs, beside the drawn ones.
        mirror: share of the epochs in which half of the faces are mirrored. The last ones learn
            left and right as labelled: labels are no exact mirror images (300-W's lie about a
            pixel to one side), which a network trained on mirrored faces averages away.
        label_offset: how far the labels lie to the right of what they mean, in pixels of the
            source pictures; mirrored labels are moved to lie so too. benchmarks/label_offset.py
            measures it.
        twice: those of the training folders whose faces count twice in an epoch; one that is named
            twice counts three times, and so on.
        paint_occluders: put synthetic occluders on training faces.
        trunk: weights that the trunk of the paper's networks starts from: a file of a ResNet-18
            (.safetensors, .pth), a checkpoint of resnet18 trained here, or "resnet18" to fetch
            ImageNet's.
        initial: a checkpoint of the same model to start from; its input may be of another size.
        visibility_labels: JSON files that say which landmarks are hidden in pictures of the folders
            and of `validation`: {"end/of/its/path.jpg": {"hidden": [[0, 1]], "unsure": [[]]}, ...},
            a list of indices from 0 for each annotator. Landmarks in neither list are seen, those
            that annotators do not agree on unknown. Keep the files as they are for a resumed run.
        relabel: let the initial network say which landmarks of the training faces are hidden by
            what is in the picture, where nobody has labelled that. A run that is resumed asks it
            again: keep the file as it is.
        resume: go on from `out`/last.safetensors.
        seed: of weights, order, augmentation and occluders.
        split_seed: of which faces are held out, and of the occluders put on them; keep it when a
            run starts from another's checkpoint, or that one's training faces are validated on.
        workers: processes that draw augmentation; -1 takes one for each core but one, at most 16
            (4 where processes are not forked, and each has a copy of the faces).
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto" takes bf16 where the processor has it.
        loss: weights of the loss's terms.
    """

    folders: tuple[Path, ...]
    out: Path
    benchmark: Benchmark | None = None
    data: Path | None = None
    validation: tuple[Path, ...] = ()
    hold_out: float = 0.1
    model: ModelConfig = field(default_factory=ModelConfig)
    epochs: int = 60
    batch: int = 32
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    warmup: int = 500
    ema: float = 0.999
    occluders: Path | None = None
    mirror: float = 0.6
    label_offset: float = 0.0
    twice: tuple[Path, ...] = ()
    paint_occluders: bool = True
    trunk: str | None = None
    initial: Path | None = None
    visibility_labels: tuple[Path, ...] = ()
    relabel: bool = False
    resume: bool = False
    seed: int = 0
    split_seed: int = 0
    workers: int = -1
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    loss: LossWeights = field(default_factory=LossWeights)


@dataclass(frozen=True)
class AblateConfig:
    """What the ablation trains, on what and for how long; every variant and seed alike.

    Attributes:
        folders: training data, folders of pictures with .pts files (300W's layout).
        out: folder for the report, ablation.md and ablation.json, and the runs.
        benchmark: a release whose training part is added to the folders.
        data: where that release lies.
        validation: folders to validate on, beside the held-out part of the training data.
        hold_out: share of the training data to validate on.
        landmarks: L.
        size: side of the input in pixels, a multiple of 32.
        epochs: passes over the training data.
        batch: faces per step.
        learning_rate: of AdamW, at its highest.
        warmup: steps of linear warm-up.
        occluders: a folder of RGBA cut-outs, beside the drawn ones.
        trunk: weights that every network's trunk starts from, see TrainConfig.
        seeds: of weights, order, augmentation and occluders; the held-out faces are the same.
        variants: names of what is trained; all of them if left out.
        workers: processes that draw augmentation, see TrainConfig.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto" takes bf16 where the processor has it.
    """

    folders: tuple[Path, ...]
    out: Path
    benchmark: Benchmark | None = None
    data: Path | None = None
    validation: tuple[Path, ...] = ()
    hold_out: float = 0.2
    landmarks: int = 68
    size: int = 224
    epochs: int = 60
    batch: int = 32
    learning_rate: float = 1e-3
    warmup: int = 100
    occluders: Path | None = None
    trunk: str | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    variants: tuple[str, ...] = ()
    workers: int = -1
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
