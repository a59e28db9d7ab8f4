"""What a run's best network does on its validation faces, as a report with pictures."""

from __future__ import annotations

from pathlib import Path

import torch

from aadn.errors import MissingDependencyError
from aadn.evaluation.measure import evaluate
from aadn.evaluation.report_folder import write_report
from aadn.evaluation.setting import Setting
from aadn.evaluation.worst_faces import write_worst_faces
from aadn.inference.landmarker import Landmarker
from aadn.inference.pytorch import TorchBackend
from aadn.training.config import TrainConfig
from aadn.training.faces import normaliser, split
from aadn.training.resume import BEST
from aadn.training.start import resolved

FOLDER = "validation"
"""In a run's folder: the report."""


def write_validation(config: TrainConfig) -> Path:
    """Write the report of a run that has ended; returns its sheet of the worst faces.

    Without matplotlib there is no report.md with its curves, only the worst faces and report.json.

    Args:
        config: of the run; its data are read once more.

    Raises AadnError for data that are no longer there, and files that cannot be written.
    """
    config = resolved(config)
    scheme, folder = config.landmark_scheme, config.out / FOLDER
    _, samples = split(config, scheme)
    usual = "cuda" if torch.cuda.is_available() else "cpu"
    device = usual if config.device == "auto" else config.device
    landmarker = Landmarker(TorchBackend.load(config.out / BEST, device))
    report = evaluate(landmarker, samples, Setting(normaliser=normaliser(config, scheme)))
    try:
        write_report(report, folder, title="Validation faces")
    except MissingDependencyError:
        report.write_json(folder / "report.json")
        write_worst_faces(report, folder)
    return folder / "worst.jpg"
