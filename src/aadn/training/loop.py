"""Training: from folders of labelled faces to a checkpoint, in one visible loop."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.distributed as distributed
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from aadn.data.folders import read_folders
from aadn.data.release import read_release
from aadn.data.releases import RELEASES
from aadn.data.samples import Sample, content_of, hold_out
from aadn.data.visibility_labels import with_visibility
from aadn.errors import InputError, OutputError, WeightsError
from aadn.evaluation.metrics import (
    Normaliser,
    best_threshold,
    expected_calibration_error,
    normalisers,
    roc_auc,
)
from aadn.evaluation.metrics import nme as image_nme
from aadn.files import write_whole
from aadn.inference.onnx import CHUNK
from aadn.models import checkpoint
from aadn.models.build import Network, build
from aadn.models.default.heatmap import HeatmapAadn
from aadn.models.paper.pretrained import load_trunk
from aadn.models.prediction import Prediction
from aadn.occlude import Cutouts
from aadn.schemes import scheme_of
from aadn.training import augment
from aadn.training.augment import STILL, Draw, Ranges
from aadn.training.config import ModelConfig, TrainConfig
from aadn.training.crops import CropSet, cut_crops
from aadn.training.losses import total_loss

HIDDEN, SEEN = 0.3, 0.97
"""Landmarks of lower visibility than the first are relabelled as hidden, those between the two as
unknown. Our choice, by 95 validation faces whose natural occlusion was labelled by looking
(benchmarks/natural.py): of the first, 95 % are hidden; of those just below the second, one in
eight."""

LAST = "last.safetensors"
"""The checkpoint that a run goes on from, in its folder."""

CLIP = 5.0
"""Gradients longer than this are shortened to it (our choice)."""


@dataclasses.dataclass(frozen=True)
class Data:
    """The faces of a run, cut out: read once, trained on as often as one likes.

    An epoch is `rows`, (R,) indices of training faces; some of them may be there twice. `labelled`
    (N,) says of each training face whether its visibility is labelled by people or a release.
    """

    training: CropSet
    validation: CropSet
    rows: NDArray[np.int64]
    labelled: NDArray[np.bool_]


def train(config: TrainConfig, data: Data | None = None) -> Path:
    """Train as configured; returns the file of the best checkpoint. `data` is what `load` gives.

    Run under `torchrun` it uses one process per device. Killed at any moment, the same call with
    `resume` goes on from the last whole epoch and reaches the same numbers, given the same kind of
    device and number of threads; the number of workers makes no difference. Raises AadnError for
    data, files or options that cannot be used.
    """
    with _processes(config) as (rank, world, device):
        return _train(config, data, rank, world, device)


def load(config: TrainConfig) -> Data:
    """Read the faces that a configuration trains and validates on; raises AadnError."""
    training, validation, rows = _samples(config)
    size = config.model.input_size
    validated = cut_crops(validation, size, title="reading validation faces")
    # Labels that cannot be measured are found before, not after, an epoch.
    normalisers(scheme_of(config.model.landmarks), validated.points, normaliser(config))
    labelled = np.array([sample.visible is not None for sample in training])
    return Data(
        cut_crops(training, size, title="reading training faces"), validated, rows, labelled
    )


def _train(
    config: TrainConfig, data: Data | None, rank: int, world: int, device: torch.device
) -> Path:
    _check(config, world)
    last, best = config.out / LAST, config.out / "best.safetensors"
    resumed = checkpoint.load(last) if config.resume and last.exists() else None
    if resumed is not None:
        _same_run(config, world, resumed[2], last)
    elif last.exists():
        raise OutputError(
            f"{last} exists: add --resume to go on with that run, or choose another --out"
        )
    elif config.resume and rank == 0:
        say(f"nothing to resume in {config.out}: starting anew")
    if rank == 0:
        write_whole(config.out / "config.json", json.dumps(_plain(config), indent=1) + "\n")

    data = data or load(config)
    crops, size = data.training, config.model.input_size
    quiet = rank > 0 or not sys.stderr.isatty()
    half = _bf16(config.precision, device)
    if config.relabel:
        crops = relabelled(config, crops, data.labelled, device, half)
        if rank == 0:
            hidden, unknown = np.mean(crops.visible == 0), np.isnan(crops.visible).mean()
            say(f"relabelled: {hidden:.2%} of the landmarks hidden, {unknown:.2%} unknown")
    cutouts = Cutouts.load(config.occluders) if config.occluders else None
    draws = Draw(
        crops,
        size,
        config.seed,
        Ranges(),
        cutouts,
        occluders=config.paint_occluders,
        rows=data.rows,
        mirror_epochs=round(config.mirror * config.epochs),
        label_offset=config.label_offset,
    )

    torch.manual_seed(config.seed)
    shapes = (crops.points[data.rows] + 0.5) / crops.images.shape[1]
    mean_shape = np.nanmean(shapes, axis=0)
    mean_shape = (mean_shape - 0.5) * crops.margin + 0.5
    network = build(config.model, torch.from_numpy(mean_shape).float())
    if resumed is None:
        started = _start(network, config)
        if rank == 0:
            say(started)
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(
        _groups(network, config.weight_decay), lr=config.learning_rate, fused=True
    )
    average = {name: t.detach().clone() for name, t in network.state_dict().items()}
    first, step, best_score = 0, 0, math.inf
    if resumed is not None:
        first, step, best_score = _restore(network, optimiser, average, resumed, last)

    weight = config.loss.for_model(config.model.name)
    model: torch.nn.Module = network
    if world > 1:
        ids = [device.index] if device.type == "cuda" else None
        # A head without its term of the loss gets no gradient.
        idle = not weight["visibility"] or not (weight["squared"] or weight["absolute"])
        idle |= isinstance(network, HeatmapAadn) and not weight["uncertainty"]
        model = torch.nn.parallel.DistributedDataParallel(
            network, device_ids=ids, find_unused_parameters=idle
        )
    stored = torch.from_numpy(crops.images).to(device)
    batch = min(config.batch // world, len(draws) // world)
    if batch < 1:
        raise InputError(f"expected a face for each of {world} processes, got {len(draws)}")
    steps = len(draws) // (batch * world)
    loader = _loader(draws, stored, config, first, rank, world, batch, steps)

    batches = iter(loader)
    for epoch in range(first, config.epochs):
        network.train()
        # What dropout leaves out does not depend on earlier epochs, so that resuming repeats it.
        torch.manual_seed(int(np.random.default_rng([config.seed, epoch, rank]).integers(2**62)))
        began = time.perf_counter()
        totals: dict[str, Any] = {}
        bar = tqdm(range(steps), f"epoch {epoch + 1}/{config.epochs}", disable=quiet, leave=False)
        for _ in bar:
            drawn = {name: t.to(device, non_blocking=True) for name, t in next(batches).items()}
            images = drawn["images"] if "images" in drawn else augment.apply(stored, drawn)
            images = images.contiguous(memory_format=torch.channels_last)
            for group in optimiser.param_groups:
                group["lr"] = _rate(step, steps * config.epochs, config)
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                prediction = model(images)
            loss, terms = total_loss(
                prediction,
                drawn["points"],
                drawn["visible"],
                drawn["face"],
                drawn["seen"],
                network.regularisation(),
                weight,
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimiser.step()
            step += 1
            _move_average(average, network, config.ema, step)
            for name, term in {"loss": loss, **terms}.items():
                totals[name] = totals.get(name, 0.0) + term.detach()
            if not quiet and step % 10 == 0:
                bar.set_postfix(loss=f"{float(loss):.3f}")
        if not all(math.isfinite(float(v)) for v in totals.values()):
            raise InputError(
                f"the loss became {float(totals['loss'])} in epoch {epoch + 1}; try a lower "
                f"--learning-rate (now {config.learning_rate}) or --precision fp32"
            )
        seconds = time.perf_counter() - began
        if rank == 0:
            record: dict[str, Any] = {"epoch": epoch + 1, "step": step}
            record |= {name: round(float(v) / steps, 6) for name, v in totals.items()}
            record |= validate(config, average, data.validation, device, half)
            record["images_per_second"] = round(steps * batch * world / seconds, 1)
            score = (record["nme"] + record["nme_occluded"]) / 2
            better = score < best_score
            best_score = min(best_score, score)
            tensors = {f"ema.{name}": t for name, t in average.items()}
            if better:
                checkpoint.save(best, tensors, config.model, {"metrics": record})
            _log(config.out / "metrics.jsonl", record)
            tensors |= {f"model.{name}": t for name, t in network.state_dict().items()}
            tensors |= _optimiser_tensors(network, optimiser)
            state = {"epoch": epoch + 1, "step": step, "best": best_score, "world": world}
            state["config"] = _plain(config)
            checkpoint.save(last, tensors, config.model, state)
            say(
                f"epoch {epoch + 1}/{config.epochs}  loss {record['loss']:.4f}  validation NME "
                f"{record['nme']:.3f} % clean, {record['nme_occluded']:.3f} % occluded, "
                f"visibility AUC {record['visibility_auc'] or math.nan:.3f}, "
                f"{record['images_per_second']:.0f} images/s{'  best' if better else ''}"
            )
        if world > 1:
            distributed.barrier()
    return best


def validate(
    config: TrainConfig,
    weights: dict[str, Tensor],
    crops: CropSet,
    device: torch.device,
    half: bool,
) -> dict[str, float | None]:
    """NME (%, inter-ocular where the release has no other) on crops as they are and occluded.

    Also, on the occluded ones, the ROC-AUC of visibility, that of the probability map P read at the
    predicted landmarks, the calibration error and the mean true distance over the mean predicted
    one (`uncertainty_ratio`); and, on both, the best visibility threshold. None where undefined.
    """
    network = build(config.model)
    network.load_state_dict(weights)
    network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    size, scheme = config.model.input_size, scheme_of(config.model.landmarks)
    stored = torch.from_numpy(crops.images).to(device)
    result: dict[str, float | None] = {}
    both = []
    for name, occluders in (("nme", False), ("nme_occluded", True)):
        draws = Draw(crops, size, config.split_seed + 1, STILL, occluders=occluders)
        predicted, truth, logits, seen, mapped, spreads = [], [], [], [], [], []
        for prediction, drawn in _predictions(network, draws, stored, half):
            predicted.append(prediction.points.float().cpu().numpy())
            logits.append(prediction.visibility.float().cpu().numpy())
            truth.append(drawn["points"].cpu().numpy())
            seen.append(drawn["visible"].cpu().numpy())
            if prediction.seen is not None:
                mapped.append(_at(prediction.seen.float(), prediction.points.float()).cpu().numpy())
            if prediction.uncertainty is not None:
                spreads.append(prediction.uncertainty.float().cpu().numpy())
        points = np.concatenate(truth).astype(np.float64)
        given = np.concatenate(predicted).astype(np.float64)
        lengths = normalisers(scheme, points, normaliser(config))
        errors = image_nme(given, points, lengths)
        result[name] = round(100 * float(np.mean(errors)), 4)
        labels = np.concatenate(seen).ravel()
        known = np.isfinite(labels)
        truth = labels[known] > 0.5
        probability = 1 / (1 + np.exp(-np.concatenate(logits).ravel()[known]))
        result["visibility_auc"] = _rounded(roc_auc(probability, truth))
        result["map_auc"] = None
        if mapped:
            result["map_auc"] = _rounded(roc_auc(np.concatenate(mapped).ravel()[known], truth))
        both.append((probability, truth))
        result["calibration_error"] = _rounded(expected_calibration_error(probability, truth))
        result["uncertainty_ratio"] = None
        if spreads:
            distances = np.linalg.norm(given - points, axis=2)
            expected = np.concatenate(spreads)[np.isfinite(distances)]
            ratio = float(np.nansum(distances) / expected.sum(dtype=np.float64))
            result["uncertainty_ratio"] = _rounded(ratio)
    # Faces as they are count too: with occluded ones alone, far more would be hidden than in use.
    visibility, visible = (np.concatenate(part) for part in zip(*both, strict=True))
    result["visibility_threshold"] = best_threshold(visibility, visible)
    return result


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _predictions(
    network: Network, draws: Draw, stored: Tensor, half: bool
) -> Iterator[tuple[Prediction, dict[str, Tensor]]]:
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


def relabelled(
    config: TrainConfig,
    crops: CropSet,
    labelled: NDArray[np.bool_],
    device: torch.device,
    half: bool,
) -> CropSet:
    """Faces with the visibility that the initial network sees on them, at its own input size.

    Landmarks that it gives less than HIDDEN become hidden, those below SEEN unknown; those of
    `labelled` faces (N,) stay.
    """
    asked = np.flatnonzero(~labelled)
    if not len(asked):
        return crops
    assert config.initial is not None
    model = checkpoint.load(config.initial)[1]
    network = build(model)
    checkpoint.start_from(network, model, config.initial)
    network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    draws = Draw(crops, model.input_size, config.seed, STILL, rows=asked, occluders=False)
    stored = torch.from_numpy(crops.images).to(device)
    given = [
        torch.sigmoid(prediction.visibility.float()).cpu().numpy()
        for prediction, _ in _predictions(network, draws, stored, half)
    ]
    visibility, before = np.concatenate(given), crops.visible[asked]
    visible = crops.visible.copy()
    visible[asked] = np.where(visibility < SEEN, np.nan, before)
    visible[asked] = np.where((visibility < HIDDEN) | (before == 0), 0.0, visible[asked])
    return dataclasses.replace(crops, visible=visible)


def _at(maps: Tensor, points: Tensor) -> Tensor:
    """Maps (B, h, w) read at points (B, L, 2) in crop units, bilinear; (B, L)."""
    places = (2 * points - 1)[:, :, None]  # B L 1 2
    read = F.grid_sample(maps[:, None], places, "bilinear", "border", align_corners=False)
    return read[:, 0, :, 0]


def normaliser(config: TrainConfig) -> Normaliser:
    """What validation divides errors by: eye corners, unless the release does not label them."""
    release = RELEASES[config.benchmark] if config.benchmark else None
    return "box" if release and release.normaliser in ("box", "width") else "inter-ocular"


def _samples(config: TrainConfig) -> tuple[list[Sample], list[Sample], NDArray[np.int64]]:
    """Training and validation samples, and the training samples of an epoch (`Data.rows`).

    InputError if either is empty or they share pictures.
    """
    landmarks = config.model.landmarks
    samples = read_folders(config.folders, landmarks)
    given = read_folders(config.validation, landmarks) if config.validation else []
    labelled = with_visibility([*samples, *given], config.visibility_labels, landmarks)
    samples, given = labelled[: len(samples)], labelled[len(samples) :]
    if config.benchmark:
        release = RELEASES[config.benchmark]
        if release.landmarks != landmarks:
            raise InputError(
                f"{release.title} has {release.landmarks} landmarks, the network {landmarks}; "
                f"add --model.landmarks {release.landmarks}"
            )
        if config.data is None:
            raise InputError(f"expected --data, the folder of {release.title}")
        samples += read_release(release, config.data, "train")
    training, validation = hold_out(samples, config.hold_out, config.split_seed)
    if given:
        known = {content_of(sample) for sample in training}
        if shared := [sample for sample in given if content_of(sample) in known]:
            raise InputError(
                f"{len(shared)} of the --validation pictures are training pictures too, "
                f"{shared[0].image} for example; leave them out of one of the two"
            )
        validation += given
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
    for name, part in (("training", training), ("validation", validation)):
        if not part:
            raise InputError(
                f"no {name} samples are left: expected more pictures, or another --hold-out "
                f"(now {config.hold_out}) or --validation"
            )
    return training, validation, np.array(rows)


def _check(config: TrainConfig, world: int) -> None:
    for name in ("epochs", "batch"):
        if getattr(config, name) < 1:
            raise InputError(f"expected {name} of at least 1, got {getattr(config, name)}")
    if config.batch % world:
        raise InputError(f"expected a batch that {world} processes can share, got {config.batch}")
    for name in ("seed", "split_seed"):
        if getattr(config, name) < 0:
            raise InputError(f"expected {name} of 0 or more, got {getattr(config, name)}")
    if not 0 <= config.mirror <= 1:
        raise InputError(f"expected a share of epochs in [0, 1] for mirror, got {config.mirror}")
    if config.relabel and config.initial is None:
        raise InputError("--relabel asks the --initial network; expected a checkpoint there")
    if not math.isfinite(config.label_offset):
        raise InputError(f"expected a label offset in pixels, got {config.label_offset}")
    if config.learning_rate <= 0:
        raise InputError(f"expected a learning rate above 0, got {config.learning_rate}")


def _start(network: Network, config: TrainConfig) -> str:
    """Load initial weights; returns a line that says which."""
    if config.initial is not None:
        return checkpoint.start_from(network, config.model, config.initial)
    if config.trunk is not None:
        if isinstance(network, HeatmapAadn):
            raise InputError("the heatmap network has a trunk of its own: leave out --trunk")
        return load_trunk(network.trunk, config.trunk) or ""
    return "starting from random weights (no --trunk and no --initial given)"


def _groups(network: torch.nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels, none for biases and normalisation."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _rate(step: int, total: int, config: TrainConfig) -> float:
    """Linear warm-up, then half a cosine to 0."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / max(1, total)))


