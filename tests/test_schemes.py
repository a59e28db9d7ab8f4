"""Landmark schemes: flips, contours and normalisers against what is published."""

from __future__ import annotations

import json
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aadn.errors import InputError
from aadn.schemes import (
    AFLW19,
    COFW29,
    GROUPS,
    IBUG68,
    OF_POINTS,
    WFLW98,
    Scheme,
    find_scheme,
    read_scheme,
    scheme_of,
)

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


FIVE = """
name = "five"
points = ["right eye", "left eye", "nose", "mouth right", "mouth left"]
flip = [[0, 1], [3, 4]]         # landmarks that a mirror exchanges

[contours]                      # lines to draw
mouth = [3, 4]                  # or {points = […], closed = true}

[normalisers]                   # what errors are divided by
inter-ocular = [[0], [1]]       # between the means of two groups

[groups]                        # optional, for occluders
"right eye" = [0]
"left eye" = [1]
mouth = [3, 4]
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "mine.toml"
    file.write_text(text, "utf-8")
    return file


def test_five_points_from_a_file(tmp_path: Path) -> None:
    scheme = read_scheme(write(tmp_path, FIVE))
    assert (scheme.name, scheme.size, scheme.normaliser) == ("five", 5, "inter-ocular")
    assert scheme.flip.tolist() == [1, 0, 2, 4, 3]
    assert scheme.contours == {"mouth": ((3, 4), False)}
    assert scheme.normalisers == {"inter-ocular": ((0,), (1,))}
    assert scheme.groups == {"right eye": (0,), "left eye": (1,), "mouth": (3, 4)}
    assert scheme.point_names()[2:4] == ["nose", "mouth right"]
    assert find_scheme(tmp_path / "mine.toml") == find_scheme(str(tmp_path / "mine.toml")) == scheme


def test_the_example_of_the_docstring_is_a_scheme(tmp_path: Path) -> None:
    text = (read_scheme.__doc__ or "").split("for example:\n")[1].split("`points` may")[0]
    assert (
        read_scheme(write(tmp_path, text)).to_dict() == read_scheme(write(tmp_path, FIVE)).to_dict()
    )


def test_106_points_from_a_file(tmp_path: Path) -> None:
    pairs = [[i, 32 - i] for i in range(16)]
    text = f"""
        name = "106"
        points = 106
        flip = {pairs}
        contours.jaw = {list(range(33))}
        contours.lips = {{points = {list(range(84, 96))}, closed = true}}
        groups.jaw = {list(range(33))}
    """
    scheme = read_scheme(write(tmp_path, text))
    assert (scheme.size, scheme.normaliser) == (106, "box")
    assert scheme.flip[[0, 16, 32, 105]].tolist() == [32, 16, 0, 105]
    assert scheme.contours["lips"] == (tuple(range(84, 96)), True)
    names = scheme.point_names()
    assert (names[3], names[90], names[105]) == ("jaw 3", "lips 6", "point 105")


def test_name_and_points_are_enough(tmp_path: Path) -> None:
    scheme = read_scheme(write(tmp_path, 'name = "bare"\npoints = 3'))
    assert scheme.flip.tolist() == [0, 1, 2]
    assert scheme.point_names() == ["point 0", "point 1", "point 2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "cannot be read as a landmark scheme"),
        ("a = " + "[" * 5000, "cannot be read as a landmark scheme"),
        ("points = 5", "expected a name"),
        ('name = " "\npoints = 5', "expected a name"),
        ("name = 5\npoints = 5", "expected a name"),
        ('name = "a"', "expected points"),
        ('name = "a"\npoints = 0', "expected points"),
        ('name = "a"\npoints = true', "expected points"),
        ('name = "a"\npoints = 5.0', "expected points"),
        ('name = "a"\npoints = []', "expected points"),
        ('name = "a"\npoints = 1_000_000_000', "at most 10000 points"),
        ('name = "a"\npoints = ["x", "x"]', "each of them once"),
        ('name = "a"\npoints = ["x", [1]]', "a list of names"),
        ('name = "a"\npoints = ["x", ""]', "a list of names"),
        ('name = "a"\npoints = 5\nlines = 1', "unknown entry 'lines'; expected contours, flip"),
        ('name = "a"\npoints = 5\nflip = 3', "expected flip to be a list"),
        ('name = "a"\npoints = 5\nflip = [3]', "flip: expected a list of 2 indices"),
        ('name = "a"\npoints = 5\nflip = [[0, 5]]', "flip: .* from 0 to 4, got"),
        ('name = "a"\npoints = 5\nflip = [[0, -1]]', "flip: .* from 0 to 4, got"),
        ('name = "a"\npoints = 5\nflip = [[0, true]]', "flip: .* from 0 to 4, got"),
        ('name = "a"\npoints = 5\nflip = [[0, 1, 2]]', "flip: expected a list of 2"),
        ('name = "a"\npoints = 5\nflip = [[1, 1]]', "one pair only, got \\[1, 1\\]"),
        ('name = "a"\npoints = 5\nflip = [[0, 1], [1, 2]]', "one pair only, got \\[1, 2\\]"),
        ('name = "a"\npoints = 5\ncontours = []', "expected contours to be a table"),
        ('name = "a"\npoints = 5\ncontours.lip = []', "contours.lip: expected a list"),
        ('name = "a"\npoints = 5\ncontours.lip = 1', "contours.lip: expected a list"),
        ('name = "a"\npoints = 5\ncontours.lip = [0, 9]', "contours.lip: .* got \\[0, 9\\]"),
        ('name = "a"\npoints = 5\ncontours.lip.closed = true', "contours.lip: expected a list"),
        ('name = "a"\npoints = 5\ncontours.lip = {points = [0, 1], closed = 1}', "true or false"),
        ('name = "a"\npoints = 5\ncontours.lip = {points = [0], open = true}', "contours.lip"),
        ('name = "a"\npoints = 5\nnormalisers.width = [[0], [1]]', "normalisers.width: expected"),
        ('name = "a"\npoints = 5\nnormalisers.inter-pupil = [0, 1]', "normalisers.inter-pupil"),
        ('name = "a"\npoints = 5\nnormalisers.inter-pupil = [[0]]', "normalisers.inter-pupil"),
        ('name = "a"\npoints = 5\ngroups.nose = [1]', "groups.nose: expected a group of right"),
        ('name = "a"\npoints = 5\ngroups.jaw = [7]', "groups.jaw: .* from 0 to 4"),
    ],
)
def test_mistakes_are_named_with_their_file(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(InputError, match=f"{file}: .*{message}"):
        find_scheme(file)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"name = '\xff'")
    (tmp_path / "folder.toml").mkdir()
    for name in ("none.toml", "bytes.toml", "folder.toml"):
        with pytest.raises(InputError, match=f"{name}: cannot be read as a landmark scheme"):
            find_scheme(tmp_path / name)


def test_a_scheme_by_its_name() -> None:
    assert find_scheme("wflw98") is WFLW98
    with pytest.raises(InputError, match=r"--scheme wflw: expected one of aflw19, .*\.toml file"):
        find_scheme("wflw")


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    """What a file may hold."""
    size = draw(st.integers(1, 30))
    texts = st.text(min_size=1, max_size=8)
    indices = st.lists(st.integers(0, size - 1), min_size=1, max_size=6)
    names = st.lists(texts, min_size=size, max_size=size, unique=True)
    order = draw(st.permutations(range(size)))
    pairs = list(zip(order[::2], order[1::2], strict=False))[: draw(st.integers(0, 5))]
    lines = indices | st.fixed_dictionaries({"points": indices, "closed": st.booleans()})
    return {
        "name": draw(texts.filter(str.strip)),
        "points": draw(st.just(size) | names),
        "flip": [list(pair) for pair in pairs],
        "contours": draw(st.dictionaries(texts, lines, max_size=4)),
        "normalisers": draw(
            st.dictionaries(st.sampled_from(OF_POINTS), st.lists(indices, min_size=2, max_size=2))
        ),
        "groups": draw(st.dictionaries(st.sampled_from(GROUPS), indices)),
    }


@settings(max_examples=50, deadline=None)
@given(contents())
def test_content_and_back(content: dict[str, Any]) -> None:
    scheme = Scheme.of(content)
    plain = scheme.to_dict()
    assert Scheme.of(plain) == Scheme.of(json.loads(json.dumps(plain))) == scheme
    assert Scheme.of(plain).point_names() == scheme.point_names()
    assert hash(Scheme.of(plain)) == hash(scheme)
    assert len(scheme.point_names()) == scheme.size
    assert (scheme.flip[scheme.flip] == np.arange(scheme.size)).all()
    for i, j in content["flip"]:
        assert (scheme.flip[i], scheme.flip[j]) == (j, i)


@every_scheme
def test_known_schemes_and_back(scheme: Scheme) -> None:
    assert Scheme.of(json.loads(json.dumps(scheme.to_dict()))) == scheme
    assert pickle.loads(pickle.dumps(scheme)) == scheme
    assert scheme != Scheme.of({**scheme.to_dict(), "name": "another"})
