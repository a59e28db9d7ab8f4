"""A trained network that another of the same shape imitates: what its layers give on each picture.

Ours, not the paper's; after Romero et al., *FitNets: Hints for Thin Deep Nets* (ICLR 2015), without
their adapters: the heatmap network's whole and separable convolutions have maps of the same shape,
and a network that `benchmarks/shrink.py` made starts with its teacher's features.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aadn.errors import InputError
from aadn.models.checkpoint import load_model
from aadn.models.network import Network

SHARE = 2
"""One face in so many of a batch is shown to the teacher, whose look at it costs as much as the
whole step: nearly as much is learned for half of that (our choice)."""

PARTS = ("stage1", "stage2", "stage3", "up2", "up1")
"""The parts of the heatmap network whose maps are imitated."""


class _Maps:
    """What the parts of a network gave when it was last called, by name."""

    def __init__(self, network: nn.Module) -> None:
        self.found: dict[str, Tensor] = {}
        self.hooks = [
            network.get_submodule(name).register_forward_hook(self._keep(name)) for name in PARTS
        ]

    def _keep(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def keep(module: nn.Module, given: tuple[Any, ...], out: Tensor) -> None:
            self.found[name] = out

        return keep


class Teacher:
    """A frozen network beside the one that learns from it.

    Args:
        path: its checkpoint.
        student: the network that learns, a heatmap network.
        device: where both compute.

    Raises:
        WeightsError: as `load_model` does.
        InputError: one of the two is no heatmap network, or their inputs differ in size.
    """

    def __init__(self, path: Path, student: Network, device: torch.device) -> None:
        network, _ = load_model(path)
        for one in (network, student):
            parts = {name for name, _ in one.named_children()}
            if not parts.issuperset(PARTS):
                raise InputError(f"{path}: a teacher and who learns from it are heatmap networks")
        if network.size != student.size:
            raise InputError(
                f"{path}: expected a teacher whose input has {student.size} pixels, got one of "
                f"{network.size}"
            )
        self.network = network.to(device).requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.theirs, self.ours = _Maps(self.network), _Maps(student)

    def loss(self, images: Tensor) -> Tensor:
        """How far the student's maps are from the teacher's, for images it was just called on.

        The mean over the parts of ‖ours - theirs‖² over ‖theirs - their mean‖², of the first faces
        of the batch, one in SHARE of all.
        """
        images = images[: -(-len(images) // SHARE)]
        with torch.no_grad():
            self.network(images)
        terms = []
        for name in PARTS:
            ours, theirs = self.ours.found[name][: len(images)], self.theirs.found[name]
            ours, theirs = ours.float(), theirs.float()
            spread = theirs.var(dim=(0, 2, 3), correction=0).mean()
            terms.append((ours - theirs).square().mean() / spread.clamp(min=1e-6))
        self.ours.found.clear()
        self.theirs.found.clear()
        return torch.stack(terms).mean()

    def leave(self) -> None:
        """Look at the student no more."""
        for hook in self.ours.hooks:
            hook.remove()
        self.ours.found.clear()
