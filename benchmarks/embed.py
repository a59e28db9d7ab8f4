"""Embed a checkpoint as the default model, or as another, measure it, write its card.

    python benchmarks/embed.py runs/default/best.safetensors --data ../shared/data
    python benchmarks/embed.py runs/lite/best.safetensors --data ../shared/data --name lite

Its averaged weights go into the package in half precision, to train on from, and the ONNX file
beside them is exported from that very file. The card says what both are, where they come from, how
they were trained and what the ONNX file scores; the default's table goes into the README, and its
reliability diagram into docs/. Test sets are only measured here, nothing is chosen by them.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from aadn.data.folders import read_folders
from aadn.data.samples import Sample
from aadn.data.visibility_labels import with_visibility
from aadn.evaluation.measure import evaluate
from aadn.evaluation.metrics import Reliability
from aadn.evaluation.plots import plot_reliability
from aadn.evaluation.setting import Boxes, Setting
from aadn.evaluation.tables import table
from aadn.files import remove, sha256, write_whole
from aadn.inference.landmarker import Landmarker
from aadn.inference.onnx import OnnxBackend
from aadn.inference.weights import DEFAULT, EMBEDDED, checkpoint_file, int8_file
from aadn.models.checkpoint import Checkpoint, load, load_model
from aadn.occlude.evaluation import Occlude
from aadn.occlude.evaluation_drawings import skin
from aadn.occlude.overlay import FaceFrame
from aadn.paper.cost import multiply_adds
from aadn.schemes import IBUG68
from aadn.training.export import export

LABELS = {"300w/lfpw/testset": [Path(__file__).with_name("natural_test.json")]}
"""What hides landmarks in a folder's pictures, occluders apart."""

