"""Training of the face detector, in one visible loop."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from aadn.errors import InputError
from aadn.files import write_whole
from aadn.models.face_detector import FaceDetectorNetwork, cell_middles
from aadn.training.config import Tell, nothing
from aadn.training.distributed import bf16, own_random_numbers
from aadn.training.face_detector.album import opencv_on_one_thread
from aadn.training.face_detector.scenes import MOST, Album, draw_scene
from aadn.training.face_detector.targets import Truth, losses
from aadn.training.optimiser import move_average

SIDES = (256, 320, 384, 512, 640)
"""Sides of training pictures in pixels; a batch has one of them, and as many pixels as others."""

CHECKPOINT = "last.pt"


@dataclass(frozen=True)
class DetectorConfig:
    """How the face detector is trained.

    Attributes:
        out: the run's folder.
        steps: batches.
        pixels: of a batch.
        learning_rate, weight_decay, warmup, average: of AdamW; steps; the weights' mean's decay.
        initial: a checkpoint to start from.
        device, precision, workers, seed: as in `TrainConfig`.
        resume: go on where the run's folder has a checkpoint.
        keep: seconds between checkpoints.
    """

    out: Path
    steps: int = 20_000
    pixels: int = 64 * 320 * 320
    learning_rate: float = 4e-3
    weight_decay: float = 1e-3
    warmup: int = 300
    average: float = 0.999
    initial: Path | None = None
    device: str = "cpu"
    precision: str = "auto"
    workers: int = 2
    seed: int = 0
    resume: bool = False
    keep: float = 60.0


class Batches(torch.utils.data.Dataset[dict[str, NDArray[Any]]]):
    """Batch `step` of a run, from its own seed: the number of workers changes nothing."""

    def __init__(self, album: Album, config: DetectorConfig) -> None:
        self.album, self.config = album, config

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, step: int) -> dict[str, NDArray[Any]]:
        rng = np.random.default_rng([self.config.seed, step])
        side = int(rng.choice(SIDES))
        count = max(1, round(self.config.pixels / side**2))
        images = np.empty((count, side, side, 3), np.uint8)
        faces = np.zeros((count, MOST, 6), np.float32)
        faces[..., 2:4] = 1.0
        there = np.zeros((count, MOST), bool)
        ignored = np.full((count, MOST, 4), -1.0, np.float32)
        for i in range(count):
            scene = draw_scene(self.album, side, rng)
            images[i] = scene.image
            faces[i, : len(scene.faces)] = scene.faces
            there[i, : len(scene.faces)] = True
            ignored[i, : len(scene.ignored)] = scene.ignored
        return {"images": images, "faces": faces, "there": there, "ignored": ignored}


def _loader(album: Album, config: DetectorConfig, first: int) -> Iterator[dict[str, Tensor]]:
    return iter(
        torch.utils.data.DataLoader(
            Batches(album, config),
            batch_size=None,
            sampler=range(first, config.steps),
            num_workers=config.workers,
            prefetch_factor=4 if config.workers else None,
            multiprocessing_context="fork" if config.workers else None,
            worker_init_fn=_alone,
            pin_memory=config.device.startswith("cuda"),
        )
    )


def _alone(_: int) -> None:
    """A worker computes on one thread."""
    torch.set_num_threads(1)


def train(album: Album, config: DetectorConfig, *, tell: Tell = nothing) -> FaceDetectorNetwork:
    """Train as configured; the mean of the weights. Raises InputError if the loss explodes."""
    device = torch.device(config.device)
    with own_random_numbers(device), opencv_on_one_thread():
        torch.manual_seed(config.seed)
        return _train(album, config, device, tell)


def _train(
    album: Album, config: DetectorConfig, device: torch.device, tell: Tell
) -> FaceDetectorNetwork:
    network = FaceDetectorNetwork()
    if config.initial is not None:
        network.load_state_dict(
            torch.load(config.initial, map_location="cpu", weights_only=True)["average"]
        )
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        fused=True,
    )
    first, checkpoint = 0, config.out / CHECKPOINT
    if config.resume and checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        average = state["average"]
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    config.out.mkdir(parents=True, exist_ok=True)
    write_whole(
        config.out / "config.json",
        json.dumps({k: str(v) for k, v in asdict(config).items()}, indent=1) + "\n",
    )
    half = bf16(config.precision, device)
    network.train()
    began = kept = time.monotonic()
    totals: dict[str, float | Tensor] = {}
    log = (config.out / "metrics.jsonl").open("a", encoding="utf-8")
    bar = tqdm(
        range(first, config.steps), initial=first, total=config.steps, unit="step", disable=None
    )
    batches = _loader(album, config, first)
    for step in bar:
        batch = next(batches)
        lr = (
            config.learning_rate
            * min(1.0, (step + 1) / config.warmup)
            * 0.5
            * (1 + math.cos(math.pi * step / config.steps))
        )
        for group in optimiser.param_groups:
            group["lr"] = lr
        images = batch["images"].to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        images = images.contiguous(memory_format=torch.channels_last)
        truth = Truth(batch["faces"], batch["there"], batch["ignored"]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            raw = network(images)
        middles, strides = (t.to(device) for t in cell_middles(*images.shape[2:]))
        terms = losses(raw, middles, strides, truth)
        optimiser.zero_grad(set_to_none=True)
        terms["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        move_average(average, network, config.average, step)
        for name, term in terms.items():
            totals[name] = totals.get(name, 0.0) + term.detach()
        if (step + 1) % 100 == 0 or step + 1 == config.steps:
            means = {name: round(float(total) / 100, 4) for name, total in totals.items()}
            if not math.isfinite(means["loss"]):
                raise InputError("the loss is not finite; try a lower learning rate")
            record = {"step": step + 1, **means, "seconds": round(time.monotonic() - began, 1)}
            log.write(json.dumps(record) + "\n")
            log.flush()
            tell(json.dumps(record))
            totals = {}
        if time.monotonic() - kept > config.keep or step + 1 == config.steps:
            kept = time.monotonic()
            _keep(checkpoint, network, average, optimiser, step + 1)
    log.close()
    network.load_state_dict(average)
    return network.cpu().eval()


def _keep(
    path: Path,
    network: FaceDetectorNetwork,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    step: int,
) -> None:
    import io

    content = io.BytesIO()
    state = {
        "network": network.state_dict(),
        "average": average,
        "optimiser": optimiser.state_dict(),
        "step": step,
    }
    torch.save(state, content)
    write_whole(path, content.getvalue())