@torch.no_grad()
def _move_average(
    average: dict[str, Tensor], network: torch.nn.Module, decay: float, step: int
) -> None:
    """Move the weights' average; early on it follows faster, and buffers are copied."""
    decay = min(decay, (1 + step) / (10 + step))
    weights = dict(network.named_parameters())
    moved = [average[name] for name in weights]
    torch._foreach_lerp_(moved, [w.detach() for w in weights.values()], 1 - decay)
    for name, buffer in network.named_buffers():
        average[name].copy_(buffer)


def _rows(
    count: int, seed: int, epoch: int, rank: int, world: int, batch: int, steps: int
) -> Iterator[list[tuple[int, int]]]:
    """The (epoch, index) pairs of each step of one epoch for one process."""
    order = np.random.default_rng([seed, epoch]).permutation(count)
    for step in range(steps):
        start = step * batch * world + rank * batch
        yield [(epoch, int(i)) for i in order[start : start + batch]]


class _Batches(torch.utils.data.Sampler[list[tuple[int, int]]]):
    """All steps of all epochs that are left, so that workers live through the whole run."""

    def __init__(self, epochs: range, *rows: int) -> None:
        self.epochs, self.rows = epochs, rows

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        count, seed, rank, world, batch, steps = self.rows
        for epoch in self.epochs:
            yield from _rows(count, seed, epoch, rank, world, batch, steps)


