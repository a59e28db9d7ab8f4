"""Where `aadn detect` writes, without reading a picture."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aadn.cli.common import STDOUT, UsageError
from aadn.cli.places import (
    STDIN,
    Labels,
    Place,
    check,
    existing,
    plan,
    replacing,
    still_to_do,
)
from aadn.errors import OutputError


def labels(places: dict[Path, Place]) -> dict[str, list[str]]:
    """For each picture's name those of its files with one face and with two."""
    found = {}
    for picture, place in places.items():
        assert place.labels is not None
        found[picture.name] = [f.name for n in (1, 2) for f in place.labels.files(n)]
    return found


def test_names_of_several_faces_are_nobody_elses() -> None:
    pictures = [Path(name) for name in ("x.jpg", "x_1.jpg", "x_01.jpg", "y_2.png", "z.png")]
    assert labels(plan(pictures, True, None, Path("out"))) == {
        "x.jpg": ["x.pts", "x.jpg_1.pts", "x.jpg_2.pts"],  # x_1.pts is that of x_1.jpg
        "x_1.jpg": ["x_1.pts", "x_1_1.pts", "x_1_2.pts"],
        "x_01.jpg": ["x_01.pts", "x_01_1.pts", "x_01_2.pts"],
        "y_2.png": ["y_2.pts", "y_2_1.pts", "y_2_2.pts"],
        "z.png": ["z.pts", "z_1.pts", "z_2.pts"],
    }


NAMES = st.from_regex(r"\A[ab](_[12])?(_[12])?\.(jpg|png)\Z")


@pytest.mark.slow
@given(st.lists(st.tuples(NAMES, st.integers(0, 3)), unique_by=lambda entry: entry[0], min_size=1))
def test_no_two_pictures_write_one_file(entries: list[tuple[str, int]]) -> None:
    pictures = [Path(name) for name, _ in entries]
    places = plan(pictures, True, Path("out"), Path("out"))
    written = []
    for picture, (_, faces) in zip(pictures, entries, strict=True):
        place = places[picture]
        assert place.drawn is not None
        assert place.labels is not None
        written += [place.drawn, *(place.labels.files(faces) if faces else [])]
    assert len(written) == len(set(written))


def test_five_thousand_pictures_are_planned_in_one_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "in" / str(i) for i in range(5)]
    pictures = [folder / f"{i:04}.{s}" for folder in folders for i in range(500)
                for s in ("jpg", "png")]  # fmt: skip
    looks: dict[str, int] = {"listdir": 0, "realpath": 0, "TemporaryFile": 0}

    def counted(module: Any, name: str) -> None:
        function = getattr(module, name)

        def call(*arguments: Any, **options: Any) -> Any:
            looks[name] += 1
            return function(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    counted(os, "listdir")
    counted(os.path, "realpath")
    counted(tempfile, "TemporaryFile")
    places = plan(pictures, True, tmp_path / "out", tmp_path / "out")
    check(places, [tmp_path / "a.json"])
    assert existing(places) == {}
    assert still_to_do(places) == places
    assert replacing(places) == places
    assert len(places) == 5000
    first = places[pictures[0]]
    assert first == Place(
        tmp_path / "out/0/0000.jpg",
        Labels(tmp_path / "out/0/0000.jpg", tmp_path / "out/0/0000.jpg"),
    )
    assert looks == {
        # Each folder for the output once in the three, and those of the pictures in `replacing`.
        "listdir": 3 * 5 + 5,
        "realpath": 5 + 5 + 1,  # each folder once
        "TemporaryFile": 2,  # for a.json, and for all others, in the only folder that is there
    }


def test_two_results_in_one_file_are_refused(tmp_path: Path) -> None:
    pictures = [Path("a.gif"), Path("a.gif.png")]  # drawn into a.gif.png both
    with pytest.raises(UsageError, match=r"two results would be written to .*a\.gif\.png"):
        check(plan(pictures, True, tmp_path, None), [])


@pytest.mark.parametrize("link", [False, True])
def test_a_picture_is_never_drawn_over(tmp_path: Path, link: bool) -> None:
    (tmp_path / "in").mkdir()
    picture = tmp_path / "in" / "a.png"
    picture.touch()
    out = tmp_path / "in"
    if link:
        out = tmp_path / "out"
        out.mkdir()
        (out / "a.png").symlink_to(picture)
    with pytest.raises(OutputError, match="that is the picture itself"):
        check(plan([picture], True, out, None), [])


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ("a.pts", "a.pts"),
        ("a_1.pts", "a_1.pts"),
        ("a_10.pts", "a_10.pts"),
        ("a_0.pts", None),  # no face has the number 0
        ("a_x.pts", None),
        ("b.pts", None),
        ("a.txt", None),
    ],
)
def test_which_labels_are_in_the_way(tmp_path: Path, there: str, found: str | None) -> None:
    (tmp_path / there).touch()
    picture = Path("a.png")
    expected = {} if found is None else {picture: tmp_path / found}
    assert existing(plan([picture], True, None, tmp_path)) == expected


