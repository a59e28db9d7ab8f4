"""What it costs to start: seconds and memory of whole processes, in turn."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from aadn.bench.contest import ROUNDS, NoAnswerError, Timing

LAUNCHER = Path(__file__).with_name("launcher.py")

IMPORTS = "import numpy, cv2, onnxruntime"
"""What any program that runs such a network must load: starting is measured beside it."""


def starts(picture: Path, models: Sequence[str], out: Path) -> dict[str, Sequence[str]]:
    """What is started, by name: commands."""
    python = [sys.executable, "-c"]
    commands: dict[str, Sequence[str]] = {
        IMPORTS: [*python, IMPORTS],
        "import aadn": [*python, "import aadn"],
    }
    for number, model in enumerate(models):
        name = f"aadn detect --model {model}"
        words = ["detect", str(picture), "--model", model, "--quiet"]
        commands[name] = [sys.executable, "-m", "aadn", *words, "--out", str(out / f"{number}.png")]
    return commands


def time_starts(commands: Mapping[str, Sequence[str]]) -> dict[str, Timing]:
    """Seconds of whole processes that run in turn, the first time not counted.

    `about` has "megabytes", the most memory that one held; None on systems that do not say.
    Raises NoAnswerError for one that fails.
    """
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    memory: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(ROUNDS + 1):
        for name, command in commands.items():
            took, held = _run(command)
            if number:
                seconds[name].append(took)
            memory[name] += [] if held is None else [held]
    return {
        name: Timing.of(times, {"megabytes": max(memory[name], default=None)})
        for name, times in seconds.items()
    }


def _run(command: Sequence[str]) -> tuple[float, float | None]:
    """Seconds that a process takes and the megabytes that it holds at most."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(LAUNCHER), *command], capture_output=True, text=True
    )
    try:
        code, seconds, held = json.loads(done.stdout)
    except ValueError:
        code = 1
    if code:
        said = done.stderr.strip().splitlines()
        raise NoAnswerError(f"{' '.join(command)}: {said[-1] if said else 'failed'}")
    return seconds, None if held is None else held * 1024 / 1e6
