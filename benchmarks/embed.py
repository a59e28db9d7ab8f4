"""Make a checkpoint the default model: export it into the package, measure it, write its card.

    python benchmarks/embed.py runs/default/best.safetensors --data ../shared/data

The card holds what the model is, how it was trained and what it scores; the README's table is
written from it, and a reliability diagram into docs/. The weights, in half precision, go into
checkpoints/, to train on from. Test sets are only measured here, nothing is chosen by them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from aadn.data.folders import read_folders
from aadn.data.samples import Sample
from aadn.data.visibility_labels import with_visibility
from aadn.evaluation.measure import evaluate
from aadn.evaluation.metrics import Reliability
from aadn.evaluation.plots import plot_reliability
from aadn.evaluation.tables import table
from aadn.files import write_whole
from aadn.inference.onnx import DEFAULT_WEIGHTS, Network
from aadn.models import checkpoint
from aadn.occlude import FaceFrame
from aadn.occlude.evaluation_drawings import skin
from aadn.training.export import export

LABELS = {"300w/lfpw/testset": [Path(__file__).with_name("natural_test.json")]}
"""What hides landmarks in a folder's pictures, occluders apart."""

MEASURED: list[tuple[str, str, str]] = [
    ("300w/lfpw/testset", "truth", "none"),
    ("300w/lfpw/testset", "detector", "none"),
    ("300w/lfpw/testset", "truth", "rectangle"),
    ("300w/lfpw/testset", "truth", "mask"),
    ("300w/lfpw/testset", "truth", "sunglasses"),
    ("300w/lfpw/testset", "truth", "hand"),
    ("ytf68/test", "truth", "none"),
    ("ytf68/test", "detector", "none"),
]
"""Folder below the data, boxes, occluder."""

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
TO_TRAIN_ON = ROOT / "checkpoints" / "default.safetensors"
RELIABILITY = ROOT / "docs" / "reliability.png"
TAIL = "<!-- /scores -->"

KEYS = (
    "nme", "nme_visible", "nme_hidden", "fr_8", "auc_8", "visibility_auc", "map_auc",
    "hidden_recall_at_precision_80", "called_hidden", "visible_called_hidden", "calibration_error",
    "missed",
)  # fmt: skip
BY = ("images", "nme", "fr_8", "called_hidden", "uncertainty_ratio")


POSES = {"frontal (nose < 0.25)": 0.25, "turned (nose < 0.6)": 0.6, "far turned": np.inf}
SIZES = {"small (< 80 px)": 80, "medium (< 160 px)": 160, "large": np.inf}
SKINS = {"dark skin (ITA < 10°)": 10, "tan skin (ITA < 28°)": 28, "light skin": np.inf}


def parts_of(sample: Sample) -> tuple[str, str, str]:
    """How far a face is turned, how large it is, by its labels, and how dark its skin appears.

    The nose's tip is at 0 in the middle between the outer eye corners and at ±1 below one of them;
    the size is √(w·h) of the landmarks' box; the skin's individual typology angle is
    atan((L* - 50) / b*) of the cheeks' mean colour, which a dim light darkens too.
    """
    right, left, nose = sample.points[[36, 45, 30]]
    axis = left - right
    turn = abs(2 * float((nose - right) @ axis / (axis @ axis)) - 1)
    size = float(np.sqrt(np.prod(sample.box[2:] - sample.box[:2])))
    cheeks = skin(sample.picture(), FaceFrame.of(sample.points)).astype(np.float32)
    lightness, _, yellow = cv2.cvtColor(cheeks.reshape(1, 1, 3) / 255, cv2.COLOR_RGB2LAB)[0, 0]
    angle = float(np.degrees(np.arctan2(lightness - 50, yellow)))
    return (
        next(name for name, limit in POSES.items() if turn < limit),
        next(name for name, limit in SIZES.items() if size < limit),
        next(name for name, limit in SKINS.items() if angle < limit),
    )


def measure(network: Network, data: Path) -> tuple[list[dict[str, Any]], dict[str, Reliability]]:
    """The report's numbers for each of MEASURED, and how reliable visibility is by occluder."""
    rows: list[dict[str, Any]] = []
    reliable: dict[str, Reliability] = {}
    for folder, boxes, occlude in MEASURED:
        samples = [
            replace(sample, parts=parts_of(sample))
            for sample in read_folders([data / folder], network.card.landmarks)
        ]
        labels = LABELS.get(folder, [])
        samples = with_visibility(samples, labels, network.card.landmarks)
        report = evaluate(network, samples, boxes=boxes, occlude=occlude)  # type: ignore[arg-type]
        results = {
            k: v for k, v in report.results.items() if k not in ("parts", "benchmark", "model")
        }
        by = {part["part"]: part for part in report.results["parts"]}
        results["parts"] = [
            {"part": name, **{key: by[name][key] for key in BY}}
            for name in (*POSES, *SIZES, *SKINS)
            if name in by
        ]
        results["visibility_labels"] = [file.name for file in labels]
        rows.append({"folder": folder, **results})
        if (curve := report.measured.reliability()) is not None:
            reliable.setdefault(occlude, curve)  # that of true boxes
    return rows, reliable


