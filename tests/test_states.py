"""Seen, covered, turned away: the states of landmarks, from the network to what is written."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aadn.errors import InputError
from aadn.faces import STATES, Face, Faces, uncovered
from aadn.media.draw import draw
from aadn.palette import COVERED, SEEN
from aadn.schemes import IBUG68

share = st.floats(0, 1, width=32)


def faces(
    visibility: float,
    turned_away: float,
    visibility_threshold: float = 0.5,
    turned_threshold: float = 0.5,
) -> Faces:
    """One face, all of whose landmarks are alike."""
    points = np.stack([np.linspace(20, 80, 68)] * 2, axis=1)[None]
    seen, away, unknown = (np.full((1, 68), v) for v in (visibility, turned_away, np.nan))
    box, grid = np.array([[20, 20, 80, 80]]), np.full((1, 7, 7), np.nan)
    arrays: Any = [np.asarray(a, np.float32) for a in (points, seen, unknown, box, [1.0], grid)]
    return Faces(
        arrays[0], arrays[1], arrays[2], arrays[3], arrays[4], arrays[5], IBUG68,
        visibility_threshold,
        turned_away=np.asarray(away, np.float32),
        turned_threshold=turned_threshold,
    )  # fmt: skip


@given(share, share)
def test_states_are_probabilities(turned: float, free: float) -> None:
    given_faces = faces((1 - turned) * free, turned)
    states = given_faces.states
    assert states.shape == (1, 68, len(STATES))
    np.testing.assert_allclose(states.sum(axis=2), 1, atol=1e-5)
    assert (states >= 0).all()
    np.testing.assert_array_equal(given_faces[0].states, states[0])
    if turned < 0.99:
        np.testing.assert_allclose(
            uncovered(given_faces.visibility, given_faces.turned_away), free, atol=1e-4
        )


@given(share, share, share, share)
def test_a_landmark_has_one_state(turned: float, free: float, first: float, second: float) -> None:
    one = faces((1 - turned) * free, turned, visibility_threshold=first, turned_threshold=second)
    assert not (one.covered & one.turned).any()
    np.testing.assert_array_equal(one.hidden, one.covered | one.turned)
    assert one.turned.all() == (np.float32(turned) >= second)


def test_states_by_hand() -> None:
    """Seen 0.1, covered 0.5, turned 0.4: not turned; of the rest a sixth is seen, so covered."""
    one = faces(0.1, 0.4)
    np.testing.assert_allclose(one.states[0, 0], [0.1, 0.5, 0.4], atol=1e-6)
    assert one.covered.all()
    assert not one.turned.any()
    assert faces(0.1, 0.4, turned_threshold=0.4).turned.all()
    assert not faces(0.1, 0.4, visibility_threshold=0.16).hidden.any()


@given(share, share)
def test_a_network_of_two_states_is_as_before(visibility: float, threshold: float) -> None:
    one = faces(visibility, np.nan, visibility_threshold=threshold)
    np.testing.assert_array_equal(one.hidden, one.visibility < threshold)
    np.testing.assert_array_equal(one.covered, one.hidden)
    assert not one.turned.any()
    assert (one.states[..., 2] == 0).all()
    values = one[0].to_dict()
    assert values["turned_away"] is None
    assert values["turned"] == []


def test_what_json_holds() -> None:
    values = json.loads(faces(0.0, 0.9).to_json())["faces"][0]
    assert values["turned_away"] == [0.9] * 68
    assert values["turned"] == values["hidden"] == list(range(68))
    assert values["covered"] == []


def test_more_than_certain_is_refused() -> None:
    with pytest.raises(InputError, match="sum to 1 at most"):
        faces(0.8, 0.3)
    with pytest.raises(InputError, match=r"turned_away in \[0, 1\]"):
        faces(0.0, 1.5)


def test_the_three_states_are_drawn_apart() -> None:
    picture = np.zeros((600, 600, 3), np.uint8)
    at = {}
    for name, one in (("seen", faces(1, 0)), ("covered", faces(0, 0)), ("turned", faces(0, 1))):
        points = one.points * 6
        large = Face(
            points[0], one.visibility[0], one.uncertainty[0], one.boxes[0] * 6, 1.0,
            one.occlusion[0], IBUG68, turned_away=one.turned_away[0],
        )  # fmt: skip
        shown = draw(picture, large, contours=False, boxes=False)
        x, y = points[0, 0].round().astype(int)
        part = shown[y - 12 : y + 12, x - 12 : x + 12]
        at[name] = tuple(shown[y, x]), {tuple(pixel) for pixel in part.reshape(-1, 3).tolist()}
    assert at["seen"][0] == SEEN
    assert at["covered"][0] == at["turned"][0] == (0, 0, 0)  # hollow
    assert COVERED in at["covered"][1]
    assert SEEN not in at["covered"][1]
    assert SEEN in at["turned"][1]


def test_notebooks_show_them_apart() -> None:
    pages = [
        Faces(**{**vars(one), "picture": lambda: np.zeros((100, 100, 3), np.uint8)})._repr_html_()
        for one in (faces(1, 0), faces(0, 0), faces(0, 1))
    ]
    marks = [page[page.index("<circle") : page.index("<circle") + 120] for page in pages]
    assert len(set(marks)) == 3
