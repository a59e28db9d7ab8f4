"""How well a fitted head, and a network, tell what people call turned away.

    python benchmarks/self_occlusion.py --data ../shared/data

First the head model's labels, which networks learn from, beside those of MERL-RAV's people, whose
pictures are not needed: of which poses and parts of the face it says something, and how often it
says the same. Its margins (`aadn.training.self_occlusion`) were chosen on MERL-RAV's training part;
this is its test part. MERL-RAV's people put the far jaw on the outline and call it seen; on near
profiles they leave it out. Then the same, and a network's answers, beside two annotators' labels of
turned faces of LFPW's test part (turned_test.json): language models that saw enlarged pictures with
numbered points. Only what both annotators say counts. At last, how many landmarks of frontal faces
the network calls turned away.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.data.folders import read_folders
from aadn.data.visibility_labels import with_visibility
from aadn.evaluation.measure import evaluate
from aadn.evaluation.metrics import roc_auc
from aadn.evaluation.tables import table
from aadn.inference.landmarker import Landmarker
from aadn.inference.weights import load_weights
from aadn.measures.head_fit import fit_head
from aadn.training.head import HeadModel
from aadn.training.self_occlusion import SelfOcclusion

LABELS = Path(__file__).with_name("turned_test.json")

PARTS = {
    "jaw": range(17),
    "brows": range(17, 27),
    "nose": range(27, 36),
    "eyes": range(36, 48),
    "mouth": range(48, 68),
}
POSES = {"frontal": 500, "half": 300, "left": 150, "right": 150}
"""How many of MERL-RAV's faces of each pose are looked at, the first ones."""

FRONTAL = 8.0
"""Degrees of yaw below which a face counts as frontal."""

Array = NDArray[np.float64]


def merl_rav(occlusion: SelfOcclusion, file: Path) -> Iterator[tuple[str, Array, Array]]:
    """For each pose: what the head says (N, 68), and what people do, 1 turned away, 0 not."""
    with np.load(file) as labels:
        test = labels["split"] == "testset"
        pose, points = labels["pose"][test], labels["points"][test].astype(np.float64)
        hidden = labels["hidden_by_face"][test]
    for name, count in POSES.items():
        of_pose = np.char.endswith(pose, name) if name == "half" else pose == name
        chosen = np.flatnonzero(of_pose)[:count]
        seen = np.where(hidden[chosen][..., None], np.nan, points[chosen])
        said = np.array([occlusion.turned(face) for face in tqdm(seen, name, disable=None)])
        yield name, said, hidden[chosen].astype(np.float64)


def agreement(said: Array, people: Array) -> list[str]:
    """For all and each part: percent of which the head says something, and agrees with people."""
    cells = []
    for part in (range(17, 68), *PARTS.values()):
        a, b = said[:, list(part)], people[:, list(part)]
        known = np.isfinite(a) & np.isfinite(b)
        same = 100 * (a == b)[known].mean() if known.any() else np.nan
        cells.append(f"{100 * np.isfinite(a).mean():.0f}, {same:.1f}")
    return cells


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="the default model if left out")
    arguments = parser.parse_args()
    data: Path = arguments.data
    occlusion = SelfOcclusion(HeadModel.load(data / "face_model/ict_face.npz"))

    poses = list(merl_rav(occlusion, data / "layouts/merl_rav_labels.npz"))
    rows = [[name, *agreement(said, people)] for name, said, people in poses]
    turned = [np.concatenate(part) for part in zip(*(pose[1:] for pose in poses[1:]), strict=True)]
    rows.append(["all but frontal", *agreement(turned[0], turned[1])])
    print("Head model beside MERL-RAV's people: % known, % of them the same\n")
    print(table(["pose", "all but jaw", *PARTS], rows))

    folder = read_folders([data / "300w/lfpw/testset"], 68)
    landmarker = Landmarker(load_weights(arguments.weights))
    labelled = [s for s in with_visibility(folder, [LABELS], 68) if s.turned is not None]
    people = np.array([sample.turned for sample in labelled])
    said = np.array([occlusion.turned(sample.points) for sample in labelled])
    report = evaluate(landmarker, labelled)
    away = report.measured.away
    print(f"\n{len(labelled)} turned faces of LFPW's test part, beside two annotators\n")
    both = np.isfinite(said) & np.isfinite(people)
    print(f"head model: {100 * (said == people)[both].mean():.1f} % of what it says is the same")
    if away is None:
        print("the network does not tell what is turned away")
        return
    rows = []
    for part, indices in {"all": range(68), **PARTS}.items():
        given, true = away[:, list(indices)], people[:, list(indices)]
        known = np.isfinite(given) & np.isfinite(true)
        auc = roc_auc(given[known], true[known] > 0.5)
        rows.append([part, str(int(np.nansum(true))), "–" if auc is None else f"{auc:.3f}"])
    print(table(["part", "turned away", "ROC-AUC of the network"], rows))
    scores = report.scores
    print(f"called turned: {scores.turned_called_turned:.1f} % of these, "
          f"{scores.others_called_turned:.1f} % of the seen ones")  # fmt: skip

    fits = [fit_head(occlusion.model.points, sample.points) for sample in folder]
    yaws = [180.0 if fit is None else abs(fit.angles[0]) for fit in fits]
    frontal = [sample for sample, yaw in zip(folder, yaws, strict=True) if yaw < FRONTAL]
    faces = evaluate(landmarker, frontal).measured.away
    threshold = landmarker.card.turned_threshold
    assert faces is not None
    assert threshold is not None
    print(f"{len(frontal)} frontal faces: {100 * (faces >= threshold).mean():.2f} % called turned")


if __name__ == "__main__":
    main()
