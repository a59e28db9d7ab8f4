"""The processes of a run, their devices, and whether these compute in bfloat16."""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as distributed
import torch.nn.functional as F

from aadn.errors import InputError

WORTH = 1.15
"""How many times faster bfloat16 must be for it to be taken: where it gains less, fp32 is more
exact."""


@dataclass(frozen=True)
class Process:
    """One of the `world` processes of a run, on a device of its own; the one of rank 0 writes."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0

    def agreed(self, answer: bool) -> bool:
        """The first process's answer, in all of them; the others wait for it."""
        if self.world == 1:
            return answer
        said = torch.tensor([answer], device=self.device)
        distributed.broadcast(said, 0)
        return bool(said.item())

    def shared(self, network: torch.nn.Module, *, idle: bool) -> torch.nn.Module:
        """The network, its gradients averaged over all processes.

        `idle`: some of its parameters may get no gradient.
        """
        if self.world == 1:
            return network
        return torch.nn.parallel.DistributedDataParallel(
            network,
            device_ids=[self.device.index] if self.device.type == "cuda" else None,
            find_unused_parameters=idle,
        )


@contextlib.contextmanager
def processes(name: str) -> Iterator[Process]:
    """This process, on the device of that name; under torchrun it joins the others.

    Raises InputError for a device that is not there, or that several processes cannot share.
    """
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    process = Process(rank, world, _device(name, world))
    if world == 1:
        yield process
        return
    cuda = process.device.type == "cuda"
    if cuda:
        torch.cuda.set_device(process.device)
    distributed.init_process_group(
        "nccl" if cuda else "gloo", timeout=datetime.timedelta(minutes=30)
    )
    try:
        yield process
    finally:
        distributed.destroy_process_group()


def _device(name: str, world: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("expected a CUDA device, found none; use --device cpu")
    if name not in ("cpu", "cuda") and not (name.startswith("cuda:") and name[5:].isdigit()):
        raise InputError(f"expected a device of auto, cpu, cuda or cuda:N, got {name!r}")
    if name.startswith("cuda:") and world > 1:
        raise InputError(f"{world} processes cannot share {name}; use --device cuda")
    return torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if name == "cuda" else name)


@contextlib.contextmanager
def own_random_numbers(device: torch.device) -> Iterator[None]:
    """Leave PyTorch's random numbers after this as they were before it."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def bf16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16: as asked for, or ("auto") where that is faster.

    A GPU says itself whether it has bfloat16. Processors differ: of two with AVX-512, one trained
    ResNet-18, ODN and AADN 1.9 times as fast in it, another 1.2 to 1.5 times as slow. So one
    convolution is timed in both formats, once in a process.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return _gains_by_bf16()


@functools.cache
def _gains_by_bf16() -> bool:
    single, half = (min(_seconds(half) for _ in range(5)) for half in (False, True))
    return WORTH * half < single


@torch.enable_grad()
def _seconds(half: bool) -> float:
    """How long a convolution takes on the processor, there and back."""
    images = torch.ones(8, 64, 32, 32, requires_grad=True)
    weights = torch.ones(64, 64, 3, 3, requires_grad=True)
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        features = F.conv2d(images.contiguous(memory_format=torch.channels_last), weights)
    features.float().sum().backward()  # type: ignore[no-untyped-call]
    return time.perf_counter() - began