def test_labels_of_a_neighbour_are_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a_1.pts").touch()
    places = plan([Path("a.png"), Path("a_1.png")], True, None, tmp_path)
    assert list(existing(places)) == [Path("a_1.png")]


@pytest.mark.parametrize("beside", ["in", "out"])
@pytest.mark.parametrize(
    ("given", "others", "there", "older"),
    [
        (["a.png"], [], ["a.pts", "a_1.pts", "a_2.pts", "a_10.pts"],
         ["a.pts", "a_1.pts", "a_2.pts", "a_10.pts"]),
        (["a.png"], [], ["a_0.pts", "a_x.pts", "a_1.txt", "b.pts", "ab_1.pts"], []),
        (["a.png"], ["a_1.jpg"], ["a.pts", "a_1.pts", "a_2.pts"], ["a.pts", "a_2.pts"]),
        (["a.png"], ["a_1.txt"], ["a_1.pts"], ["a_1.pts"]),
        (["a.png"], ["a.jpg"], ["a.pts", "a_1.pts"], []),  # may be a.jpg's
        (["a.png", "a.jpg"], [], ["a.pts", "a.png.pts", "a.png_2.pts", "a.jpg.pts"],
         ["a.png.pts", "a.png_2.pts"]),
        (["a.png", "a_1.png"], [], ["a.pts", "a_1.pts", "a_2.pts", "a.png_1.pts"],
         ["a.pts", "a_2.pts", "a.png_1.pts"]),
    ],
)  # fmt: skip
def test_which_labels_of_the_first_picture_are_replaced(
    tmp_path: Path, beside: str, given: list[str], others: list[str], there: list[str],
    older: list[str],
) -> None:  # fmt: skip
    for name in (*(f"in/{n}" for n in given), *(f"{beside}/{n}" for n in others)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    for name in (*there, given[0]):  # an earlier drawing is nobody else's picture
        (out / name).touch()
    pictures = [tmp_path / "in" / name for name in given]
    found = replacing(plan(pictures, True, out, out))[pictures[0]]
    assert sorted(found.older) == sorted(out / name for name in older)


@pytest.mark.parametrize(
    ("there", "drawn", "pts"),
    [
        ([], True, True),
        (["a.png"], False, True),
        (["a.pts"], True, False),
        (["a_1.pts"], True, False),
        (["a_2.pts"], True, True),  # cut off: the first is written last
        (["a.png", "a.pts"], False, False),
    ],
)
def test_what_is_still_to_do(tmp_path: Path, there: list[str], drawn: bool, pts: bool) -> None:
    for name in there:
        (tmp_path / name).touch()
    picture = Path("in/a.png")
    left = still_to_do(plan([picture], True, tmp_path, tmp_path))
    if not (drawn or pts):
        assert left == {}
    else:
        assert (left[picture].drawn is not None, left[picture].labels is not None) == (drawn, pts)


def test_what_goes_to_standard_output_is_always_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.pts").touch()
    picture = Path("a.png")
    left = still_to_do(plan([picture], False, STDOUT, tmp_path))
    assert left == {picture: Place(drawn=STDOUT)}


def test_standard_input_has_a_place_at_the_top() -> None:
    pictures = [STDIN, Path("/data/x/a.jpg"), Path("/data/y/b.jpg")]
    places = plan(pictures, True, Path("out"), None)
    assert [place.drawn for place in places.values()] == [
        Path("out/stdin.png"), Path("out/x/a.jpg"), Path("out/y/b.jpg"),
    ]  # fmt: skip


def test_a_folder_that_is_not_there_is_no_place_of_one_picture(tmp_path: Path) -> None:
    picture, drawn = Path("a.png"), tmp_path / "drawn"
    with pytest.raises(OutputError, match=r"ends in .*\.webp, or an existing folder$"):
        plan([picture], False, drawn, None)
    drawn.mkdir()
    assert plan([picture], False, drawn, None) == {picture: Place(drawn / "a.png")}
