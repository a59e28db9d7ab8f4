"""Splits keep what belongs together on one side, whatever the order."""

from __future__ import annotations

import functools
import random
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aadn.data.samples import Sample, content_of, hold_out, picture_of
from aadn.errors import InputError


def sample(path: Path) -> Sample:
    return Sample(path, np.eye(2), np.array([0.0, 0, 1, 1]))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("afw/1051618982_1", "afw/1051618982_2", True),
        ("ytf/s001_01", "ytf/s001_12", True),
        ("ytf/s001_01", "ytf/s002_01", False),
        ("afw/12345_1", "helen/12345_1", False),
        ("lfpw/image_0001", "lfpw/image_0002", False),
        ("helen/100032540_1", "helen/100032540_1", True),
        ("wflw/37_Soccer_soccer_ball_37_45", "wflw/37_Soccer_soccer_ball_37_46", True),
    ],
)
def test_which_faces_are_of_one_picture(one: str, other: str, same: bool) -> None:
    names = [picture_of(sample(Path(f"{name}.jpg"))) for name in (one, other)]
    assert (names[0] == names[1]) is same


# Each face: which picture it is of, and which bytes its file has (equal = copies).
FACES = st.lists(
    st.tuples(st.integers(0, 8), st.integers(1, 99), st.integers(0, 12)),
    min_size=1,
    max_size=25,
    unique_by=lambda face: face[:2],
)


@settings(deadline=None)
@given(FACES, st.floats(0, 0.99), st.integers(0, 5), st.randoms(use_true_random=False))
def test_hold_out(
    faces: list[tuple[int, int, int]], fraction: float, seed: int, shuffle: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        samples = []
        for picture, face, content in faces:
            path = Path(folder, f"{picture:03d}x_{face}.jpg")
            path.write_bytes(bytes([content]))
            samples.append(sample(path))
        kept, held = hold_out(samples, fraction, seed)
        contents = {s.image: s.image.read_bytes() for s in samples}
        # Complete and disjoint.
        assert sorted(s.image for s in kept + held) == sorted(s.image for s in samples)
        # One picture's faces, and copies, are on one side.
        for left in kept:
            for right in held:
                assert picture_of(left) != picture_of(right)
                assert contents[left.image] != contents[right.image]
        # Enough is held out where anything is.
        assert len(held) >= round(fraction * len(samples))
        # The order does not matter, and the result is the same each time.
        mixed = list(samples)
        shuffle.shuffle(mixed)
        again = hold_out(mixed, fraction, seed)
        assert [[s.image for s in part] for part in again] == [
            [s.image for s in part] for part in (kept, held)
        ]


def test_moving_the_data_does_not_change_the_split(tmp_path: Path) -> None:
    splits = []
    for root in ("here", "there/deeper"):
        samples = []
        for i in range(40):
            path = tmp_path / root / "afw" / f"face{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(str(i).encode())
            samples.append(sample(path))
        splits.append([s.image.name for s in hold_out(samples, 0.3, 1)[1]])
    assert splits[0] == splits[1]
    assert len(splits[0]) == 12


def test_seeds_differ_and_copies_chain(tmp_path: Path) -> None:
    samples = []
    for i in range(60):
        path = tmp_path / f"{i:03d}x_{i % 3 + 1}.jpg"
        path.write_bytes(bytes([i]))
        samples.append(sample(path))
    held = [{s.image for s in hold_out(samples, 0.5, seed)[1]} for seed in (0, 1)]
    assert held[0] != held[1]
    # a_1 - a_2 by name, a_2 = b_1 by content, b_1 - b_2 by name: one group of four.
    names = {"a_1": b"p", "a_2": b"q", "b_1": b"q", "b_2": b"r"}
    for name, content in names.items():
        (tmp_path / f"{name}.jpg").write_bytes(content)
    chain = [sample(tmp_path / f"{name}.jpg") for name in names]
    for seed in range(5):
        kept, out = hold_out(chain, 0.25, seed)
        assert (len(kept), len(out)) == (0, 4)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(InputError, match="held-out fraction"):
        hold_out([], fraction, 0)


def test_a_video_stays_on_one_side_and_is_not_read(tmp_path: Path) -> None:
    def never() -> NDArray[np.uint8]:
        raise AssertionError("a frame was read")

    frames = [
        replace(sample(video / f"{i:06d}"), read=never, scene=video)
        for video in (tmp_path / name / "vid.avi" for name in ("001", "002", "003", "004"))
        for i in range(1, 6)
    ]
    kept, held = hold_out(frames, 0.5, 0)
    assert len(kept) == len(held) == 10
    assert not {s.scene for s in kept} & {s.scene for s in held}
    assert [s.image for s in kept] == sorted(s.image for s in kept)


def test_pictures_without_a_file_are_told_apart_by_their_pixels(tmp_path: Path) -> None:
    dark, light = np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), 9, np.uint8)
    one, other, copy = (
        replace(sample(tmp_path / f"a.mat/{i}"), read=functools.partial(np.asarray, picture))
        for i, picture in enumerate((dark, light, dark.copy()))
    )
    assert content_of(one) == content_of(copy) != content_of(other)
    assert one.picture() is dark
