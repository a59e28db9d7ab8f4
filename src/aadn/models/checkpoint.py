"""Checkpoints: safetensors with their own configuration, strict, written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from aadn.errors import InputError, WeightsError
from aadn.files import write_whole
from aadn.models.build import build
from aadn.models.network import Network
from aadn.models.registry import ModelConfig, option
from aadn.schemes import SCHEMES, Scheme, scheme_of

FORMAT = 1

SPREAD, SHAPE, TURNED = "spread.", "shape.", "turned."
"""Parts of the heatmap network that older checkpoints lack. Without the first, in aadn 0.1, there
is no uncertainty: such a checkpoint is good to train on from, where the part keeps its initial
values, and for nothing else. With its initial values the second leaves the points as they are: a
checkpoint that lacks it gives what it always gave. Networks have the third where their
configuration says so; a run may add it to a checkpoint without it."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        tensors: by name. Names begin with "ema." for the averaged weights, which inference uses,
            and with "model." and "optimiser." for what resuming needs.
        config: which network they are of.
        scheme: whose points it gives.
        state: plain values (JSON).
    """

    tensors: dict[str, Tensor]
    config: ModelConfig
    scheme: Scheme
    state: dict[str, Any]

    def weights(self, prefix: str = "ema.") -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix`, without it."""
        return {n.removeprefix(prefix): t for n, t in self.tensors.items() if n.startswith(prefix)}

    def save(self, path: Path) -> None:
        """Write all of it as one file; OutputError if the file cannot be written."""
        known = self.scheme == SCHEMES.get(self.scheme.name)
        meta = {
            "format": FORMAT,
            "model": dataclasses.asdict(self.config),
            "scheme": self.scheme.name if known else self.scheme.to_dict(),
            "state": self.state,
        }
        plain = {name: t.detach().cpu().contiguous() for name, t in self.tensors.items()}
        write_whole(path, safetensors.torch.save(plain, {"aadn": json.dumps(meta)}))


def load(path: Path) -> Checkpoint:
    """What `Checkpoint.save` wrote.

    Raises WeightsError for a file that is missing, cut, of another program or another format;
    nothing in a file is ever executed.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: expected a checkpoint, found no such file")
    try:
        with safetensors.safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get("aadn")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        if path.suffix.lower() == ".onnx":
            raise WeightsError(
                f"{path}: expected a checkpoint in safetensors form, got an ONNX file; give the "
                "checkpoint that it was exported from"
            ) from None
        raise WeightsError(
            f"{path}: expected a checkpoint in safetensors form, got a broken or other file "
            f"({error}); make it anew with 'aadn train'"
        ) from None
    if text is None:
        raise WeightsError(f"{path}: expected a checkpoint of 'aadn train', got other safetensors")
    try:
        meta = json.loads(text)
        if meta["format"] != FORMAT:
            raise WeightsError(f"{path}: expected format {FORMAT}, got {meta['format']}")
        config = ModelConfig.of(meta["model"])
        return Checkpoint(tensors, config, _scheme(meta.get("scheme"), config), meta["state"])
    except (AttributeError, KeyError, TypeError, ValueError, InputError) as error:
        raise WeightsError(f"{path}: the checkpoint's configuration is broken: {error}") from None


def _scheme(value: Any, config: ModelConfig) -> Scheme:
    """The scheme that a file names or describes; one of aadn 0.1 says nothing but a count."""
    if value is None:
        return scheme_of(config.landmarks)
    scheme = Scheme.of(value) if isinstance(value, dict) else SCHEMES[value]
    if scheme.size != config.landmarks:
        raise InputError(f"scheme {scheme.name!r} does not have {config.landmarks} landmarks")
    return scheme


def load_state(module: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Fill a module with tensors by name, all of them and no others, or raise WeightsError."""
    own = module.state_dict()
    wrong = sorted(set(own) ^ set(tensors))
    wrong += [n for n in own if n in tensors and own[n].shape != tensors[n].shape]
    if wrong:
        if set(wrong) <= _lacking(tensors, module, SPREAD, SHAPE).keys():
            raise WeightsError(
                f"{path}: was made by an older aadn and lacks {_named(wrong)}; train on from it "
                "with --initial, or use the aadn that made it"
            )
        raise WeightsError(
            f"{path}: the weights are of another model; {len(wrong)} tensors are missing, "
            f"unexpected or of another shape, the first is {wrong[0]}"
        )
    module.load_state_dict(tensors)


def load_model(path: Path) -> tuple[Network, Checkpoint]:
    """The network of a checkpoint with its averaged weights, ready for inference.

    Also the checkpoint. Raises WeightsError as `load` does, and if the weights are of another
    model.
    """
    checkpoint = load(path)
    try:
        network = build(checkpoint.config)
    except InputError as error:
        raise WeightsError(f"{path}: {error}") from None
    weights = checkpoint.weights()
    load_state(network, weights | _lacking(weights, network, SHAPE), path)
    return network.eval(), checkpoint


def _named(tensors: Iterable[str]) -> str:
    """The parts of a network that tensors belong to."""
    return ", ".join(sorted({name.split(".")[0] for name in tensors}))


def _lacking(
    weights: dict[str, Tensor], network: torch.nn.Module, *parts: str
) -> dict[str, Tensor]:
    """A network's own tensors of those parts, by prefix, that weights have nothing of."""
    lacking = tuple(part for part in parts if not any(name.startswith(part) for name in weights))
    return {name: t for name, t in network.state_dict().items() if name.startswith(lacking)}


def start_from(network: Network, config: ModelConfig, scheme: Scheme, path: Path) -> str:
    """Fill a network with a checkpoint's averaged weights, to train on from them.

    The checkpoint's input may be of another size, where the network's weights do not depend on it.
    A part that older checkpoints lack keeps the values it has in `network`. Returns a line that
    says what was loaded and what was not. Raises WeightsError as `load_model` does, and if the
    checkpoint is of another network or scheme.
    """
    checkpoint = load(path)
    now, then = (dataclasses.asdict(one) for one in (config, checkpoint.config))
    differences = [
        f"{option(name, then[name])} there, {option(name, now[name])} here"
        for name in now
        if name not in ("size", "landmarks", "turned") and now[name] != then[name]
    ]
    if checkpoint.scheme != scheme:
        differences.append(
            f"scheme {checkpoint.scheme.name} ({checkpoint.scheme.size} points) there, "
            f"{scheme.name} ({scheme.size} points) here"
        )
    if differences:
        raise WeightsError(
            f"{path}: is of another network than the one to train: {'; '.join(differences)}"
        )
    weights = checkpoint.weights()
    if not config.turned:
        weights = {name: t for name, t in weights.items() if not name.startswith(TURNED)}
    kept = _lacking(weights, network, SPREAD, SHAPE, TURNED)
    load_state(network, weights | kept, path)
    left = f", which lacks {_named(kept)}: new weights there" if kept else ""
    return f"starting from {path} ({config.input_size} pixels){left}"
