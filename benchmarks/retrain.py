"""Train the default model from random weights, in thirteen runs.

    python benchmarks/retrain.py --data ../shared/data --out runs

Each run starts from the one before, which also says what is hidden in the training pictures
(`--relabel`) where nobody has labelled it; those from the fifth on have labels of 300-W's faces
(natural_training.json). What the ninth to eleventh learned is averaged with what they started from,
what the last learned with what it was after its ninth epoch.
The twelfth adds what a head model says is turned away and leaves all else as it is; then shrink.py
makes the convolutions separable, and the thirteenth wins back what that lost, taught by the twelfth
and with photographs that label_photographs.py labels by it. Its mean,
`runs/thirteenth/mean.safetensors`, is the model. The default was trained in one run more: here its
fourth and fifth are one. Killed, the same command goes on. One process on one device: under
torchrun, give the settings of each run to `aadn train`. Seeds other than 0 measure how far the
figures spread.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from aadn.models import checkpoint
from aadn.models.checkpoint import Checkpoint
from aadn.models.registry import ModelConfig
from aadn.training.config import LossWeights, TrainConfig
from aadn.training.faces import Data, load
from aadn.training.loop import train
from aadn.training.provenance import provenance_of
from aadn.training.resume import BEST, LAST
from aadn.training.validate import validate

SHARE = 0.7
"""What a run's weights count in the mean with those that it started from; chosen on the validation
faces."""

MEAN = "mean.safetensors"
"""The checkpoint of that mean, in the run's folder."""

MIDDLE, MIDDLE_EPOCH = "middle.safetensors", 9
"""Of the run of separable convolutions: what it was after so many epochs. Half of that and half of
the last epoch has, on the held-out faces, an NME lower by .01 to .11 than the last (our choice)."""

SMALL = "separable.safetensors"
"""The last checkpoint of a run, its convolutions separable, beside it."""

PHOTOGRAPHS = "photographs"
"""Folder of the photographs that a run of before has labelled."""


def after(before: TrainConfig, name: str, *, weights: str = BEST, **changes: Any) -> TrainConfig:
    """The settings of a run beside another, which it starts from, and what else is unlike it.

    Its seed is another too, or it would draw the same faces in the same order again.
    """
    out, seed = before.out.with_name(name), before.seed + 1000
    return replace(before, out=out, initial=before.out / weights, seed=seed, **changes)


def stages(data: Path, out: Path, seed: int) -> list[TrainConfig]:
    """The settings of each run, first to last."""
    of_300w = tuple(data / "300w" / part for part in ("afw", "helen/trainset", "lfpw/trainset"))
    first = TrainConfig(
        folders=(*of_300w, data / "ytf68/train"),
        out=out / "first",
        validation=(data / "ytf68/val",),
        hold_out=0.05,
        occluders=(data / "occluders",),
        epochs=52,
        learning_rate=2e-3,
        warmup=300,
        seed=seed,
        resume=True,
    )
    second = after(
        first,
        "second",
        model=ModelConfig(size=160),
        relabel=True,
        mirror=1.0,
        label_offset=1.0,
        twice=of_300w,
        epochs=22,
        learning_rate=1e-3,
        warmup=200,
    )
    third = after(
        second,
        "third",
        epochs=13,
        learning_rate=6e-4,
        warmup=150,
    )
    fourth = after(
        third,
        "fourth",
        epochs=32,
        learning_rate=1e-3,
        warmup=200,
    )
    labels = Path(__file__).parent
    # Only to learn what is hidden: it says so of YouTube Faces in the sixth, by its last epoch, for
    # the best one is chosen by errors.
    fifth = after(
        fourth,
        "fifth",
        folders=of_300w,
        twice=(),
        relabel=False,
        visibility_labels=(labels / "natural_training.json", labels / "natural.json"),
        epochs=4,
        learning_rate=3e-4,
        warmup=50,  # a run this short takes 23 of them; when the default was trained, it took 50
    )
    sixth = after(
        fifth,
        "sixth",
        weights=LAST,
        folders=fourth.folders,
        twice=fourth.twice,
        relabel=True,
        loss=LossWeights(visibility=1.5, visible_map=0.6),
        epochs=16,
        learning_rate=9e-4,
        warmup=200,
    )
    seventh = after(
        sixth,
        "seventh",
        epochs=11,
        learning_rate=7e-4,
        warmup=150,
    )
    eighth = after(
        seventh,
        "eighth",
        epochs=2,
        learning_rate=2.5e-4,
        warmup=30,
    )
    ninth = after(
        eighth,
        "ninth",
        epochs=22,
        learning_rate=9e-4,
        warmup=150,
    )
    # YouTube Faces, whose frames show the same people again and again, is overfitted first.
    tenth = after(
        ninth,
        "tenth",
        weights=MEAN,
        twice=3 * of_300w,
        epochs=10,
        learning_rate=8e-4,
        warmup=150,
    )
    eleventh = after(
        tenth,
        "eleventh",
        weights=MEAN,
        epochs=20,
        learning_rate=9e-4,
    )
    twelfth = after(
        eleventh,
        "twelfth",
        weights=MEAN,
        head_model=data / "face_model/ict_face.npz",
        only=("turned",),
        relabel=False,
        twice=(),
        loss=LossWeights(),
        epochs=4,
        learning_rate=2e-3,
        warmup=50,
        ema=0.99,
    )
    cutouts = data / "cutouts"
    photographs = out / PHOTOGRAPHS / "training"
    thirteenth = after(
        twelfth,
        "thirteenth",
        weights=SMALL,
        more_folders=(photographs,),
        visibility_labels=(*twelfth.visibility_labels, photographs / "labels.json"),
        occluders=(data / "occluders", cutouts / "hair", cutouts / "hands"),
        closed_eyes=0.15,
        only=(),
        teacher=twelfth.out / LAST,
        relabel=True,
        relabel_by=twelfth.out / LAST,
        twice=eleventh.twice,
        loss=eleventh.loss,
        epochs=16,
        learning_rate=8e-4,
        warmup=150,
        ema=eleventh.ema,
    )
    first_four = [first, second, third, fourth]
    return [*first_four, fifth, sixth, seventh, eighth, ninth, tenth, eleventh, twelfth, thirteenth]


