"""Training: from labelled faces to a checkpoint, in one visible loop."""

from __future__ import annotations

import json
import math
import time
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from aadn.errors import InputError
from aadn.files import write_whole
from aadn.inference.weights import checkpoint_file
from aadn.models.checkpoint import Checkpoint
from aadn.models.registry import NETWORKS
from aadn.occlude.cutouts import Cutouts
from aadn.schemes import IBUG68, Scheme
from aadn.training import augment
from aadn.training.augment import Draw
from aadn.training.config import Tell, TrainConfig, nothing
from aadn.training.crops import CropSet
from aadn.training.distributed import Process, bf16, own_random_numbers, processes
from aadn.training.faces import Data, load
from aadn.training.loader import Plan, loader
from aadn.training.losses import total_loss
from aadn.training.optimiser import move_average, rate
from aadn.training.provenance import provenance_of
from aadn.training.relabel import initial_landmarker, relabelled, shares
from aadn.training.resume import BEST, CONFIG, LAST, LOG, State, log, plain, resumable
from aadn.training.start import (
    check_network,
    first_network,
    freeze,
    load_first,
    resolved,
    start_learning,
)
from aadn.training.teacher import Teacher
from aadn.training.validate import validate

CLIP = 5.0
"""Gradients longer than this are shortened to it (our choice)."""

_LOGGED = {"visible_map": "seen"}
"""Names of loss terms in metrics.jsonl that are older than their names here."""


def train(config: TrainConfig, data: Data | None = None, *, tell: Tell = nothing) -> Path:
    """Train as configured; returns the file of the best checkpoint.

    Run under `torchrun` it uses one process per device. Killed at any moment, the same call with
    `resume` goes on from the last whole epoch and reaches the same numbers, given the same kind of
    device and number of threads; the number of workers makes no difference. Nothing is written
    before the faces are read and the first weights loaded.

    Args:
        config: what, on what and for how long.
        data: what `load` gives for it, to be read only once for several runs.
        tell: is given a line for each thing worth knowing, and for each epoch. A bar shows how far
            an epoch is where the error output is a terminal.

    Raises:
        AadnError: for data, files or options that cannot be used.
    """
    with processes(config.device) as process, own_random_numbers(process.device):
        return _train(config, data, process, tell if process.first else nothing)


def _train(given: TrainConfig, data: Data | None, process: Process, tell: Tell) -> Path:
    config = _checked(given, process.world, tell)
    resumed = resumable(config, process.world)
    if config.resume and resumed is None:
        tell(f"nothing to resume in {config.out}: starting anew")
    data = data or load(config)
    state, crops = _begun(config, data, resumed, process.device, tell)
    learner = _Learner(config, state, _draws(config, crops, data), process)
    made = (resumed.state.get("provenance") if resumed else None) or provenance_of(config)
    said = {
        "provenance": made,
        "detector_box": _told(data, learner.scheme, tell),
        "crop_factor": crops.factor,
    }
    if process.first:
        write_whole(config.out / CONFIG, json.dumps(plain(config), indent=1) + "\n")
    while not process.agreed(_ended(config, state)):
        began = time.perf_counter()
        terms = learner.epoch()
        seconds = time.perf_counter() - began
        state.epoch += 1
        if process.first:
            record: dict[str, Any] = {"epoch": state.epoch, "step": state.step}
            record |= {_LOGGED.get(name, name): round(v, 6) for name, v in terms.items()}
            record |= validate(config, state.average, data.validation, process.device, learner.half)
            record["images_per_second"] = round(learner.images / seconds, 1)
            _keep(learner, record, said, tell)
    if state.epoch < config.epochs:
        tell(f"stopped: no epoch was better than {state.best_epoch} in {config.patience}")
    return config.out / BEST


def _checked(given: TrainConfig, world: int, tell: Tell) -> TrainConfig:
    """The configuration, whole and looked at before any work; InputError for a wrong one."""
    given.check()
    if given.batch % world:
        raise InputError(f"expected a batch that {world} processes can share, got {given.batch}")
    config = resolved(given)
    config.loss.check(config.model.name)
    check_network(config)
    if config.model.name != given.model.name:
        tell(f"the network is {config.model.name}, as that of the checkpoint")
    if config.model.size != given.model.size:
        tell(
            f"the input has {config.model.size} pixels, as that of the checkpoint; for another, "
            "give --model.size"
        )
    return config


def _ended(config: TrainConfig, state: State) -> bool:
    """Whether all epochs are done, or so many were no better that patience is at its end."""
    impatient = 0 < config.patience <= state.epoch - state.best_epoch
    return impatient or state.epoch >= config.epochs


def _begun(
    config: TrainConfig,
    data: Data,
    resumed: Checkpoint | None,
    device: torch.device,
    tell: Tell,
) -> tuple[State, CropSet]:
    """Where the run begins or goes on, and the training faces with their last labels."""
    torch.manual_seed(config.seed)
    network = first_network(config, data.training, data.rows)
    if resumed is None:
        tell(load_first(network, config, data.training))
    freeze(network, config)
    crops = data.training
    if config.relabel:
        crops = relabelled(crops, data.labelled, initial_landmarker(config, device))
        tell(shares(crops))
    state = State.of(network, config, device)
    if resumed is not None:
        state.restore(resumed, config.out / LAST)
    return state, crops


def _told(data: Data, scheme: Scheme, tell: Tell) -> tuple[float, ...] | None:
    """`Data.detector_box` as plain values; says so where it should be known and is not."""
    if data.detector_box is not None:
        return astuple(data.detector_box)
    if scheme != IBUG68:
        tell(
            "the detector finds too few of the training faces to learn how they lie in its boxes: "
            "give the network boxes of your own"
        )
    return None


