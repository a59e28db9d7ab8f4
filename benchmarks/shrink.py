"""Make a trained heatmap network's convolutions separable, for a third of the work.

    python benchmarks/shrink.py src/aadn/weights/default.safetensors small.safetensors \
        --data ../shared/data

One convolution after the other, each pair is fitted to give what the whole one gives on training
faces, from what the pairs before it give: the column by the covariance of what goes in, the row by
least squares. What it has lost, training on from it wins back (`aadn train --initial`).
"""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from retrain import stages
from torch import Tensor, nn
from tqdm import tqdm

from aadn.models.build import build
from aadn.models.checkpoint import Checkpoint, load_model
from aadn.models.default.separable import Separable
from aadn.models.network import Network
from aadn.training.calibration import drawn_faces

FACES, BATCH = 384, 32
PLACES = 600
"""Positions of a batch's maps that are looked at, drawn by chance."""

RIDGE = 1e-4
"""What keeps the fits from following what hardly varies, as a share of the mean variance."""


def pictures(data: Path, size: int) -> Tensor:
    """Training faces (N, 3, size, size) as training sees them, occluders and all."""
    occluders = (data / "occluders", data / "cutouts/hair", data / "cutouts/hands")
    first = stages(data, Path(), 0)[0]
    return drawn_faces(first.folders, occluders, first.landmark_scheme, size, FACES)


def pairs(network: Network) -> list[str]:
    """Names of the separable convolutions, in the order in which they are computed."""
    return [name for name, module in network.named_modules() if isinstance(module, Separable)]


def fit(whole: nn.Conv2d, pair: Separable, given: Tensor, wanted: Tensor) -> float:
    """Fit a pair to give, from maps (N, in, H, W), those wanted (N, out, h, w).

    Returns what it misses, as a share of the wanted variance.
    """
    column, row = (module for module in pair if isinstance(module, nn.Conv2d))
    patches = F.unfold(given, (3, 1), padding=(1, 0), stride=(column.stride[0], 1))
    covariance = _moment(patches, patches)
    factor = torch.linalg.cholesky(covariance)
    # Rows (out, kx), columns (in, ky): what the pair is to be the best approximation of.
    kernel = whole.weight.double().permute(0, 3, 1, 2).flatten(2).flatten(0, 1)
    basis = torch.linalg.svd(kernel @ factor, full_matrices=False).Vh[: column.out_channels]
    column.weight.copy_(torch.linalg.solve(factor.T, basis.T).T.view_as(column.weight))
    between = F.unfold(column(given), (1, 3), padding=(0, 1), stride=(1, row.stride[1]))
    wanted = wanted.flatten(2)
    best = torch.linalg.solve(_moment(between, between), _moment(between, wanted, ridge=False))
    row.weight.copy_(best.T.view_as(row.weight))
    missed = wanted - row(column(given)).flatten(2)
    return float(missed.var(dim=(0, 2)).sum() / wanted.var(dim=(0, 2)).sum())


def _moment(first: Tensor, second: Tensor, *, ridge: bool = True) -> Tensor:
    """Mean product (C, D) of maps (N, C, P) and (N, D, P), float64."""
    moment = torch.einsum("ncp,ndp->cd", first, second).double() / first.shape[0] / first.shape[2]
    if ridge:
        moment += RIDGE * moment.diagonal().mean() * torch.eye(len(moment), dtype=torch.float64)
    return moment


class _Tap(Exception):
    """Ends a forward pass where the maps that are looked for have come by."""


@torch.no_grad()
def maps(network: Network, name: str, images: Tensor, *, inside: bool) -> Tensor:
    """What goes into a convolution of a network (`inside`) or comes out of it, on images."""
    found: list[Tensor] = []

    def look(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        found.append(given[0] if inside else out)
        raise _Tap

    hook = network.get_submodule(name).register_forward_hook(look)
    try:
        for batch in torch.split(images, BATCH):
            with contextlib.suppress(_Tap):
                network(batch)
    finally:
        hook.remove()
    return torch.cat(found)


def _kept(network: Network, small: Network) -> dict[str, Tensor]:
    """What a separable network takes over: all but the convolutions and the last attention."""
    norm, its_norm = (
        f"attention.{len(one.get_submodule('attention')) - 1}."  # type: ignore[arg-type]
        for one in (small, network)
    )
    weights = {
        name.replace(its_norm, norm): tensor
        for name, tensor in network.state_dict().items()
        if norm == its_norm or not name.startswith(norm)
    }
    return {name: t for name, t in weights.items() if name in small.state_dict()}


@torch.no_grad()
def shrink(network: Network, small: Network, images: Tensor) -> None:
    """Fill a separable network with a whole one's weights, fitted on images."""
    names = pairs(small)
    small.load_state_dict(_kept(network, small), strict=False)
    for name in tqdm(names, "fitting", unit="convolution", disable=None):
        whole, pair = network.get_submodule(name), small.get_submodule(name)
        assert isinstance(whole, nn.Conv2d)
        assert isinstance(pair, Separable)
        few = images[: FACES // 4] if name.startswith(("stem", "stage1", "up1")) else images
        wanted = maps(network, name, few, inside=False)
        missed = fit(whole, pair, maps(small, name, few, inside=True), wanted)
        print(f"{name}: {missed:.3f} of the variance is missed")


def main() -> None:
    """Read a checkpoint, shrink it, write the smaller one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    network, made = load_model(arguments.checkpoint)
    config = replace(made.config, convolutions="separable")
    small = build(config).eval()
    shrink(network, small, pictures(arguments.data, network.size))
    tensors = {f"ema.{name}": tensor for name, tensor in small.state_dict().items()}
    Checkpoint(tensors, config, made.scheme, {}).save(arguments.out)


if __name__ == "__main__":
    main()
