"""Both networks of a face detector in one file, to go on training from."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
import torch

from aadn.errors import WeightsError
from aadn.files import write_whole
from aadn.models.face_detector import FaceDetectorNetwork
from aadn.models.face_refiner import FaceRefinerNetwork


def save(first: FaceDetectorNetwork, second: FaceRefinerNetwork, path: Path) -> None:
    """Write both, floating-point numbers in half precision."""
    tensors = {f"first.{name}": tensor for name, tensor in first.state_dict().items()}
    tensors |= {f"second.{name}": tensor for name, tensor in second.state_dict().items()}
    halved = {
        name: (t.half() if t.is_floating_point() else t).contiguous() for name, t in tensors.items()
    }
    write_whole(path, safetensors.torch.save(halved))


def load(path: Path) -> tuple[FaceDetectorNetwork, FaceRefinerNetwork]:
    """What `save` wrote; WeightsError for anything else."""
    first, second = FaceDetectorNetwork(), FaceRefinerNetwork()
    try:
        tensors = safetensors.torch.load(path.read_bytes())
        for prefix, network in (("first.", first), ("second.", second)):
            own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            network.load_state_dict({n: _full(t) for n, t in own.items()})
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror or error}); check the path"
        ) from None
    except (RuntimeError, ValueError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"{path}: expected both networks of a face detector ({str(error).splitlines()[0]})"
        ) from None
    return first.eval(), second.eval()


def _full(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