def mean(run: TrainConfig, data: Data, first: Path, second: Path, share: float) -> Path:
    """The mean of two checkpoints of a run, `share` of it the second, validated, in its folder.

    The run is done, its settings as `stages` gives them, its faces as `load` does.
    Raises AadnError as `checkpoint.load` does.
    """
    earlier, later = checkpoint.load(first), checkpoint.load(second)
    tensors = {
        name: earlier.tensors[name].float().lerp(tensor, share)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in later.tensors.items()
        if name.startswith("ema.")
    }
    averaged = replace(later, tensors=tensors)
    device = torch.device("cpu")
    metrics = validate(run, averaged.weights(), data.validation, device, half=False)
    state = {"metrics": metrics, "provenance": provenance_of(run)}
    Checkpoint(tensors, later.config, later.scheme, state).save(run.out / MEAN)
    return run.out / MEAN


def _prepare(teacher: Path, data: Path, out: Path) -> None:
    """Label photographs by a trained network, and make its convolutions separable, if not done."""
    here, small, photographs = Path(__file__).parent, teacher.with_name(SMALL), out / PHOTOGRAPHS
    scripts = {
        # The last thing that it writes.
        photographs / "held_out" / "labels.json": [
            "label_photographs.py", "--weights", teacher, "--out", photographs,
        ],
        small: ["shrink.py", teacher, small],  # asks `stages` here for training faces
    }  # fmt: skip
    for made, (script, *words) in scripts.items():
        if not made.exists():
            command = [sys.executable, here / str(script), *words, "--data", data]
            subprocess.run(list(map(str, command)), check=True)


def main() -> None:
    """Train them one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # torch cannot reliably join its processes again for the second run.
        parser.error("expected one process; with torchrun, run `aadn train` once for each stage")
    runs = stages(arguments.data, arguments.out, arguments.seed)
    for run in runs:
        if run.teacher is not None:
            _prepare(run.teacher, arguments.data, arguments.out)
        data = load(run)

        def tell(line: str, out: Path = run.out) -> None:
            print(line, file=sys.stderr)
            if out == runs[-1].out and line.startswith(f"epoch {MIDDLE_EPOCH}/"):
                shutil.copy(out / LAST, out / MIDDLE)

        print(train(run, data, tell=tell))
        if run in runs[8:11]:
            assert run.initial is not None
            print(mean(run, data, run.initial, run.out / BEST, SHARE))
    print(mean(run, data, run.out / MIDDLE, run.out / LAST, 0.5))


if __name__ == "__main__":
    main()
