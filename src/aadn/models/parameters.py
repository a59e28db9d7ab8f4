"""How many parameters each module and network has: `python -m aadn.models.parameters`."""

from __future__ import annotations

from torch import nn

from aadn.models.aadn import Aadn
from aadn.models.distillation import AttentionedDistillationModule, DistillationModule
from aadn.models.odn import Odn
from aadn.models.resnet import CHANNELS
from aadn.models.resnet18 import Resnet18

REDUCTIONS = (8, 16, 32, 64)


def count(module: nn.Module) -> int:
    """Trainable numbers in a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def parameter_table(landmarks: int = 68) -> str:
    """A Markdown table of parameter counts; networks with the visibility head, 224-pixel input."""
    rows: list[tuple[str, nn.Module]] = [("DM", DistillationModule(CHANNELS))]
    rows += [(f"ADM, r = {r}", AttentionedDistillationModule(CHANNELS, r)) for r in REDUCTIONS]
    rows += [("ResNet-18", Resnet18(landmarks)), ("ODN", Odn(landmarks))]
    rows += [(f"AADN, r = {r}", Aadn(landmarks, reduction=r)) for r in REDUCTIONS]
    lines = ["| module | parameters |", "|---|---:|"]
    return "\n".join(lines + [f"| {name} | {count(module):,} |" for name, module in rows])


if __name__ == "__main__":
    print(parameter_table())