MEASURED: list[tuple[str, Boxes, Occlude]] = [
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
CARD = EMBEDDED[DEFAULT].with_suffix(".json")
TO_TRAIN_ON = EMBEDDED[DEFAULT].with_suffix(".safetensors")
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
    cheeks = skin(sample.picture(), FaceFrame.of(sample.points, IBUG68)).astype(np.float32)
    lightness, _, yellow = cv2.cvtColor(cheeks.reshape(1, 1, 3) / 255, cv2.COLOR_RGB2LAB)[0, 0]
    angle = float(np.degrees(np.arctan2(lightness - 50, yellow)))
    return (
        next(name for name, limit in POSES.items() if turn < limit),
        next(name for name, limit in SIZES.items() if size < limit),
        next(name for name, limit in SKINS.items() if angle < limit),
    )


def measure(
    landmarker: Landmarker, data: Path
) -> tuple[list[dict[str, Any]], dict[str, Reliability]]:
    """The report's numbers for each of MEASURED, and how reliable visibility is by occluder."""
    rows: list[dict[str, Any]] = []
    reliable: dict[str, Reliability] = {}
    landmarks = landmarker.card.landmarks
    for folder, boxes, occlude in MEASURED:
        samples = [
            replace(sample, parts=parts_of(sample))
            for sample in read_folders([data / folder], landmarks)
        ]
        labels = LABELS.get(folder, [])
        samples = with_visibility(samples, labels, landmarks)
        report = evaluate(landmarker, samples, Setting(boxes=boxes, occlude=occlude))
        results = {
            k: v for k, v in report.to_dict().items() if k not in ("parts", "benchmark", "model")
        }
        results["parts"] = [
            {"part": name, **{key: getattr(report.parts[name], key) for key in BY}}
            for name in (*POSES, *SIZES, *SKINS)
            if name in report.parts
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


def recipe(path: Path, data: Path) -> dict[str, Any]:
    """The settings of the run that made a checkpoint, its folders named from the data's on.

    Those that the checkpoint says; where it is older, those of config.json beside it.
    """
    said: dict[str, Any] | None = load(path).state.get("provenance", {}).get("recipe")
    training = said or json.loads((path.parent / "config.json").read_text("utf-8"))

    def named(folder: str) -> str:
        place = Path(folder).resolve()
        if data.resolve() in place.parents:
            return str(place.relative_to(data.resolve()))
        return "/".join(place.parts[-2:]) if Path(folder).is_absolute() else folder

    if isinstance(training["occluders"], str):  # one folder in aadn 0.2
        training["occluders"] = [training["occluders"]]
    for key in {"folders", "more_folders", "validation", "twice", "occluders"} & training.keys():
        training[key] = [named(folder) for folder in training[key] or []]
    for key in {"head_model", "teacher", "relabel_by"} & training.keys():
        training[key] = training[key] and named(training[key])
    labels = training.get("visibility_labels", [])
    training["visibility_labels"] = [Path(file).name for file in labels]
    return training


def history(path: Path, data: Path) -> dict[str, Any]:
    """`recipe`, with that of the run that a run started from as `before`, and so on."""
    training = recipe(path, data)
    initial = checkpoint_file(Path(training["initial"] or ""))
    out = "/".join(Path(training["out"]).parts[-2:])
    if initial.resolve() == TO_TRAIN_ON:
        card = json.loads(CARD.read_text("utf-8"))["training"]
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


def halved(made: Checkpoint) -> Checkpoint:
    """A checkpoint's averaged weights, in half precision, and what it says of itself."""
    weights = {name: t for name, t in made.tensors.items() if name.startswith("ema.")}
    return replace(
        made,
        tensors={n: t.half() if t.is_floating_point() else t for n, t in weights.items()},
        state={key: made.state[key] for key in ("metrics", "provenance") if key in made.state},
    )


def work(checkpoint: Path) -> int:
    """Multiply-adds of a checkpoint's network for a face."""
    network, _ = load_model(checkpoint)
    return multiply_adds(network, torch.zeros(1, 3, network.size, network.size))


def described(file: Path, name: str) -> dict[str, str]:
    """What a card says of a file."""
    return {"file": name, "sha256": sha256(file)}


def main() -> None:
    """Export, measure, write checkpoint, card, README's table and diagram, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", choices=list(EMBEDDED), default=DEFAULT)
    parser.add_argument("--seconds", type=float, help="how long training took")
    parser.add_argument("--hardware", default="", help="on what it was trained")
    parser.add_argument("--note", default="", help="what else to know of the training")
    arguments = parser.parse_args()

    to_use: Path = EMBEDDED[arguments.name]
    to_train_on = TO_TRAIN_ON.with_stem(arguments.name)
    made = load(arguments.checkpoint)
    training = history(arguments.checkpoint, arguments.data)
    halved(made).save(to_train_on)
    parity = export(to_train_on, to_use)
    remove(int8_file(to_use))  # of another network; quantise.py makes this one's
    landmarker = Landmarker(OnnxBackend(to_use))
    rows, reliable = measure(landmarker, arguments.data)
    provenance = made.state.get("provenance", {})
    card = {
        **described(to_use, to_use.name),
        "checkpoint": described(to_train_on, to_train_on.name),
        "parent": provenance.get("parent"),
        "version": provenance.get("aadn"),
        "commit": provenance.get("commit"),
        **landmarker.card.to_dict(),
        "multiply_adds": work(to_train_on),
        "licence": "Weights: research use only, as the data they were trained on. "
        "Code: Apache-2.0.",
        "data": "300-W (AFW, HELEN and LFPW training parts, 2012 faces), 68-point YouTube Faces "
        "frames (3037 faces), synthetic occluders (drawn by program; cut out of photographs: "
        "masks of MaskTheFace, MIT, hair of Figaro-1k, research, hands of Sign-Language-Digits, "
        "Apache-2.0); what hides landmarks in 300-W's pictures, labelled by language models "
        "looking at them; what the head hides, by the ICT face model, MIT; 1824 photographs of "
        "people in masks (RMFD, research; Face-Mask-Detection, MIT) and of hair (CelebA-HQ, "
        "non-commercial research; Figaro-1k), their landmarks by an earlier default",
        "reduction": made.config.reduction,
        "order": made.config.order,
        "training": training
        | {"seconds": arguments.seconds, "hardware": arguments.hardware, "note": arguments.note},
        "validation": made.state["metrics"],
        "parity_px": parity.points,
        "scores": rows,
    }
    write_whole(to_use.with_suffix(".json"), json.dumps(card, indent=1) + "\n")
    if arguments.name == DEFAULT:
        write_whole(README, with_table(README.read_text("utf-8"), rows))
        plot_reliability(reliable, RELIABILITY)
    print(scores(rows))


if __name__ == "__main__":
    main()
