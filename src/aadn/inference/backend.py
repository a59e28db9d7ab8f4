"""What runs a network: crops in, `Estimates` out; on ONNX Runtime or PyTorch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError
from aadn.inference.detectors import BoxTransform
from aadn.inference.estimates import Estimates
from aadn.inference.quality import Quality
from aadn.schemes import SCHEMES, Scheme

FORMAT = 1
"""Version of an exported file's inputs, outputs and metadata."""

CHUNK = 64
"""Crops that go through a network at a time, which bounds its memory (our choice)."""


@dataclass(frozen=True)
class Card:
    """What a network is, and how the crops are cut that it takes.

    Attributes:
        model: the network's name.
        scheme: whose points it gives.
        size: the crop's side in pixels.
        crop_factor: the crop's side over the longer side of the landmark box.
        visibility_threshold: a landmark that is not turned away counts as covered where the chance
            that nothing covers it is lower.
        detector_box: from the detector's boxes, which fit around iBUG's 68 points, to those that
            the network's faces are cut by; None where they are the same.
        quality: from the network's uncertainty to the chance that its landmarks are right; None
            where nobody has fitted it.
        turned_threshold: a landmark counts as turned away where the probability of that is at least
            this; None from a network that does not tell it.
    """

    model: str
    scheme: Scheme
    size: int
    crop_factor: float
    visibility_threshold: float
    detector_box: BoxTransform | None = None
    quality: Quality | None = None
    turned_threshold: float | None = None

    def __post_init__(self) -> None:
        whole = isinstance(self.size, int) and self.size > 0
        thresholds = self.visibility_threshold, self.turned_threshold or 0
        shares = all(0 <= threshold <= 1 for threshold in thresholds)
        if not whole or not self.crop_factor > 0 or not shares:
            raise InputError(f"values out of range in {self}")

    @property
    def landmarks(self) -> int:
        """L, the number of points."""
        return self.scheme.size

    def to_dict(self) -> dict[str, Any]:
        """Plain values; a scheme that is not known here by its name goes along whole."""
        content = {
            "format": FORMAT,
            "model": self.model,
            "scheme": self.scheme.name,
            "landmarks": self.landmarks,
            "size": self.size,
            "crop_factor": self.crop_factor,
            "visibility_threshold": self.visibility_threshold,
        }
        if self.scheme != SCHEMES.get(self.scheme.name):
            content["scheme_definition"] = self.scheme.to_dict()
        if self.detector_box is not None:
            content["detector_box"] = astuple(self.detector_box)
        if self.turned_threshold is not None:
            content["turned_threshold"] = self.turned_threshold
        if self.quality is not None:
            content["quality"] = asdict(self.quality)
        return content

    def to_json(self) -> str:
        """The text that goes into an exported file's metadata under the key "aadn"."""
        return json.dumps(self.to_dict())

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
            return cls(
                content["model"],
                _scheme(content),
                content["size"],
                content["crop_factor"],
                content["visibility_threshold"],
                box_transform(content.get("detector_box")),
                quality(content.get("quality")),
                content.get("turned_threshold"),
            )
        except InputError:
            raise
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"metadata is not as expected ({error!r})") from None


def box_transform(values: Sequence[float] | None) -> BoxTransform | None:
    """A transform of boxes from a file's plain values; TypeError or ValueError for wrong ones."""
    return None if values is None else BoxTransform(*(float(value) for value in values))


def quality(values: Mapping[str, float] | None) -> Quality | None:
    """A calibration from a file's values; TypeError, ValueError or KeyError for wrong ones."""
    return None if values is None else Quality(float(values["bias"]), float(values["slope"]))


def _scheme(content: dict[str, Any]) -> Scheme:
    """The scheme that a card names or brings along."""
    if "scheme_definition" in content:
        scheme = Scheme.of(content["scheme_definition"])
    elif content["scheme"] in SCHEMES:
        scheme = SCHEMES[content["scheme"]]
    else:
        raise InputError(
            f"expected a scheme of {', '.join(SCHEMES)}, or its definition; "
            f"got {content['scheme']!r}"
        )
    if content["landmarks"] != scheme.size:
        raise InputError(f"scheme {scheme.name!r} does not have {content['landmarks']} landmarks")
    return scheme


class Backend(Protocol):
    """A network, ready to run. `Landmarker` takes any; calls may come from several threads."""

    @property
    def card(self) -> Card:
        """What the network is, and how its crops are cut."""

    def __call__(self, crops: NDArray[np.uint8]) -> Estimates:
        """The answers to crops (N, S, S, 3) uint8 RGB; N may be 0, S is `card.size`.

        Raises InputError for crops of another shape or type, see `check_crops`, and NetworkError
        for answers that are not finite.
        """


def check_crops(crops: NDArray[np.uint8], card: Card) -> None:
    """Raise InputError unless crops are as a network takes them."""
    size = card.size
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (size, size, 3):
        raise InputError(
            f"expected crops of shape (N, {size}, {size}, 3), uint8 RGB, "
            f"got {crops.shape}, {crops.dtype}"
        )


def chunks(crops: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Crops (N, …) in parts of at most CHUNK."""
    return [crops[start : start + CHUNK] for start in range(0, len(crops), CHUNK)]
