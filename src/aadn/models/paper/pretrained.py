"""Weights for the trunk: ImageNet's, or those of a ResNet-18 trained here."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from aadn.errors import WeightsError
from aadn.models.paper.resnet import Trunk

NAME = "resnet18"
URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"


OURS = "ema.trunk."
"""What the trunk's keys begin with in a checkpoint of `aadn train`."""


def load_trunk(trunk: Trunk, source: Path | str | None) -> str | None:
    """Put weights into `trunk`, all of them or, on an error, none.

    Args:
        trunk: changed in place.
        source: a .safetensors or PyTorch file with the usual key names of ResNet-18; a checkpoint
            of `aadn train --model.name resnet18`; "resnet18" to fetch torchvision's file of
            ImageNet weights; None to leave the trunk as it is.

    Returns:
        One line that says what was loaded, or None.

    `fc.*`, and `layer4.1.*` for a trunk without that block, are left out. Every other key must
    match, in name and shape; batch counters (`num_batches_tracked`) may be absent, as in
    torchvision's file.

    Raises:
        WeightsError: file missing, broken, unsafe or of another network; or no connection.
    """
    if source is None:
        return None
    loaded = _fetch() if str(source) == NAME else _read(Path(source))
    trunk.load_state_dict(_checked(trunk, loaded, source))
    return f"the trunk starts from {URL if str(source) == NAME else source}"


def _read(path: Path) -> object:
    """The content of a file, trusted in nothing."""
    if not path.is_file():
        raise WeightsError(
            f"no weights file at {path}: give a .safetensors or .pth file of ResNet-18, "
            f"or '{NAME}' to download torchvision's"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: object = torch.load(path, map_location="cpu", weights_only=True)
        return content
    except Exception as error:  # a broken file fails in a dozen ways
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise WeightsError(
            f"{path} cannot be read as weights: it is broken, or holds more than tensors and was "
            f"refused as unsafe ({reason[0]}). Download it again from a source you trust"
        ) from None


def _fetch() -> object:
    """Torchvision's file, from PyTorch's cache or the network."""
    try:
        return torch.hub.load_state_dict_from_url(
            URL, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except Exception as error:  # no network, a proxy's page, a full disk, a cut download
        raise WeightsError(
            f"cannot fetch {URL} ({error}). Without a connection: download that file elsewhere "
            "and give its path, or train from random weights"
        ) from None


def _checked(trunk: Trunk, loaded: object, source: Path | str) -> dict[str, Tensor]:
    """The entries of `loaded` that `trunk` takes, when they are exactly those it needs."""
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise WeightsError(f"{source} must hold a plain dictionary of name -> tensor")
    if any(str(key).startswith(OURS) for key in loaded):
        loaded = {k.removeprefix(OURS): v for k, v in loaded.items() if str(k).startswith(OURS)}
    wanted = trunk.state_dict()
    ignored = ("fc.",) if "layer4.1.conv1.weight" in wanted else ("fc.", "layer4.1.")
    found = {key: value for key, value in loaded.items() if not str(key).startswith(ignored)}
    for key, value in wanted.items():
        if key.endswith("num_batches_tracked"):
            found.setdefault(key, value)

    wrong = [f"missing {key}" for key in wanted if key not in found]
    wrong += [f"unexpected {key}" for key in found if key not in wanted]
    wrong += [
        f"{key} is {tuple(found[key].shape)}, expected {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in found and found[key].shape != value.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise WeightsError(f"{source} is not a ResNet-18: {'; '.join(wrong[:5])}{more}")
    return found