def _draws(config: TrainConfig, crops: CropSet, data: Data) -> Draw:
    """The training faces as they are augmented."""
    return Draw(
        crops,
        config.model.input_size,
        config.seed,
        cutouts=Cutouts.load(*config.occluders) if config.occluders else None,
        rows=data.rows,
        occluders=config.paint_occluders,
        mirror_epochs=round(config.mirror * config.epochs),
        label_offset=config.label_offset,
    )


class _Learner:
    """A network and the faces that it learns from: what one process does in an epoch.

    Attributes:
        scheme: of the faces.
        half: whether it computes in bfloat16.
        images: faces that all processes together see in an epoch.
    """

    def __init__(self, config: TrainConfig, state: State, draws: Draw, process: Process) -> None:
        self.config, self.state, self.process = config, state, process
        self.scheme = draws.scheme
        self.half = bf16(config.precision, process.device)
        self.plan = Plan.of(len(draws), config.batch, process.world)
        self.images = self.plan.steps * self.plan.batch * process.world
        self.weight = config.loss.for_model(config.model.name)
        # A head without its term of the loss gets no gradient.
        idle = any(not self.weight[term] for term in NETWORKS[config.model.name].loss)
        self.model = process.shared(state.network, idle=idle)
        self.teacher = None
        if config.teacher is not None:
            teacher = checkpoint_file(config.teacher)
            self.teacher = Teacher(teacher, state.network, process.device)
        self.stored = torch.from_numpy(draws.crops.images).to(process.device)
        self.batches = iter(loader(draws, self.stored, config, state.epoch, self.plan, process))

    def epoch(self) -> dict[str, float]:
        """One pass over the faces; means of the loss and its terms, InputError if it explodes."""
        config, state = self.config, self.state
        start_learning(state.network, config.only)
        if self.teacher is not None and state.epoch >= round(config.taught * config.epochs):
            self.teacher.leave()
            self.teacher = None
        # What dropout leaves out does not depend on earlier epochs, so that resuming repeats it.
        seeds = np.random.default_rng([config.seed, state.epoch, self.process.rank])
        torch.manual_seed(int(seeds.integers(2**62)))
        totals: dict[str, Any] = {}
        with self._bar() as bar:
            for step in range(self.plan.steps):
                terms = self.step(next(self.batches))
                for name, term in terms.items():
                    totals[name] = totals.get(name, 0.0) + term.detach()
                if not bar.disable and step % 10 == 0:  # a look at the loss waits for the device
                    loss = f"{float(terms['loss'].detach()):.3f}"
                    bar.set_postfix(step=state.step, loss=loss, refresh=False)
                bar.update(self.images // self.plan.steps)
        sums = {name: float(total) for name, total in totals.items()}
        if not all(math.isfinite(total) for total in sums.values()):
            raise InputError(
                f"the loss became {sums['loss']} in epoch {state.epoch + 1}; try a lower "
                f"--learning-rate (now {config.learning_rate}) or --precision fp32"
            )
        return {name: total / self.plan.steps for name, total in sums.items()}

    def step(self, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
        """Learn from a batch; its loss, and the loss's terms before they are weighted."""
        config, state, device = self.config, self.state, self.process.device
        drawn = {name: t.to(device, non_blocking=True) for name, t in drawn.items()}
        images = drawn["images"] if "images" in drawn else augment.apply(self.stored, drawn)
        images = images.contiguous(memory_format=torch.channels_last)
        for group in state.optimiser.param_groups:
            group["lr"] = rate(state.step, self.plan.steps * config.epochs, config)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.half):
            prediction = self.model(images)
            imitated = None if self.teacher is None else self.teacher.loss(images)
        loss, terms = total_loss(
            prediction,
            drawn["points"],
            drawn["visible"],
            drawn["turned"],
            drawn["face"],
            drawn["visible_map"],
            state.network.regularisation(),
            self.weight,
        )
        if imitated is not None:
            terms["teacher"] = imitated
            loss = loss + self.weight["teacher"] * imitated
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(state.network.parameters(), CLIP)
        state.optimiser.step()
        state.step += 1
        move_average(state.average, state.network, config.ema, state.step)
        return {"loss": loss, **terms}

    def _bar(self) -> Any:
        """Step, loss, images/s and the time left, where the error output is a terminal."""
        return tqdm(
            total=self.images,
            desc=f"epoch {self.state.epoch + 1}/{self.config.epochs}",
            unit="image",
            leave=False,
            disable=None if self.process.first else True,
        )


def _keep(learner: _Learner, record: dict[str, Any], said: dict[str, Any], tell: Tell) -> None:
    """Write what an epoch gave: its line, its weights if they are the best, the whole state.

    `said` is what checkpoints say of the whole run.
    """
    config, state, scheme = learner.config, learner.state, learner.scheme
    score = (record["nme"] + record["nme_occluded"]) / 2
    better = score < state.best
    if better:
        state.best, state.best_epoch = score, state.epoch
        of_best = {"metrics": record, **said}
        Checkpoint(state.averaged(), config.model, scheme, of_best).save(config.out / BEST)
    log(config.out / LOG, record)
    reached = {
        "epoch": state.epoch,
        "step": state.step,
        "best": state.best,
        "best_epoch": state.best_epoch,
    }
    of_run = {**reached, "world": learner.process.world, **said}
    Checkpoint(state.tensors(), config.model, scheme, of_run).save(config.out / LAST)
    tell(
        f"epoch {state.epoch}/{config.epochs}  loss {record['loss']:.4f}  validation NME "
        f"{record['nme']:.3f} % clean, {record['nme_occluded']:.3f} % occluded, "
        f"visibility AUC {record['visibility_auc'] or math.nan:.3f}, "
        f"{record['images_per_second']:.0f} images/s{'  best' if better else ''}"
    )
