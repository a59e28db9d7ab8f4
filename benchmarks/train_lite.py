"""Train the lite network from random weights, in one run.

    python benchmarks/train_lite.py --data ../shared/data --out runs
    torchrun --nproc-per-node 2 benchmarks/train_lite.py --data ../shared/data --out runs

The second is for two cores, once the first has labelled the photographs: a process on each is
faster.
It has the faces, occluders and labels of the default's last run (`retrain.py`), and all other
pictures of faces that are there, which the default labels; the default also says what hides
landmarks where nobody has labelled that. Killed, the same command goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from embed import TO_TRAIN_ON
from retrain import PHOTOGRAPHS, stages

from aadn.models.registry import ModelConfig
from aadn.training.config import TrainConfig
from aadn.training.loop import train

EPOCHS = 46


def run(data: Path, out: Path, epochs: int, seed: int) -> TrainConfig:
    """The settings of the run."""
    last = stages(data, out, seed)[-1]
    return replace(
        last,
        out=out / "lite",
        model=ModelConfig(name="lite"),
        initial=None,
        teacher=None,
        relabel_by=TO_TRAIN_ON,
        epochs=epochs,
        batch=48,
        learning_rate=2.5e-3,
        warmup=500,
        seed=seed,
    )


def main() -> None:
    """Label the photographs by the default, if that is not done, and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    photographs = arguments.out / PHOTOGRAPHS
    if not (photographs / "held_out" / "labels.json").exists():  # the last thing that it writes
        script = Path(__file__).with_name("label_photographs.py")
        words = [script, "--data", arguments.data, "--out", photographs, "--crowds"]
        subprocess.run([sys.executable, *map(str, words)], check=True)
    config = run(arguments.data, arguments.out, arguments.epochs, arguments.seed)
    print(train(config, tell=lambda line: print(line, file=sys.stderr)))


if __name__ == "__main__":
    main()
