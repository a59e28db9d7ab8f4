"""The chance that a face's landmarks are right, from what the network expects of itself."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stub_backend import StubBackend

from aadn import Landmarker, load_image
from aadn.errors import InputError
from aadn.inference.backend import Card
from aadn.inference.quality import Quality, expected_error
from aadn.schemes import IBUG68, Scheme

EYES = Scheme.of({"name": "eyes", "points": 3, "normalisers": {"inter-ocular": [[0], [1]]}})
ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"


def test_the_expected_error_by_hand() -> None:
    # The eyes are 50 apart; (1 + 2 + 6) / 3 = 3 is 6 % of it.
    points = np.array([[[10.0, 20], [40, 60], [0, 0]]])
    uncertainty = np.array([[1.0, 2, 6]])
    assert expected_error(points, uncertainty, EYES).tolist() == [0.06]
    # Without a length of its own, by the square root of the box's area: √(40 · 90) = 60.
    bare = Scheme.of({"name": "bare", "points": 3})
    points[0, 2, 1] = -30
    assert expected_error(points, uncertainty, bare).tolist() == [0.05]


def test_quality_by_hand() -> None:
    points = np.tile([[0.0, 0], [100, 0], [50, 50]], (3, 1, 1))
    uncertainty = np.array([[8.0] * 3, [np.e * 8] * 3, [np.nan] * 3])
    # Half at an error of 8 %; one less in the logit for each factor of e.
    found = Quality(2 * np.log(0.08), -2)(points, uncertainty, EYES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:2], [0.5, 1 / (1 + np.exp(2))], rtol=1e-5)
    assert np.isnan(found[2])


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e3))
def test_quality_is_a_chance_that_falls_with_the_expected_error(
    first: float, second: float, apart: float
) -> None:
    points = np.tile([[0.0, 0], [apart, 0], [0, 0]], (2, 1, 1))
    uncertainty = np.array([[first] * 3, [second] * 3])
    low, high = Quality(-16, -6.3)(points, uncertainty, EYES)
    assert 0 <= low <= 1
    assert 0 <= high <= 1
    assert (low >= high) == (first <= second) or low == high


def test_a_card_keeps_it() -> None:
    card = Card("mine", IBUG68, 32, 1.3, 0.5, quality=Quality(-16, -6.25))
    assert Card.from_json(card.to_json()) == card
    plain = replace(card, quality=None)
    assert "quality" not in plain.to_dict()
    assert Card.from_json(plain.to_json()).quality is None
    for wrong in ({"bias": 1}, [1, 2], {"bias": "x", "slope": 1}, 3):
        content = json.dumps(card.to_dict() | {"quality": wrong})
        with pytest.raises(InputError, match="metadata is not as expected"):
            Card.from_json(content)


def test_faces_have_it_where_the_card_does() -> None:
    image = np.full((200, 300, 3), 51, np.uint8)
    boxes: Any = [[100, 50, 180, 130], [10, 10, 50, 50]]
    backend = StubBackend()
    assert np.isnan(Landmarker(backend)(image, boxes, 0).quality).all()
    backend.card = replace(backend.card, quality=Quality(0, -1))
    faces = Landmarker(backend)(image, boxes, 0)
    # 1 / (1 + e), with the error e in the pictures' pixels, where it is the same share.
    error = expected_error(faces.points, faces.uncertainty, IBUG68)
    np.testing.assert_allclose(faces.quality, 1 / (1 + error), rtol=1e-4)
    backend.changes = {"uncertainty": None}
    assert np.isnan(Landmarker(backend)(image, boxes, 0).quality).all()


def test_the_default_knows_a_face_from_nothing() -> None:
    landmarker = pickle.loads(pickle.dumps(Landmarker()))
    image = load_image(ASTRONAUT)
    face = [[178.0, 92, 271, 176]]
    assert landmarker(image, face).quality[0] > 0.95
    nothing = [
        (np.random.default_rng(0).integers(0, 256, image.shape).astype(np.uint8), face),
        (np.full_like(image, 127), face),
        (image, [[300.0, 330, 480, 500], [5, 5, 90, 90]]),  # her suit, the flag
    ]
    for picture, boxes in nothing:
        assert landmarker(picture, boxes).quality.max() < 0.1
