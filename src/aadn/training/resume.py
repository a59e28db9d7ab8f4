"""How far a run is, in files that it can go on from: the whole state, and a log of its epochs."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aadn.errors import InputError, OutputError, WeightsError
from aadn.files import write_whole
from aadn.models import checkpoint
from aadn.models.checkpoint import Checkpoint
from aadn.models.network import Network
from aadn.models.registry import NETWORKS
from aadn.training.config import TrainConfig
from aadn.training.optimiser import optimiser_of

LAST, BEST = "last.safetensors", "best.safetensors"
"""In a run's folder: the checkpoint that it goes on from, and that of its best epoch."""

CONFIG, LOG = "config.json", "metrics.jsonl"
"""In a run's folder: its configuration, and a line for each epoch."""


@dataclass
class State:
    """What changes from step to step.

    Attributes:
        network: in training.
        optimiser: of its weights.
        average: the moving average of its weights and buffers, by name.
        epoch, step: how many are done.
        best, best_epoch: the lowest score of an epoch so far, and which one had it.
    """

    network: Network
    optimiser: torch.optim.Optimizer
    average: dict[str, Tensor]
    epoch: int = 0
    step: int = 0
    best: float = math.inf
    best_epoch: int = 0

    @classmethod
    def of(cls, network: Network, config: TrainConfig, device: torch.device) -> State:
        """That of a network before its first step; it is moved to the device."""
        network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = {name: t.detach().clone() for name, t in network.state_dict().items()}
        return cls(network, optimiser_of(network, config), average)

    def averaged(self) -> dict[str, Tensor]:
        """The weights that inference uses, named as in a `Checkpoint`."""
        return {f"ema.{name}": t for name, t in self.average.items()}

    def tensors(self) -> dict[str, Tensor]:
        """All tensors that resuming needs, named as in a `Checkpoint`."""
        weights = {f"model.{name}": t for name, t in self.network.state_dict().items()}
        names = {id(p): name for name, p in self.network.named_parameters()}
        moments = {
            f"optimiser.{names[id(p)]}.{key}": value
            for p, state in self.optimiser.state.items()
            for key, value in state.items()
        }
        return self.averaged() | weights | moments

    def restore(self, resumed: Checkpoint, path: Path) -> None:
        """Take over what `tensors` gave; WeightsError if it is of another network."""
        checkpoint.load_state(self.network, resumed.weights("model."), path)
        for name in self.average:
            self.average[name].copy_(resumed.tensors[f"ema.{name}"])
        for name, parameter in self.network.named_parameters():
            if not parameter.requires_grad:
                continue
            # The fused optimiser wants its state laid out in memory as the parameter is.
            moments = {
                key: torch.empty_like(parameter).copy_(resumed.tensors[f"optimiser.{name}.{key}"])
                for key in ("exp_avg", "exp_avg_sq")
            }
            steps = resumed.tensors[f"optimiser.{name}.step"].to(parameter.device)
            self.optimiser.state[parameter] = {"step": steps, **moments}
        state = resumed.state
        self.epoch, self.step, self.best = state["epoch"], state["step"], state["best"]
        self.best_epoch = state.get("best_epoch", self.epoch)  # older runs do not say it


def resumable(config: TrainConfig, world: int) -> Checkpoint | None:
    """The checkpoint that a run goes on from; None if there is none.

    Raises OutputError if there is one and the configuration does not resume, WeightsError for a
    file that holds no run, and InputError for one of a run with other settings.
    """
    path = config.out / LAST
    if not path.exists():
        return None
    if not config.resume:
        raise OutputError(
            f"{path} exists: add --resume to go on with that run, or choose another --out"
        )
    resumed = checkpoint.load(path)
    if "epoch" not in resumed.state:
        raise WeightsError(
            f"{path}: holds weights, but not the state of a run; start another run from it with "
            "--initial"
        )
    if resumed.state["world"] != world:
        raise InputError(
            f"{path} is of a run with other settings: processes was {resumed.state['world']}, is "
            f"{world}; repeat its settings"
        )
    same_run(config, recipe_of(resumed), path)
    if resumed.scheme != config.landmark_scheme:
        raise InputError(
            f"{path} is of a run with other settings: the landmark scheme {config.scheme} has "
            "changed; repeat its settings"
        )
    return resumed


def recipe_of(made: Checkpoint) -> dict[str, Any]:
    """The configuration of the run that made a checkpoint; in aadn 0.1 it had another place."""
    state = made.state
    recipe: dict[str, Any] = state["config"] if "config" in state else state["provenance"]["recipe"]
    return recipe


def plain(config: TrainConfig) -> dict[str, Any]:
    """The configuration as JSON holds it."""
    return dict(json.loads(json.dumps(dataclasses.asdict(config), default=str)))


_FREE = {"resume", "workers", "device", "out", "patience"}
"""Settings that may change between a run and its resumption."""


def same_run(config: TrainConfig, earlier: dict[str, Any], path: Path) -> None:
    """Raise InputError unless the settings in a run's config.json or checkpoint are these.

    Settings that there were not yet when it was written count as what was done then.
    """
    default = plain(TrainConfig(config.folders, config.out))
    older = {"epoch_faces": 1}  # of settings that there were not, what was done
    now, before = (_comparable(values, default) for values in (plain(config), older | earlier))
    if changed := [name for name in now if now[name] != before[name]]:
        what = ", ".join(f"{name} was {before[name]}, is {now[name]}" for name in changed)
        raise InputError(f"{path} is of a run with other settings: {what}; repeat its settings")


def _comparable(values: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """Settings that must not change, in today's names, with defaults for what is missing."""
    loss, model = dict(values.get("loss", {})), default["model"] | values.get("model", {})
    if "seen" in loss:  # its name in aadn 0.1
        loss["visible_map"] = loss.pop("seen")
    occluders = values.get("occluders") or []  # one folder or None in aadn 0.2
    occluders = [occluders] if isinstance(occluders, str) else list(occluders)
    model["size"] = model["size"] or NETWORKS[model["name"]].size
    loss = default["loss"] | loss
    return {
        **{name: (default | values)[name] for name in default if name not in _FREE},
        "occluders": occluders,
        "model": None,
        **{f"model.{name}": value for name, value in model.items()},
        "loss": None,
        **{f"loss.{name}": value for name, value in loss.items()},
    }


def log(path: Path, record: dict[str, Any]) -> None:
    """Add an epoch's line; lines of that epoch or later are of a run that was cut off."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if json.loads(line)["epoch"] < record["epoch"]]
    write_whole(path, "".join(f"{line}\n" for line in [*kept, json.dumps(record)]))
