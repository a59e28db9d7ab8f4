"""What the ablation trains and how, as plain values: read by the command line without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from aadn.schemes import Scheme
from aadn.training.config import DataConfig, MachineConfig, ScheduleConfig, chosen_scheme


@dataclass(frozen=True)
class AblateConfig(MachineConfig, ScheduleConfig, DataConfig):
    """What the ablation trains, on what and for how long; every variant and seed alike.

    Attributes:
        out: Folder for the report, ablation.md and ablation.json, and the runs.
        landmarks: Number of landmarks; --scheme sets it too.
        size: Side of the input in pixels, a multiple of 32.
        seeds: Seeds of weights, order, augmentation and occluders; the held-out faces are the same.
        variants: Names of what is trained; all of them if left out.
    """

    hold_out: float = 0.2
    learning_rate: float = 1e-3
    warmup: int = 100
    landmarks: int = 68
    size: int = 224
    seeds: tuple[int, ...] = (0, 1, 2)
    variants: tuple[str, ...] = ()

    @property
    def landmark_scheme(self) -> Scheme:
        """Whose points are learned; InputError if --scheme and --landmarks disagree."""
        return chosen_scheme(self.scheme, self.landmarks, "--landmarks")