def scores(rows: list[dict[str, Any]]) -> str:
    """The measured numbers as Markdown."""
    cells = [
        [row["folder"], row["boxes"], row["occlude"], str(row["images"])]
        + ["–" if row[key] is None else f"{row[key]:.4g}" for key in KEYS]
        for row in rows
    ]
    return table(["data", "boxes", "occluder", "faces", *KEYS], cells, texts=["boxes", "occluder"])


def with_table(text: str, rows: list[dict[str, Any]]) -> str:
    """The README's text with these numbers between its `<!-- scores -->` marks."""
    head, rest = text.split("<!-- scores -->\n")
    return f"{head}<!-- scores -->\n{scores(rows)}{TAIL}{rest.split(TAIL)[1]}"


def settings(checkpoint: Path, data: Path) -> dict[str, Any]:
    """The settings of the run that made a checkpoint, its folders named from the data's on."""
    training: dict[str, Any] = json.loads((checkpoint.parent / "config.json").read_text("utf-8"))

    def named(folder: str) -> str:
        place = Path(folder).resolve()
        return str(place.relative_to(data.resolve())) if data.resolve() in place.parents else folder

    for key in {"folders", "validation", "twice"} & training.keys():
        training[key] = [named(folder) for folder in training[key]]
    labels = training.get("visibility_labels", [])
    training["visibility_labels"] = [Path(file).name for file in labels]
    training["occluders"] = training["occluders"] and named(training["occluders"])
    return training


def history(checkpoint: Path, data: Path) -> dict[str, Any]:
    """`settings`, with those of the run that a run started from as `before`, and so on."""
    training = settings(checkpoint, data)
    initial = Path(training["initial"] or "")
    out = "/".join(Path(training["out"]).parts[-2:])
    if initial.resolve() == TO_TRAIN_ON:
        card = json.loads(DEFAULT_WEIGHTS.with_suffix(".json").read_text("utf-8"))["training"]
        # Embedded already, this run is the card's, or one before it.
        runs = [card]
        while "before" in runs[-1]:
            runs.append(runs[-1]["before"])
        again = [run for run in runs if run["out"] == out]
        training["before"] = again[0].get("before") if again else card
    elif (initial.parent / "config.json").exists():
        training["before"] = history(initial, data)
    training["out"] = out
    training["initial"] = training["initial"] and "/".join(initial.parts[-2:])
    return training


def halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's averaged weights, in half precision."""
    weights = {name: t for name, t in tensors.items() if name.startswith("ema.")}
    return {name: t.half() if t.is_floating_point() else t for name, t in weights.items()}


def main() -> None:
    """Export, measure, write checkpoint, card, README's table and diagram, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, help="how long training took")
    parser.add_argument("--hardware", default="", help="on what it was trained")
    parser.add_argument("--note", default="", help="what else to know of the training")
    arguments = parser.parse_args()

    parity = export(arguments.checkpoint, DEFAULT_WEIGHTS)
    tensors, config, state = checkpoint.load(arguments.checkpoint)
    network = Network.load(DEFAULT_WEIGHTS)
    training = history(arguments.checkpoint, arguments.data)
    rows, reliable = measure(network, arguments.data)
    card = {
        "file": DEFAULT_WEIGHTS.name,
        "sha256": hashlib.sha256(DEFAULT_WEIGHTS.read_bytes()).hexdigest(),
        **json.loads(network.card.to_json()),
        "licence": "Weights: research use only, as the data they were trained on. "
        "Code: Apache-2.0.",
        "data": "300-W (AFW, HELEN and LFPW training parts, 2012 faces), 68-point YouTube Faces "
        "frames (3037 faces), synthetic occluders (drawn by program; MaskTheFace cut-outs, MIT); "
        "what hides landmarks in 300-W's pictures, labelled by language models looking at them",
        "reduction": config.reduction,
        "order": config.order,
        "training": training
        | {"seconds": arguments.seconds, "hardware": arguments.hardware, "note": arguments.note},
        "validation": state["metrics"],
        "parity_px": parity.points,
        "scores": rows,
    }
    checkpoint.save(TO_TRAIN_ON, halved(tensors), config, {"metrics": state["metrics"]})
    write_whole(DEFAULT_WEIGHTS.with_suffix(".json"), json.dumps(card, indent=1) + "\n")
    write_whole(README, with_table(README.read_text("utf-8"), rows))
    plot_reliability(reliable, RELIABILITY)
    print(scores(rows))


if __name__ == "__main__":
    main()
