"""dlib's names for faces and landmarks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aadn.dlib as dlib
from aadn import Landmarker, load_image
from aadn.errors import InputError

ROOT = Path(__file__).parents[1]
ASTRONAUT = ROOT / "examples" / "astronaut.jpg"


def test_it_says_what_aadn_says_in_whole_pixels() -> None:
    image = dlib.load_rgb_image(ASTRONAUT)
    np.testing.assert_array_equal(image, load_image(ASTRONAUT))
    (box,) = dlib.get_frontal_face_detector()(image, 1)
    shape = dlib.shape_predictor()(image, box)
    faces = Landmarker()(image)
    np.testing.assert_allclose(
        [[part.x, part.y] for part in shape.parts()], faces.points[0], atol=1.5
    )
    assert (shape.num_parts, len(shape.parts()), shape.rect) == (68, 68, box)
    assert shape.part(8) == shape.parts()[8]
    assert tuple(shape.part(8)) == tuple(np.rint(shape.face.points[8]).astype(int))
    # The box is rounded, and not levelled once more.
    assert (shape.face.hidden != faces.hidden[0]).sum() <= 2
    for index in (-1, 68):
        with pytest.raises(IndexError, match="expected a part from 0 to 67"):
            shape.part(index)


def test_its_detector_says_scores_too() -> None:
    boxes, scores, kinds = dlib.get_frontal_face_detector().run(load_image(ASTRONAUT), 0, -0.5)
    assert len(boxes) == len(scores) == len(kinds) == 1
    assert 0.5 < scores[0] <= 1
    assert dlib.get_frontal_face_detector()(np.zeros((40, 50), np.uint8)) == []
    with pytest.raises(InputError, match="upsample 0 times or more, got -1"):
        dlib.get_frontal_face_detector()(load_image(ASTRONAUT), -1)


def test_rectangles_hold_their_sides() -> None:
    """As dlib's: the last column and row are part of them."""
    box = dlib.rectangle(10, 20, 19, 39)
    assert (box.width(), box.height(), box.area()) == (10, 20, 200)
    assert (box.left(), box.top(), box.right(), box.bottom()) == (10, 20, 19, 39)
    assert box.contains(dlib.point(19, 39))
    assert not box.contains(dlib.point(20, 39))
    assert box.center() == dlib.point(14, 29)
    assert (box.tl_corner(), box.br_corner()) == (dlib.point(10, 20), dlib.point(19, 39))
    assert not box.is_empty()
    assert dlib.rectangle(0, 0, -1, -1).is_empty()
    assert str(box) == "[(10, 20) (19, 39)]"
    assert repr(box) == "rectangle(10,20,19,39)"
    assert len({box, dlib.rectangle(10, 20, 19, 39)}) == 1
    assert dlib.point(1, 2) + dlib.point(3, 5) - dlib.point(1, 1) == dlib.point(3, 6)


def test_a_model_of_dlib_s_says_so() -> None:
    with pytest.raises(InputError, match="a model of dlib's; leave it out"):
        dlib.shape_predictor("shape_predictor_68_face_landmarks.dat")


def test_the_example_runs() -> None:
    command: list[str | Path] = [sys.executable, ROOT / "examples/dlib_landmarks.py", ASTRONAUT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "astronaut.jpg: 1 faces" in done.stdout
    assert "chin at (" in done.stdout
