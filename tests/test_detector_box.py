"""Where faces of other schemes lie in the detector's boxes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stub_backend import StubBackend

from aadn import Landmarker
from aadn.data.samples import Sample
from aadn.inference.backend import Card
from aadn.inference.detectors import BoxTransform
from aadn.inference.environment import variable
from aadn.schemes import COFW29
from aadn.training.detector_box import LEAST, detector_box

PICTURE = np.zeros((200, 300, 3), np.uint8)


def samples(count: int, box: list[float]) -> list[Sample]:
    points = np.zeros((5, 2))
    return [
        Sample(Path(f"{i}.png"), points, np.array(box, np.float64), read=lambda: PICTURE)
        for i in range(count)
    ]


def two(image: NDArray[np.uint8]) -> Any:
    """A detector that finds two faces of 100×80 pixels."""
    return np.array([[0.0, 0, 100, 80], [150, 100, 250, 180]]), np.array([0.9, 0.8])


def test_the_transform_leads_from_detected_boxes_to_the_faces_own() -> None:
    # Half as wide and a quarter as high, 10 px to the right of the second's centre, 8 px above it.
    box = [185.0, 122, 235, 142]
    found = detector_box(samples(LEAST, box), two)
    assert found == BoxTransform(0.1, -0.1, 0.5, 0.25)
    assert found(two(PICTURE)[0])[1].tolist() == box


def test_with_too_few_faces_nothing_is_said() -> None:
    assert detector_box(samples(LEAST - 1, [185.0, 122, 235, 142]), two) is None
    assert detector_box(samples(LEAST, [100.0, 80, 150, 100]), two) is None  # beside both
    assert (
        detector_box(samples(LEAST, [0.0, 0, 9, 9]), lambda _: (np.zeros((0, 4)), np.zeros(0)))
        is None
    )


def test_a_network_sees_detected_faces_as_it_was_trained() -> None:
    backend = StubBackend()
    plain = Landmarker(backend, two).detect(PICTURE)[0]
    backend.card = replace(backend.card, detector_box=BoxTransform(0.1, -0.1, 0.5, 0.25))
    landmarker = Landmarker(backend, two)
    assert plain.tolist() == two(PICTURE)[0].tolist()
    assert landmarker.detect(PICTURE)[0][1].tolist() == [185, 122, 235, 142]
    assert landmarker(PICTURE).boxes[1].tolist() == [185, 122, 235, 142]


def test_a_card_carries_it() -> None:
    card = Card("m", COFW29, 64, 1.3, 0.4, BoxTransform(0.1, -0.1, 0.5, 0.25))
    assert Card.from_json(card.to_json()) == card
    without = replace(card, detector_box=None)
    assert "detector_box" not in without.to_dict()
    assert Card.from_json(without.to_json()) == without


def test_a_variable_is_set_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AADN_TRIED", raising=False)
    with variable("AADN_TRIED", "1"):
        assert os.environ["AADN_TRIED"] == "1"
    assert "AADN_TRIED" not in os.environ
    monkeypatch.setenv("AADN_TRIED", "user's")
    with variable("AADN_TRIED", "1"):
        assert os.environ["AADN_TRIED"] == "user's"
    assert os.environ["AADN_TRIED"] == "user's"
