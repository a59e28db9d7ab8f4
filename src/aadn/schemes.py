"""Landmark schemes as data: names, contours, flip permutations and normalisers.

Indices count from 0. `flip[i]` is the index that landmark i takes in the mirrored picture.
Normalisers are pairs of index groups: the normaliser is the distance between the two groups'
means. Sources: iBUG 68 (300-W), COFW 29, AFLW 19 (Zhu et al.), WFLW 98.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError

Contour = tuple[tuple[int, ...], bool]  # indices in drawing order, closed or open


@dataclass(frozen=True)
class Scheme:
    """A landmark layout of `size` points."""

    name: str
    size: int
    flip: NDArray[np.intp] = field(repr=False)
    contours: dict[str, Contour] = field(repr=False)
    normalisers: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(repr=False)

    def point_names(self) -> list[str]:
        """A name for each landmark: its first contour and its place on it, e.g. "jaw 0"."""
        names = [f"point {i}" for i in range(self.size)]
        for contour, (indices, _) in reversed(self.contours.items()):
            for place, index in enumerate(indices):
                names[index] = f"{contour} {place}"
        return names


def _flip(size: int, *chains: str) -> NDArray[np.intp]:
    """Permutation from chains "a-b:c-d": a…b are the mirror images of c…d, one by one."""
    permutation = np.arange(size)
    for chain in chains:
        left, right = (_run(part) for part in chain.split(":"))
        permutation[left], permutation[right] = right, left
    permutation.setflags(write=False)
    return permutation


def _run(text: str) -> list[int]:
    first, _, last = text.partition("-")
    start, stop = int(first), int(last or first)
    step = 1 if stop >= start else -1
    return list(range(start, stop + step, step))


def _line(*runs: str) -> Contour:
    return tuple(i for run in runs for i in _run(run)), False


def _loop(*runs: str) -> Contour:
    return tuple(i for run in runs for i in _run(run)), True


IBUG68 = Scheme(
    "ibug68",
    68,
    _flip(68, "0-7:16-9", "17-21:26-22", "31-32:35-34", "36-39:45-42", "40-41:47-46",
          "48-50:54-52", "55-56:59-58", "60-61:64-63", "65:67"),
    {
        "jaw": _line("0-16"),
        "right brow": _line("17-21"),
        "left brow": _line("22-26"),
        "nose bridge": _line("27-30"),
        "nose base": _line("31-35"),
        "right eye": _loop("36-41"),
        "left eye": _loop("42-47"),
        "outer lips": _loop("48-59"),
        "inner lips": _loop("60-67"),
    },
    {
        "inter-ocular": ((36,), (45,)),
        "inter-pupil": (tuple(range(36, 42)), tuple(range(42, 48))),
    },
)  # fmt: skip

COFW29 = Scheme(
    "cofw29",
    29,
    _flip(29, "0:1", "2:3", "4:6", "5:7", "8:9", "10:11", "12:14", "13:15", "16:17", "18:19",
          "22:23"),
    {
        "right brow": ((0, 4, 2, 5), True),
        "left brow": ((1, 6, 3, 7), True),
        "right eye": ((8, 12, 10, 13), True),
        "left eye": ((9, 14, 11, 15), True),
        "right pupil": ((16,), False),
        "left pupil": ((17,), False),
        "nose": ((18, 20, 19, 21), True),
        "upper lip": ((22, 24, 23, 25), True),
        "lower lip": ((22, 26, 23, 27), True),
        "chin": ((28,), False),
    },
    {"inter-ocular": ((8,), (9,)), "inter-pupil": ((16,), (17,))},
)  # fmt: skip

AFLW19 = Scheme(
    "aflw19",
    19,
    _flip(19, "0-2:5-3", "6-8:11-9", "12:14", "15:17"),
    {
        "right brow": _line("0-2"),
        "left brow": _line("3-5"),
        "right eye": _line("6-8"),
        "left eye": _line("9-11"),
        "nose": _line("12-14"),
        "mouth": _line("15-17"),
        "chin": _line("18"),
    },
    {"inter-ocular": ((6,), (11,)), "inter-pupil": ((7,), (10,))},
)

WFLW98 = Scheme(
    "wflw98",
    98,
    _flip(98, "0-15:32-17", "33-37:46-42", "38-41:50-47", "55-56:59-58", "60-64:72-68",
          "65-67:75-73", "76-78:82-80", "83-84:87-86", "88-89:92-91", "93:95", "96:97"),
    {
        "jaw": _line("0-32"),
        "right brow": _loop("33-41"),
        "left brow": _loop("42-50"),
        "nose bridge": _line("51-54"),
        "nose base": _line("55-59"),
        "right eye": _loop("60-67"),
        "left eye": _loop("68-75"),
        "outer lips": _loop("76-87"),
        "inner lips": _loop("88-95"),
        "right pupil": _line("96"),
        "left pupil": _line("97"),
    },
    {"inter-ocular": ((60,), (72,)), "inter-pupil": ((96,), (97,))},
)  # fmt: skip

_BY_SIZE = {scheme.size: scheme for scheme in (IBUG68, COFW29, AFLW19, WFLW98)}


def scheme_of(size: int) -> Scheme:
    """The scheme with this many landmarks (19, 29, 68 or 98); InputError for any other."""
    if size not in _BY_SIZE:
        known = ", ".join(f"{n} ({s.name})" for n, s in sorted(_BY_SIZE.items()))
        raise InputError(f"no landmark scheme has {size} points; known are {known}")
    return _BY_SIZE[size]
