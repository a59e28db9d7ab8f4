"""Make a checkpoint the default model: export it into the package, measure it, write its card.

    python benchmarks/embed.py runs/default/best.safetensors --data ../shared/data

The card holds what the model is, how it was trained and what it scores; the README's table is
written from it. Test sets are only measured here, nothing is chosen by them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from aadn import checkpoint
from aadn.evaluate import evaluate
from aadn.export import export
from aadn.files import write_whole
from aadn.network import DEFAULT_WEIGHTS, Network

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

README = Path(__file__).parents[1] / "README.md"
TAIL = "<!-- /scores -->"

KEYS = ("nme", "nme_visible", "nme_hidden", "fr_8", "auc_8", "visibility_auc", "missed")


def measure(network: Network, data: Path) -> list[dict[str, Any]]:
    """The report's numbers for each of MEASURED."""
    from aadn.datasets.folder import read_folders

    rows = []
    for folder, boxes, occlude in MEASURED:
        samples = read_folders([data / folder], network.card.landmarks)
        report = evaluate(network, samples, boxes=boxes, occlude=occlude)  # type: ignore[arg-type]
        results = {
            k: v for k, v in report.results.items() if k not in ("parts", "benchmark", "model")
        }
        rows.append({"folder": folder, **results})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The measured numbers as Markdown."""
    head = ["data", "boxes", "occluder", "faces", *KEYS]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        numbers = ["–" if row[key] is None else f"{row[key]:.4g}" for key in KEYS]
        cells = [row["folder"], row["boxes"], row["occlude"], str(row["images"]), *numbers]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def with_table(text: str, rows: list[dict[str, Any]]) -> str:
    """The README's text with these numbers between its `<!-- scores -->` marks."""
    head, rest = text.split("<!-- scores -->\n")
    return f"{head}<!-- scores -->\n{table(rows)}\n{TAIL}{rest.split(TAIL)[1]}"


def main() -> None:
    """Export, measure, write the card, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, help="how long training took")
    parser.add_argument("--hardware", default="", help="on what it was trained")
    parser.add_argument("--note", default="", help="what else to know of the training")
    arguments = parser.parse_args()

    parity = export(arguments.checkpoint, DEFAULT_WEIGHTS)
    _, config, state = checkpoint.load(arguments.checkpoint)
    network = Network.load(DEFAULT_WEIGHTS)
    training = json.loads((arguments.checkpoint.parent / "config.json").read_text("utf-8"))
    data = str(arguments.data)
    for key in ("folders", "validation"):
        training[key] = [folder.removeprefix(data).strip("/") for folder in training[key]]
    training["occluders"] = (training["occluders"] or "").removeprefix(data).strip("/") or None
    rows = measure(network, arguments.data)
    card = {
        "file": DEFAULT_WEIGHTS.name,
        "sha256": hashlib.sha256(DEFAULT_WEIGHTS.read_bytes()).hexdigest(),
        **json.loads(network.card.to_json()),
        "licence": "Weights: research use only, as the data they were trained on. "
        "Code: Apache-2.0.",
        "data": "300-W (AFW, HELEN and LFPW training parts, 2012 faces), 68-point YouTube Faces "
        "frames (3037 faces), synthetic occluders (drawn by program; MaskTheFace cut-outs, MIT)",
        "reduction": config.reduction,
        "order": config.order,
        "training": training
        | {"seconds": arguments.seconds, "hardware": arguments.hardware, "note": arguments.note},
        "validation": state["metrics"],
        "parity_px": parity.points,
        "scores": rows,
    }
    write_whole(DEFAULT_WEIGHTS.with_suffix(".json"), json.dumps(card, indent=1) + "\n")
    write_whole(README, with_table(README.read_text("utf-8"), rows))
    print(table(rows))


if __name__ == "__main__":
    main()
