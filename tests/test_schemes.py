"""Landmark schemes: flips, contours and normalisers against what is published."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from aadn.errors import InputError
from aadn.schemes import AFLW19, COFW29, IBUG68, WFLW98, Scheme, scheme_of

SCHEMES = [AFLW19, COFW29, IBUG68, WFLW98]
every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: s.name)


@every_scheme
def test_flip_is_an_involution_of_all_points(scheme: Scheme) -> None:
    assert sorted(scheme.flip) == list(range(scheme.size))
    np.testing.assert_array_equal(scheme.flip[scheme.flip], np.arange(scheme.size))
    with pytest.raises(ValueError, match="read-only"):
        scheme.flip[0] = 1


@every_scheme
def test_every_landmark_is_in_a_contour_and_named_once(scheme: Scheme) -> None:
    drawn = {i for indices, _ in scheme.contours.values() for i in indices}
    assert drawn == set(range(scheme.size))
    names = scheme.point_names()
    assert len(set(names)) == scheme.size
    assert not any(name.startswith("point") for name in names)


@every_scheme
def test_flip_maps_contours_to_contours(scheme: Scheme) -> None:
    """The mirror image of a drawn line is a drawn line: each edge's mirror image is an edge."""
    edges = set()
    for indices, closed in scheme.contours.values():
        ring = [*indices, indices[0]] if closed and len(indices) > 1 else list(indices)
        edges |= {frozenset(edge) for edge in pairwise(ring)}
    assert edges == {frozenset(int(scheme.flip[i]) for i in edge) for edge in edges}


@every_scheme
def test_normalisers_are_symmetric(scheme: Scheme) -> None:
    for first, second in scheme.normalisers.values():
        assert {int(scheme.flip[i]) for i in first} == set(second)


def test_a_symmetric_face_maps_onto_itself() -> None:
    """68 points on a face symmetric about x = 0, right half given by hand, from iBUG's picture."""
    half = {
        **{i: (-8 + i * 0.9, i * 1.2) for i in range(8)},  # the jaw down to the chin
        **{17 + i: (-7 + 1.4 * i, -3 - (i % 3)) for i in range(5)},  # brow, outer end first
        31: (-2, 4), 32: (-1, 4.3),  # nose base
        36: (-6, 0), 37: (-5, -1), 38: (-4, -1), 39: (-3, 0), 40: (-4, 1), 41: (-5, 1),  # eye
        48: (-3, 7), 49: (-2, 6.5), 50: (-1, 6.3), 58: (-1, 8.3), 59: (-2, 7.9),  # outer lips
        60: (-2.5, 7), 61: (-1, 6.8), 67: (-1, 7.5),  # inner lips
    }  # fmt: skip
    middle = {8: 9.9, 27: -1.0, 28: 0.5, 29: 2.0, 30: 3.5, 33: 4.5, 51: 6.4, 57: 8.5, 62: 6.9,
              66: 7.6}  # fmt: skip
    # Mirror images as the released picture numbers them, typed apart from the table in the code.
    mirror = {**{i: 16 - i for i in range(8)}, **{17 + i: 26 - i for i in range(5)},
              31: 35, 32: 34, 36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46, 48: 54, 49: 53,
              50: 52, 58: 56, 59: 55, 60: 64, 61: 63, 67: 65}  # fmt: skip
    face = np.full((68, 2), np.nan)
    for i, (x, y) in half.items():
        face[i] = x, y
        face[mirror[i]] = -x, y
    for i, y in middle.items():
        face[i] = 0, y
    assert np.isfinite(face).all()
    mirrored = (face * [-1, 1])[IBUG68.flip]
    np.testing.assert_array_equal(mirrored, face)


def test_published_flip_tables() -> None:
    """Counted from 1, as the releases print them."""
    cofw = [2, 1, 4, 3, 7, 8, 5, 6, 10, 9, 12, 11, 15, 16, 13, 14, 18, 17, 20, 19, 21, 22, 24, 23,
            25, 26, 27, 28, 29]  # fmt: skip
    aflw = [6, 5, 4, 3, 2, 1, 12, 11, 10, 9, 8, 7, 15, 14, 13, 18, 17, 16, 19]
    assert (COFW29.flip + 1).tolist() == cofw
    assert (AFLW19.flip + 1).tolist() == aflw


def test_normaliser_indices() -> None:
    assert IBUG68.normalisers["inter-ocular"] == ((36,), (45,))
    assert IBUG68.normalisers["inter-pupil"] == (tuple(range(36, 42)), tuple(range(42, 48)))
    assert COFW29.normalisers == {"inter-ocular": ((8,), (9,)), "inter-pupil": ((16,), (17,))}
    assert WFLW98.normalisers["inter-ocular"] == ((60,), (72,))


def test_lookup() -> None:
    for scheme in SCHEMES:
        assert scheme_of(scheme.size) is scheme
    with pytest.raises(InputError, match="67 points; known are 19"):
        scheme_of(67)