class _Collate:
    """Stack draws; on a CPU also make their pictures, so that the workers share that work."""

    def __init__(self, stored: Tensor) -> None:
        self.stored = stored if stored.device.type == "cpu" else None

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        batch: dict[str, Tensor] = torch.utils.data.default_collate(rows)
        if self.stored is not None:
            batch["images"] = augment.apply(self.stored, batch)
            for key in ("colour", "alpha", "matrix", "light", "index"):
                del batch[key]
        return batch


def _loader(
    draws: Draw,
    stored: Tensor,
    config: TrainConfig,
    first: int,
    rank: int,
    world: int,
    batch: int,
    steps: int,
) -> torch.utils.data.DataLoader[dict[str, Tensor]]:
    workers = config.workers
    if workers < 0:
        # Where workers are not forked, each gets a copy of all crops.
        most = 16 if torch.multiprocessing.get_start_method() == "fork" else 4
        workers = max(1, min(most, (os.cpu_count() or 1) // world - 1))
    sampler = _Batches(
        range(first, config.epochs), len(draws), config.seed, rank, world, batch, steps
    )
    return torch.utils.data.DataLoader(
        draws,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_Collate(stored),
        worker_init_fn=_start_worker,
        prefetch_factor=4 if workers else None,
    )


def _start_worker(worker: int) -> None:
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to answer
    sys.excepthook = _excepthook


def _excepthook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """A worker says nothing of a main process that left while a batch was on its way to it."""
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


def _bf16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # Apple's processors
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextlib.contextmanager
def _processes(config: TrainConfig) -> Iterator[tuple[int, int, torch.device]]:
    """Rank, number of processes and device; joins the others under torchrun."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    name = config.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("expected a CUDA device, found none; use --device cpu")
    if name not in ("cpu", "cuda") and not (name.startswith("cuda:") and name[5:].isdigit()):
        raise InputError(f"expected a device of auto, cpu, cuda or cuda:N, got {name!r}")
    if name.startswith("cuda:") and world > 1:
        raise InputError(f"{world} processes cannot share {name}; use --device cuda")
    device = torch.device(f"cuda:{local}" if name == "cuda" else name)
    if world == 1:
        yield rank, world, device
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=datetime.timedelta(minutes=30))
    try:
        yield rank, world, device
    finally:
        distributed.destroy_process_group()


def _plain(config: TrainConfig) -> dict[str, Any]:
    """The configuration as JSON holds it."""
    return dict(json.loads(json.dumps(dataclasses.asdict(config), default=str)))


_FREE = {"resume", "workers", "device", "out"}  # may change between a run and its resumption


def _same_run(config: TrainConfig, world: int, state: dict[str, Any], path: Path) -> None:
    """Raise InputError unless a checkpoint's state is of a run with these settings."""
    if "config" not in state:
        raise WeightsError(
            f"{path}: holds weights, but not the state of a run; start another run from it with "
            "--initial"
        )
    if state["world"] != world:
        raise InputError(
            f"{path} is of a run with other settings: processes was {state['world']}, is {world}; "
            "repeat its settings"
        )
    same_run(config, state["config"], path)


def same_run(config: TrainConfig, earlier: dict[str, Any], path: Path) -> None:
    """Raise InputError unless the settings in a run's config.json or checkpoint are these.

    Settings that there were not yet when it was written count as their defaults.
    """
    now = _plain(config)
    default = _plain(TrainConfig(config.folders, config.out))
    earlier = default | earlier
    for key in ("model", "loss"):
        earlier[key] = default[key] | earlier[key]
    changed = [k for k in now if k not in _FREE and now[k] != earlier[k]]
    if changed:
        what = ", ".join(f"{k} was {earlier[k]}, is {now[k]}" for k in changed)
        raise InputError(f"{path} is of a run with other settings: {what}; repeat its settings")


def _optimiser_tensors(
    network: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> dict[str, Tensor]:
    names = {id(p): name for name, p in network.named_parameters()}
    return {
        f"optimiser.{names[id(p)]}.{key}": value
        for p, state in optimiser.state.items()
        for key, value in state.items()
    }


def _restore(
    network: Network,
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
    resumed: tuple[dict[str, Tensor], ModelConfig, dict[str, Any]],
    path: Path,
) -> tuple[int, int, float]:
    """Fill network, optimiser and average; returns epochs done, steps done and the best score."""
    tensors, _, state = resumed
    weights = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    checkpoint.load_state(network, weights, path)
    for name in average:
        average[name].copy_(tensors[f"ema.{name}"])
    for name, parameter in network.named_parameters():
        # The fused optimiser wants its state laid out in memory as the parameter is.
        moments = {
            key: torch.empty_like(parameter).copy_(tensors[f"optimiser.{name}.{key}"])
            for key in ("exp_avg", "exp_avg_sq")
        }
        steps = tensors[f"optimiser.{name}.step"].to(parameter.device)
        optimiser.state[parameter] = {"step": steps, **moments}
    return state["epoch"], state["step"], state["best"]


def _log(path: Path, record: dict[str, Any]) -> None:
    """Add an epoch's line; lines of that epoch or later are of a run that was cut off."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if json.loads(line)["epoch"] < record["epoch"]]
    write_whole(path, "".join(f"{line}\n" for line in [*kept, json.dumps(record)]))


def say(line: str) -> None:
    """A line on stderr, where no progress bar is."""
    print(line, file=sys.stderr)
