"""What the distillation module sees: P, and the features before and after it (the paper's Fig. 15).

Needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aadn.data.folders import face_box
from aadn.data.pts import read_pts
from aadn.data.samples import Sample
from aadn.errors import InputError
from aadn.evaluation.measure import prepare
from aadn.evaluation.plots import check_plot, plot_maps
from aadn.evaluation.setting import Setting
from aadn.geometry import Crop
from aadn.inference.detections import Detector
from aadn.inference.landmarker import Landmarker
from aadn.models.checkpoint import load_model
from aadn.models.inputs import normalise
from aadn.models.network import Network
from aadn.occlude.evaluation import Occlude
from aadn.schemes import Scheme, scheme_of


def face_maps(network: Network, crop: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """One row of Fig. 15: a face, and what the distillation module makes of it.

    Args:
        network: in eval mode, one with a distillation module.
        crop: (S, S, 3) uint8 RGB, S = `network.size`, cut as `geometry.Crop` does.

    Returns:
        "face": the crop. "P": per position the probability that what is there belongs to the
        visible face, in [0, 1]; beyond the face it means nothing. "before" and "after": mean over
        the channels of |F| and of the |clean features|, both divided by the largest value of the
        two, so in [0, 1]. The three maps are (S, S) float32, each cell of the module's grid a
        square of equal values.

    Raises:
        InputError: a network without that module, or a crop of another shape or type.
    """
    distillation = _distillation(network, type(network).__name__)
    size = network.size
    if crop.shape != (size, size, 3) or crop.dtype != np.uint8:
        raise InputError(
            f"expected a crop ({size}, {size}, 3) uint8 as the network takes, "
            f"got {crop.shape} {crop.dtype}; cut it with geometry.Crop"
        )
    found: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor], outputs: tuple[Tensor, Tensor]) -> None:
        clean, visible_map = outputs  # (1, C, h, w), (1, h, w)
        found.extend([visible_map[0], inputs[0][0].abs().mean(dim=0), clean[0].abs().mean(dim=0)])

    hook = distillation.register_forward_hook(keep)
    try:
        with torch.no_grad():
            pixels = torch.tensor(crop).permute(2, 0, 1)[None].float() / 255
            network(normalise(pixels))
    finally:
        hook.remove()
    visible_map, before, after = (_enlarged(x, size) for x in found)
    largest = max(float(before.max()), float(after.max())) or 1.0
    return {"face": crop, "P": visible_map, "before": before / largest, "after": after / largest}


def run(
    pictures: Sequence[str | Path],
    weights: str | Path,
    out: str | Path,
    *,
    occlude: Occlude = "none",
    seed: int = 0,
    detector: Detector | None = None,
) -> None:
    """Draw `face_maps` of one face of each picture, one row each.

    The face is the one of the `.pts` file beside the picture, if there is one, and otherwise the
    one that the detector gives the highest score.

    Args:
        pictures: at least one.
        weights: a checkpoint of `aadn train`, of a network with a distillation module.
        out: a .png or .svg file.
        occlude: what is put on each face first, where its landmarks are: those of the `.pts` file,
            and otherwise those that the embedded model finds. With the same seed, labelled pictures
            are painted as `aadn.evaluation.measure.evaluate` paints them.
        seed: of the occluders.
        detector: see `Landmarker`; None for `default_detector()`.

    Raises:
        InputError: an argument is out of range, the checkpoint's network has no distillation
            module, or no face is found in a picture.
        ImageError, AnnotationError: a picture or its `.pts` file is broken.
        WeightsError: the checkpoint cannot be read.
        MissingDependencyError: matplotlib is not installed.
        OutputError: `out` cannot be written.
    """
    check_plot(out)
    if not pictures:
        raise InputError("expected at least one picture with a face, got none")
    setting = Setting(occlude=occlude, seed=seed)
    setting.check()
    network, checkpoint = load_model(Path(weights))
    _distillation(network, f"{weights} ({checkpoint.config.name})")
    embedded: Landmarker | None = None
    rows = []
    for path in map(Path, pictures):
        labels = path.with_suffix(".pts")
        if labels.exists():
            points = read_pts(labels)
            sample, scheme = Sample(path, points, face_box(points, labels)), checkpoint.scheme
            angle = 0.0
        else:
            embedded = embedded or Landmarker(detector=detector)
            sample, angle = _found(path, embedded)
            scheme = embedded.card.scheme
        image = _painted(sample, scheme, setting)
        crop = Crop.around(sample.box, network.size, angle=angle)
        rows.append(face_maps(network, crop.cut(image)))
    plot_maps(rows, out, ranges=dict.fromkeys(("P", "before", "after"), (0.0, 1.0)))


def _distillation(network: Network, name: str) -> nn.Module:
    module = getattr(network, "distillation", None)
    if not isinstance(module, nn.Module):
        raise InputError(
            f"{name}: expected a network with a distillation module, got one without; "
            "train odn, aadn (without --model.no-distillation) or heatmap"
        )
    return module


def _found(path: Path, landmarker: Landmarker) -> tuple[Sample, float]:
    """The face with the highest score in a picture, with its landmarks, and its angle."""
    faces = landmarker(path)
    if not len(faces):
        raise InputError(
            f"{path}: expected a face, the detector found none; give another picture, or put its "
            f"landmarks beside it in {path.with_suffix('.pts').name}"
        )
    face = faces[int(np.argmax(faces.scores))]
    return Sample(path, face.points.astype(np.float64), face.box.astype(np.float64)), face.angle


def _painted(sample: Sample, scheme: Scheme, setting: Setting) -> NDArray[np.uint8]:
    """A sample's picture with its occluder, as it is evaluated."""
    count = len(sample.points)
    if setting.occlude != "none" and count != scheme.size:
        try:  # labels of another scheme than the network's say where the face is, too
            scheme = scheme_of(count)
        except InputError:
            raise InputError(
                f"{sample.image}: no scheme of its {count} landmarks is known, by which an "
                "occluder is put on; draw it with occlude='none'"
            ) from None
    return prepare(sample, scheme, setting)[0]


def _enlarged(x: Tensor, size: int) -> NDArray[np.float32]:
    """(h, h) to (size, size) float32, size a multiple of h: each value as a square."""
    factor = size // x.shape[0]
    return x.float().numpy().repeat(factor, axis=0).repeat(factor, axis=1)
