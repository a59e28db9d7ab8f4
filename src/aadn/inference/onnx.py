"""The exported network on ONNX Runtime: crops in, landmarks and what is known of them out.

What a file holds (`aadn.training.export` writes it): input `images` (N, S, S, 3) uint8 RGB; outputs
`points` (N, L, 2) float32 crop pixels, `visibility` (N, L) and `occlusion` (N, 7, 7) float32 in
[0, 1], `uncertainty` (N, L) float32 crop pixels; metadata `aadn`, the JSON of `Card`. Files of
aadn 0.1 have no `uncertainty`. Everything between pixels and points is in the graph.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.errors import AadnError, InputError, WeightsError
from aadn.faces import OCCLUSION_GRID, Float32
from aadn.schemes import scheme_of

FORMAT = 1
"""Version of the file's inputs, outputs and metadata."""

OUTPUTS = ("points", "visibility", "occlusion", "uncertainty")
"""What a file gives, in this order; one of aadn 0.1 lacks the last."""

CHUNK = 64
"""Crops that go through the network at a time, which bounds its memory (our choice)."""

DEFAULT_WEIGHTS = Path(__file__).parents[1] / "weights" / "default.onnx"


@dataclass(frozen=True)
class Card:
    """The metadata of an exported network.

    Attributes:
        model: the network's name.
        scheme: the landmark scheme's name, with `landmarks` points.
        size: the crop's side in pixels.
        crop_factor: the crop's side over the longer side of the landmark box.
        visibility_threshold: a landmark of lower visibility counts as hidden.
    """

    model: str
    scheme: str
    landmarks: int
    size: int
    crop_factor: float
    visibility_threshold: float

    def __post_init__(self) -> None:
        whole = all(isinstance(n, int) and n > 0 for n in (self.landmarks, self.size))
        if not whole or not self.crop_factor > 0 or not 0 <= self.visibility_threshold <= 1:
            raise InputError(f"values out of range in {self}")
        if scheme_of(self.landmarks).name != self.scheme:
            raise InputError(f"scheme {self.scheme!r} does not have {self.landmarks} landmarks")

    def to_json(self) -> str:
        """The text that goes into the file's metadata under the key "aadn"."""
        return json.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> Card:
        """The card in a file's metadata; keys it does not know are left out.

        Raises InputError if the text is no such card or of another format.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            if content["format"] != FORMAT:
                raise InputError(
                    f"expected format {FORMAT}, got {content['format']}; "
                    "the file was made for another version of aadn"
                )
            return cls(**{field.name: content[field.name] for field in fields(cls)})
        except InputError:
            raise
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"metadata is not as expected ({error!r})") from None


class Network:
    """An exported network, ready to run; `Network.load` makes it."""

    def __init__(self, session: Any, card: Card) -> None:
        self._session = session
        given = {output.name for output in session.get_outputs()}
        self._outputs = [name for name in OUTPUTS if name in given]
        self.card = card

    @classmethod
    def load(cls, weights: str | Path | None = None) -> Network:
        """The network of an ONNX file; None is the embedded one, whose sha256 is checked.

        Raises WeightsError if the file is missing, broken or not one of ours.
        """
        path = DEFAULT_WEIGHTS if weights is None else Path(weights)
        try:
            data = path.read_bytes()
        except OSError as error:
            reason = error.strerror or error
            if weights is None:
                raise WeightsError(
                    f"{path}: the embedded model cannot be read ({reason}); reinstall aadn, "
                    "or give a model of your own (weights=, --weights)"
                ) from None
            raise WeightsError(f"{path}: cannot be read ({reason}); check the path") from None
        if weights is None:
            _check_digest(path, data)
        return cls(*_open(data, path))

    def __call__(self, crops: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32, Float32]:
        """Points, visibility, occlusion and uncertainty of crops.

        Args:
            crops: (N, S, S, 3) uint8 RGB; N may be 0, S is `card.size`.

        Returns:
            points (N, L, 2) in crop pixels, (0, 0) the centre of the top-left one; visibility
            (N, L) in [0, 1]; occlusion (N, 7, 7) in [0, 1], NaN from a network without it;
            uncertainty (N, L), the expected distance of each point to its true place in crop
            pixels, greater than 0, NaN from a network without it.

        Raises:
            InputError: crops of another shape or type.
        """
        size, landmarks = self.card.size, self.card.landmarks
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (size, size, 3):
            raise InputError(
                f"expected crops of shape (N, {size}, {size}, 3), uint8 RGB, "
                f"got {crops.shape}, {crops.dtype}"
            )
        points = np.empty((len(crops), landmarks, 2), np.float32)
        visibility = np.empty((len(crops), landmarks), np.float32)
        occlusion = np.empty((len(crops), OCCLUSION_GRID, OCCLUSION_GRID), np.float32)
        uncertainty = np.full((len(crops), landmarks), np.nan, np.float32)
        arrays = (points, visibility, occlusion, uncertainty)
        for start in range(0, len(crops), CHUNK):
            part = slice(start, start + CHUNK)
            outputs = self._session.run(self._outputs, {"images": crops[part]})
            for array, output in zip(arrays, outputs, strict=False):  # the last may be lacking
                array[part] = output
        return points, visibility, occlusion, uncertainty


def _check_digest(path: Path, data: bytes) -> None:
    card = path.with_suffix(".json")
    try:
        expected = json.loads(card.read_text("utf-8"))["sha256"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{card}: the embedded model's card cannot be read ({error}); reinstall aadn"
        ) from None
    got = hashlib.sha256(data).hexdigest()
    if got != expected:
        raise WeightsError(
            f"{path}: the embedded model is not the one its card describes (sha256 {got}, "
            f"expected {expected}); reinstall aadn"
        )


def _open(data: bytes, path: Path) -> tuple[Any, Card]:
    import onnxruntime  # takes a tenth of a second, which `import aadn` need not

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no public base class
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{path}: not a complete ONNX file ({first}); export or copy it again"
        ) from None
    metadata = session.get_modelmeta().custom_metadata_map
    if "aadn" not in metadata:
        raise WeightsError(
            f"{path}: an ONNX file, but not one of aadn's (no metadata 'aadn'); "
            "make one with `aadn export`"
        )
    try:
        card = Card.from_json(metadata["aadn"])
    except AadnError as error:
        raise WeightsError(f"{path}: {error}") from None
    inputs = {i.name: (i.type, i.shape[1:]) for i in session.get_inputs()}
    outputs = {o.name for o in session.get_outputs()}
    if inputs != {"images": ("tensor(uint8)", [card.size, card.size, 3])} or not (
        set(OUTPUTS) - {"uncertainty"} <= outputs
    ):
        raise WeightsError(
            f"{path}: expected input 'images' (N, {card.size}, {card.size}, 3) uint8 and outputs "
            f"points, visibility and occlusion, got {inputs} and {sorted(outputs)}"
        )
    return session, card
