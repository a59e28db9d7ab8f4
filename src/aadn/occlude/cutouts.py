"""Occluders cut out of photographs: RGBA pictures in a folder the user gives."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.geometry import FloatArray
from aadn.occlude.accessories import mask_fit
from aadn.occlude.overlay import FaceFrame, Image, Overlay
from aadn.schemes import IBUG68

_LARGEST = 512
"""Cut-outs are kept at most this large: crops are smaller, and warps read fewer pixels."""

# Where a mask's anchors a…f (MaskTheFace) lie on the face, as (u, v) of FaceFrame: the ear's side,
# the nose's bridge, the other ear's side, then the jaw, the chin and the jaw. Our choice.
_ANCHORS = np.array([[-1.95, 0.3], [0, 0.3], [1.95, 0.3], [-1.6, 1.2], [0, 1.8], [1.6, 1.2]])
# The same on the 68-point layout, where the jaw is labelled.
_JAW_ANCHORS = {0: 1, 2: 15, 3: 4, 4: 8, 5: 12}


@dataclass(frozen=True)
class Cutout:
    """One RGBA picture (H, W, 4) uint8; `anchors` (6, 2) pixels if it is a face mask."""

    name: str
    rgba: Image
    anchors: FloatArray | None = None


@dataclass(frozen=True)
class Cutouts:
    """What folders of occluders hold, by how it is worn."""

    masks: tuple[Cutout, ...]
    sunglasses: tuple[Cutout, ...]
    things: tuple[Cutout, ...]
    textures: tuple[Image, ...]
    hands: tuple[Cutout, ...] = ()
    hair: tuple[Cutout, ...] = ()

    @classmethod
    def load(cls, *folders: Path) -> Cutouts:
        """Read folders and the folders in them.

        RGBA pictures in a folder named "hands" or "hair" are that. Of the others, those named in an
        `anchors.cfg` beside them (the form of MaskTheFace: a section with `template` and `mask_a` …
        `mask_f` = x, y) are face masks, and those with "glasses" in their name sunglasses; the rest
        are things. Pictures without alpha are textures.
        Raises InputError if a folder holds no picture or an anchor file is broken.
        """
        masks, sunglasses, things, textures = [], [], [], []
        hands: list[Cutout] = []
        hair: list[Cutout] = []
        anchors: dict[Path, FloatArray] = {}
        files: list[Path] = []
        for folder in folders:
            anchors |= _read_anchors(folder)
            found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".png", ".jpg"))
            if not found:
                raise InputError(
                    f"{folder}: expected a folder with .png or .jpg occluders, found none"
                )
            files += found
        for file in files:
            data = np.frombuffer(file.read_bytes(), np.uint8)
            picture: Any = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
            if picture is None or picture.dtype != np.uint8:
                raise InputError(f"{file}: expected an 8-bit picture; remove or convert it")
            if picture.ndim == 2:
                picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
            shrink = min(1.0, _LARGEST / max(picture.shape[:2]))
            if shrink < 1:
                picture = cv2.resize(picture, None, fx=shrink, fy=shrink,
                                     interpolation=cv2.INTER_AREA)  # fmt: skip
            if picture.shape[2] == 3 or picture[..., 3].min() == 255:
                textures.append(np.ascontiguousarray(picture[..., 2::-1]))
                continue
            rgba = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA), np.uint8)
            if file.parent.name in ("hands", "hair"):
                (hands if file.parent.name == "hands" else hair).append(Cutout(file.stem, rgba))
            elif file in anchors:
                masks.append(Cutout(file.stem, rgba, anchors[file] * shrink))
            elif "glasses" in file.stem.lower():
                sunglasses.append(Cutout(file.stem, rgba))
            else:
                things.append(Cutout(file.stem, rgba))
        worn = tuple(masks), tuple(sunglasses), tuple(things)
        return cls(*worn, tuple(textures), tuple(hands), tuple(hair))


def _read_anchors(folder: Path) -> dict[Path, FloatArray]:
    anchors = {}
    for file in sorted(folder.rglob("anchors.cfg")):
        parser = configparser.ConfigParser()
        try:
            parser.read_string(file.read_text(encoding="utf-8"), str(file))
            for section in parser.values():
                if "template" in section:
                    places = [section[f"mask_{letter}"].split(",") for letter in "abcdef"]
                    anchors[file.parent / section["template"]] = np.array(places, np.float64)
        except (configparser.Error, KeyError, ValueError, UnicodeDecodeError) as error:
            raise InputError(
                f"{file}: expected sections with template and mask_a … mask_f = x, y; {error}"
            ) from None
    return anchors


def _wear(overlay: Overlay, rgba: Image, matrix: NDArray[np.float64], light: float) -> None:
    """Warp a cut-out onto the overlay by a (2, 3) or (3, 3) matrix and paint it."""
    height, width = overlay.shape
    area = abs(np.linalg.det(matrix[:2, :2]))
    if area < 1e-6:  # seen edge-on, as the far half of a mask on a profile: nothing to see
        return
    # Shrink first where the warp would skip pixels.
    shrink = 1 / np.sqrt(area)
    if shrink > 1.5:
        size = [max(1, round(side / shrink)) for side in (rgba.shape[1], rgba.shape[0])]
        small = cv2.resize(rgba, size, interpolation=cv2.INTER_AREA)
        matrix = matrix.copy()
        matrix[:, 0] *= rgba.shape[1] / small.shape[1]
        matrix[:, 1] *= rgba.shape[0] / small.shape[0]
        rgba = np.asarray(small, np.uint8)
    if matrix.shape[0] == 2:
        warped = cv2.warpAffine(rgba, matrix, (width, height))
    else:
        warped = cv2.warpPerspective(rgba, matrix, (width, height))
    colour = np.asarray(np.clip(warped[..., :3] * light, 0, 255), np.uint8)
    overlay.paint(np.asarray(warped[..., 3], np.float32) / np.float32(255), colour, hides=True)


def wear_mask(
    overlay: Overlay,
    frame: FaceFrame,
    points: NDArray[np.floating],
    rng: np.random.Generator,
    masks: tuple[Cutout, ...],
) -> None:
    """Fit a random mask by its anchors: its left and right half, each by four of them."""
    target = frame.place(_ANCHORS + rng.normal(0, 0.06, _ANCHORS.shape))
    turned = 0.0
    if frame.scheme == IBUG68 and np.isfinite(points).all():
        fit = mask_fit(rng)
        if fit == "own":
            target = frame.place(_ANCHORS * rng.uniform([0.95, 0.9], [1.2, 1.2]))
        else:
            for anchor, landmark in _JAW_ANCHORS.items():
                target[anchor] = points[landmark] + rng.normal(0, 0.02 * frame.unit, 2)
            # A mask reaches a little beyond the jaw, and under the chin.
            target[3:] += 0.1 * (target[3:] - frame.place(np.array([[0.0, 1.0]]))[0])
        if fit == "loose":
            target[3:] += np.array([[0.6], [1.0], [0.6]]) * frame.down * rng.uniform(0.0, 0.5)
        target[1] = points[28] + rng.uniform(-0.1, 0.6) * (points[29] - points[28])
        left = float(np.hypot(*(points[30] - points[2])))
        right = float(np.hypot(*(points[14] - points[30])))
        turned = (left - right) / max(left + right, 1e-6)
    # A template "…_left" shows the mask of a face that looks to the picture's left.
    wanted = "_left" if turned < -0.3 else "_right" if turned > 0.3 else ""
    fitting = [m for m in masks if _side(m.name) == wanted] or list(masks)
    chosen = fitting[rng.integers(len(fitting))]
    assert chosen.anchors is not None
    source = chosen.anchors
    if source[0, 0] > source[2, 0]:  # some releases list a turned mask's anchors mirrored
        source = source[[2, 1, 0, 5, 4, 3]]
    light = float(rng.uniform(0.6, 1.1))
    for quad, is_left in (((0, 1, 4, 3), True), ((1, 2, 5, 4), False)):
        matrix = cv2.getPerspectiveTransform(
            source[list(quad)].astype(np.float32), target[list(quad)].astype(np.float32)
        )
        half = chosen.rgba.copy()
        columns = np.arange(half.shape[1])
        rows = np.arange(half.shape[0])[:, None]
        # The seam runs from the bridge's anchor to the chin's.
        slope = (source[4, 0] - source[1, 0]) / max(source[4, 1] - source[1, 1], 1e-6)
        seam = source[1, 0] + slope * (rows - source[1, 1])
        overlap = 0.01 * half.shape[1]
        outside = columns > seam + overlap if is_left else columns < seam - overlap
        half[..., 3][outside] = 0
        _wear(overlay, half, np.asarray(matrix, np.float64), light)


def _side(name: str) -> str:
    return next((side for side in ("_left", "_right") if name.endswith(side)), "")


def wear_sunglasses(
    overlay: Overlay,
    frame: FaceFrame,
    rng: np.random.Generator,
    sunglasses: tuple[Cutout, ...],
) -> None:
    """Fit random sunglasses: the lenses' middles, at a quarter of the width, on the eyes."""
    rgba = sunglasses[rng.integers(len(sunglasses))].rgba
    height, width = rgba.shape[:2]
    drop, tall = rng.uniform(-0.1, 0.1), rng.uniform(0.8, 1.15)
    source = np.array([[0.24 * width, 0.4 * height], [0.76 * width, 0.4 * height],
                         [0.5 * width, height]], np.float32)  # fmt: skip
    target = frame.place(np.array([[-1, drop], [1, drop], [0, drop + 0.45 * tall]]))
    matrix = np.asarray(cv2.getAffineTransform(source, target.astype(np.float32)), np.float64)
    _wear(overlay, rgba, matrix, float(rng.uniform(0.5, 1.2)))


