"""Training of the face detector, in one visible loop."""

from __future__ import annotations

import io
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

EVERY = 100
"""Steps between two lines of the log."""

CLIP = 5.0
"""Gradients longer than this are shortened to it (our choice)."""


@dataclass(frozen=True)
class DetectorConfig:
    """How the face detector is trained.

    Attributes:
        out: the run's folder.
        steps: batches.
        pixels: of a batch.
        learning_rate, weight_decay, warmup, average: of AdamW; steps; the weights' mean's decay.
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


def train(
    album: Album,
    config: DetectorConfig,
    *,
    initial: FaceDetectorNetwork | None = None,
    tell: Tell = nothing,
) -> FaceDetectorNetwork:
    """Train as configured, from random weights or from those of another; the weights' mean.

    Raises InputError if the loss explodes.
    """
    device = torch.device(config.device)
    with own_random_numbers(device), opencv_on_one_thread():
        torch.manual_seed(config.seed)
        learner = _Learner(config, device, initial)
        config.out.mkdir(parents=True, exist_ok=True)
        settings = {name: str(value) for name, value in asdict(config).items()}
        write_whole(config.out / "config.json", json.dumps(settings, indent=1) + "\n")
        began = kept = time.monotonic()
        steps = range(learner.step, config.steps)
        batches = _loader(album, config, learner.step)
        for step in tqdm(steps, initial=steps.start, total=config.steps, unit="step", disable=None):
            learner.learn(next(batches))
            last = step + 1 == config.steps
            if (step + 1) % EVERY == 0 or last:
                record = learner.means() | {"seconds": round(time.monotonic() - began, 1)}
                with (config.out / "metrics.jsonl").open("a", encoding="utf-8") as log:
                    log.write(json.dumps(record) + "\n")
                tell(json.dumps(record))
            if time.monotonic() - kept > config.keep or last:
                kept = time.monotonic()
                learner.keep()
        return learner.result()


class _Learner:
    """The network, the mean of its weights, and its optimiser; at a step of the run."""

    def __init__(
        self, config: DetectorConfig, device: torch.device, initial: FaceDetectorNetwork | None
    ) -> None:
        self.config, self.device = config, device
        self.half = bf16(config.precision, device)
        self.step = 0
        network = FaceDetectorNetwork()
        if initial is not None:
            network.load_state_dict(initial.state_dict())
        self.network = network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average = {name: t.detach().clone() for name, t in network.state_dict().items()}
        decayed = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
        self._totals: dict[str, Tensor] = {}
        self._count = 0
        if config.resume and (config.out / CHECKPOINT).is_file():
            state = _state(config.out / CHECKPOINT, device)
            network.load_state_dict(state["network"])
            self.average = state["average"]
            self.optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]

    def learn(self, batch: dict[str, Tensor]) -> None:
        """One step."""
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        images = batch["images"].to(self.device, non_blocking=True)
        images = images.permute(0, 3, 1, 2).float().div(255)
        images = images.contiguous(memory_format=torch.channels_last)
        truth = Truth(batch["faces"], batch["there"], batch["ignored"]).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            raw = self.network(images)
        middles, strides = (t.to(self.device) for t in cell_middles(*images.shape[2:]))
        terms = losses(raw, middles, strides, truth)
        self.optimiser.zero_grad(set_to_none=True)
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()
        move_average(self.average, self.network, self.config.average, self.step)
        self.step += 1
        self._count += 1
        for name, term in terms.items():
            self._totals[name] = self._totals.get(name, 0) + term.detach()

    def _rate(self) -> float:
        """Linear warm-up, then half a cosine to 0."""
        config = self.config
        warm = min(1.0, (self.step + 1) / config.warmup)
        return (
            config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * self.step / config.steps))
        )

    def means(self) -> dict[str, float]:
        """Of the loss and its terms since the last call; InputError if they are not finite."""
        means = {name: round(float(t) / self._count, 4) for name, t in self._totals.items()}
        if not math.isfinite(means["loss"]):
            raise InputError("the loss is not finite; try a lower learning rate")
        self._totals, self._count = {}, 0
        return {"step": self.step, **means}

    def keep(self) -> None:
        """Write what a resumed run needs."""
        content = io.BytesIO()
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        torch.save(state, content)
        write_whole(self.config.out / CHECKPOINT, content.getvalue())

    def result(self) -> FaceDetectorNetwork:
        """The network with the mean of its weights, on the CPU, not in training."""
        network = FaceDetectorNetwork()
        network.load_state_dict(self.average)
        return network.eval()


def _state(path: Path, device: torch.device) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state
