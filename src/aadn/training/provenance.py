"""Where weights come from: what a checkpoint says of the run that made it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import aadn
from aadn.inference.weights import digest
from aadn.training.config import TrainConfig
from aadn.training.resume import plain


def provenance_of(config: TrainConfig) -> dict[str, Any]:
    """Plain values (JSON) that say how weights of this run are made.

    `aadn`, the version; `commit` of its code, with "-dirty" behind it where that was changed, or
    None where the code is no checkout; `parent`, sha256 of the checkpoint that the run starts from,
    or None; `recipe`, the configuration.
    """
    initial = config.initial_file
    return {
        "aadn": aadn.__version__,
        "commit": commit_of(Path(aadn.__file__).parents[2]),
        "parent": digest(initial) if initial is not None and initial.is_file() else None,
        "recipe": plain(config),
    }


def commit_of(checkout: Path) -> str | None:
    """The commit of a source checkout, see `provenance_of`; None if the folder is none."""
    if not (checkout / ".git").exists():  # nor is a folder within another project's checkout
        return None
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(
            command, cwd=checkout, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