@dataclass(frozen=True)
class Lie:
    """How a cut-out lies over a face, each a range: its middle (u, v) of `FaceFrame`, its longer
    side over the face's unit, and its turn in degrees."""

    across: tuple[float, float]
    down: tuple[float, float]
    size: tuple[float, float]
    turn: tuple[float, float]


ANYWHERE = Lie((-2, 2), (-0.8, 1.8), (0.6, 2.2), (-180, 180))
AS_HAND = Lie((-2.4, 2.4), (-0.8, 2.4), (1.4, 3.2), (-120, 120))
AS_HAIR = Lie((-2.4, 2.4), (-1.9, 0.6), (1.6, 5.0), (-35, 35))
"""Hands are as long as three eyes' distances; hair hangs from above, more or less upright (our
choice)."""


def drop_thing(
    overlay: Overlay,
    frame: FaceFrame,
    rng: np.random.Generator,
    things: tuple[Cutout, ...],
    lie: Lie = ANYWHERE,
) -> None:
    """Put a random thing, mirrored or not, over the face at a place, size and angle of a range."""
    rgba = things[rng.integers(len(things))].rgba
    if rng.random() < 0.5:
        rgba = np.ascontiguousarray(rgba[:, ::-1])
    height, width = rgba.shape[:2]
    place = frame.place(np.array([[rng.uniform(*lie.across), rng.uniform(*lie.down)]]))[0]
    scale = frame.unit * rng.uniform(*lie.size) / max(height, width)
    angle = float(rng.uniform(*lie.turn))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
    matrix = np.asarray(turn, np.float64)
    matrix[:, 2] += place - [width / 2, height / 2]
    _wear(overlay, rgba, matrix, float(rng.uniform(0.6, 1.2)))
