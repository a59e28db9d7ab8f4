"""Batches: which faces each step of each process has, and the workers that draw them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from aadn.errors import InputError
from aadn.training import augment
from aadn.training.augment import Draw
from aadn.training.config import TrainConfig
from aadn.training.distributed import Process


@dataclass(frozen=True)
class Plan:
    """How the faces of an epoch are shared out.

    Attributes:
        faces: in an epoch; those that do not fill a last step are left out of it.
        batch: faces of a step in each process.
        steps: of an epoch.
    """

    faces: int
    batch: int
    steps: int

    @classmethod
    def of(cls, faces: int, batch: int, world: int) -> Plan:
        """For steps of `batch` faces over all processes; InputError for too few faces."""
        each = min(batch // world, faces // world)
        if each < 1:
            raise InputError(f"expected a face for each of {world} processes, got {faces}")
        return cls(faces, each, faces // (each * world))


class Batches(torch.utils.data.Sampler[list[tuple[int, int]]]):
    """The (epoch, row) pairs of each step of one process.

    All steps of all epochs that are left, so that workers live through the whole run. The order is
    drawn anew in each epoch, by the seed and the epoch alone.
    """

    def __init__(self, epochs: range, plan: Plan, seed: int, rank: int, world: int) -> None:
        self.epochs, self.plan, self.seed = epochs, plan, seed
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        batch = self.plan.batch
        for epoch in self.epochs:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.plan.faces)
            for step in range(self.plan.steps):
                start = (step * self.world + self.rank) * batch
                yield [(epoch, int(i)) for i in order[start : start + batch]]


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


def loader(
    draws: Draw, stored: Tensor, config: TrainConfig, first: int, plan: Plan, process: Process
) -> torch.utils.data.DataLoader[dict[str, Tensor]]:
    """Batches of draws from epoch `first` on; with their pictures where `stored` is on the CPU."""
    epochs = range(first, config.epochs)
    workers = config.workers
    if workers < 0:
        # Where workers are not forked, each gets a copy of all crops.
        most = 16 if torch.multiprocessing.get_start_method() == "fork" else 4
        workers = max(1, min(most, (os.cpu_count() or 1) // process.world - 1))
    return torch.utils.data.DataLoader(
        draws,
        batch_sampler=Batches(epochs, plan, config.seed, process.rank, process.world),
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
