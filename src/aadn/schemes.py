"""Landmark schemes as data: names, contours, mirror images, normalisers and groups of points.

Indices count from 0. `flip[i]` is the index that landmark i takes in the mirrored picture. A
normaliser is a pair of index groups: the length is the distance between the two groups' means.
Sources: iBUG 68 (300-W), COFW 29, AFLW 19 (Zhu et al.), WFLW 98. A scheme of one's own is a small
TOML file, see `read_scheme`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aadn.errors import InputError

Contour = tuple[tuple[int, ...], bool]
"""Indices in drawing order; closed or open."""

Pair = tuple[tuple[int, ...], tuple[int, ...]]
"""Two groups of indices."""

Normaliser = Literal["inter-ocular", "inter-pupil", "box", "diagonal", "width"]
"""What errors are divided by, see `aadn.evaluation.metrics.normalisers`."""

OF_POINTS: tuple[Normaliser, ...] = ("inter-ocular", "inter-pupil")
"""The normalisers that a scheme defines; the others are those of any box."""

GROUPS = ("right eye", "left eye", "mouth", "jaw")
"""The groups of points that something here looks for, right and left as the person has them. The
jaw goes from the right ear to the left."""

MOST_POINTS = 10_000
"""Points of a scheme at most: far more than any has, so that a slip of the pen fills no memory."""


@dataclass(frozen=True, eq=False)
class Scheme:
    """A landmark layout of `size` points. Schemes with the same content are equal.

    Attributes:
        name: what files and options call it.
        size: L, the number of points.
        flip: (L,) which landmark each becomes in the mirrored picture.
        contours: name to line, for drawing.
        normalisers: those of OF_POINTS that it has; the first is the usual one.
        groups: those of GROUPS that it has. Occluders are fitted by the eyes and the mouth, masks
            by the jaw; without them, by the box.
        names: of the points; by contour and place where there are none.

    Examples:
        >>> from aadn.schemes import IBUG68
        >>> IBUG68.size, IBUG68.normaliser, IBUG68.point_names()[30]
        (68, 'inter-ocular', 'nose bridge 3')
    """

    name: str
    size: int
    flip: NDArray[np.intp] = field(repr=False)
    contours: Mapping[str, Contour] = field(repr=False)
    normalisers: Mapping[str, Pair] = field(repr=False)
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    names: tuple[str, ...] = field(default=(), repr=False)

    @property
    def normaliser(self) -> Normaliser:
        """What errors are usually divided by: its first normaliser, or the box."""
        return next((kind for kind in OF_POINTS if kind in self.normalisers), "box")

    def point_names(self) -> list[str]:
        """A name for each landmark: its own, or its first contour and place on it, "jaw 0"."""
        if self.names:
            return list(self.names)
        names = [f"point {i}" for i in range(self.size)]
        for contour, (indices, _) in reversed(list(self.contours.items())):
            for place, index in enumerate(indices):
                names[index] = f"{contour} {place}"
        return names

    def edges(self) -> list[tuple[int, int]]:
        """Which landmarks its contours join by lines."""
        pairs: list[tuple[int, int]] = []
        for indices, closed in self.contours.values():
            ends = (*indices[1:], indices[0]) if closed else indices[1:]
            pairs += zip(indices, ends, strict=False)
        return pairs

    def to_dict(self) -> dict[str, Any]:
        """Its content as a TOML or JSON file holds it; `of` reads it back."""
        pairs = [[i, int(j)] for i, j in enumerate(self.flip) if i < j]
        return {
            "name": self.name,
            "points": list(self.names) or self.size,
            "flip": pairs,
            "contours": {
                name: {"points": list(indices), "closed": closed}
                for name, (indices, closed) in self.contours.items()
            },
            "normalisers": {
                kind: [list(group) for group in pair] for kind, pair in self.normalisers.items()
            },
            "groups": {name: list(indices) for name, indices in self.groups.items()},
        }

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Scheme:
        """The scheme of a file's content, see `read_scheme`; InputError for what is not one."""
        if not isinstance(content, Mapping):
            raise InputError(f"expected a table of a scheme's entries, got {content!r}")
        known = {"name", "points", "flip", "contours", "normalisers", "groups"}
        if unknown := sorted(set(content) - known):
            raise InputError(f"unknown entry {unknown[0]!r}; expected {', '.join(sorted(known))}")
        name, size = content.get("name"), content.get("points")
        names: tuple[str, ...] = ()
        if not isinstance(name, str) or not name.strip():
            raise InputError('expected a name, name = "…"')
        if isinstance(size, list):
            names, size = tuple(size), len(size)
            if not all(isinstance(n, str) and n for n in names) or len(set(names)) < len(names):
                raise InputError("expected points to be a list of names, each of them once")
        if type(size) is not int or not 1 <= size <= MOST_POINTS:
            raise InputError(
                "expected points, their number or the list of their names, of at most "
                f"{MOST_POINTS} points"
            )
        flip = np.arange(size)
        for pair in _entries(content, "flip", list):
            first, second = _indices(pair, size, "flip", exactly=2)
            if first == second or flip[first] != first or flip[second] != second:
                raise InputError(f"flip: expected each landmark in one pair only, got {pair}")
            flip[first], flip[second] = second, first
        flip.setflags(write=False)
        contours = {
            line: _contour(value, size, f"contours.{line}")
            for line, value in _entries(content, "contours", dict).items()
        }
        normalisers = {}
        for kind, groups in _entries(content, "normalisers", dict).items():
            if kind not in OF_POINTS or not isinstance(groups, list) or len(groups) != 2:
                raise InputError(
                    f"normalisers.{kind}: expected {' or '.join(OF_POINTS)} = [[…], […]], the "
                    "indices of the two places between which it is measured"
                )
            here, there = (_indices(group, size, f"normalisers.{kind}") for group in groups)
            normalisers[kind] = (here, there)
        named = {
            group: _indices(value, size, f"groups.{group}")
            for group, value in _entries(content, "groups", dict).items()
        }
        if unknown := sorted(set(named) - set(GROUPS)):
            raise InputError(f"groups.{unknown[0]}: expected a group of {', '.join(GROUPS)}")
        return cls(name, size, flip, contours, normalisers, named, names)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Scheme) and self.to_dict() == other.to_dict())

    def __hash__(self) -> int:
        return hash((self.name, self.size))


def read_scheme(path: str | Path) -> Scheme:
    """A scheme of one's own from a TOML file. For five points, for example:

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

    `points` may be their number instead of their names; only `name` and `points` must be there.
    Raises InputError, with the file, for one that is missing, broken or no scheme.
    """
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read as a landmark scheme ({reason})") from None
    try:
        return Scheme.of(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _entries(content: Mapping[str, Any], key: str, kind: type) -> Any:
    value = content.get(key, kind())
    if not isinstance(value, kind):
        raise InputError(f"expected {key} to be a {'table' if kind is dict else 'list'}")
    return value


def _indices(value: Any, size: int, where: str, exactly: int | None = None) -> tuple[int, ...]:
    good = isinstance(value, list) and all(type(i) is int and 0 <= i < size for i in value)
    if not good or not value or (exactly is not None and len(value) != exactly):
        what = "indices" if exactly is None else f"{exactly} indices"
        raise InputError(f"{where}: expected a list of {what} from 0 to {size - 1}, got {value}")
    return tuple(value)


def _contour(value: Any, size: int, where: str) -> Contour:
    closed = False
    if isinstance(value, dict) and set(value) <= {"points", "closed"}:
        value, closed = value.get("points"), value.get("closed", False)
    if not isinstance(closed, bool):
        raise InputError(f"{where}: expected closed to be true or false, got {closed!r}")
    return _indices(value, size, where), closed


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
    {
        "right eye": tuple(range(36, 42)),
        "left eye": tuple(range(42, 48)),
        "mouth": tuple(range(48, 60)),
        "jaw": tuple(range(17)),
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
    # The corners are on both lips, and count twice.
    {"right eye": (16,), "left eye": (17,), "mouth": (22, 24, 23, 25, 22, 26, 23, 27)},
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
    {"right eye": (7,), "left eye": (10,), "mouth": (15, 16, 17)},
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
    {
        "right eye": (96,),
        "left eye": (97,),
        "mouth": tuple(range(76, 88)),
        "jaw": tuple(range(33)),
    },
)  # fmt: skip

SCHEMES = {scheme.name: scheme for scheme in (AFLW19, COFW29, IBUG68, WFLW98)}
"""The schemes that are known here, by name."""


def scheme_of(size: int) -> Scheme:
    """The scheme known here that has this many landmarks: 19, 29, 68 or 98.

    For what says nothing but a count. InputError for any other count.
    """
    for scheme in SCHEMES.values():
        if scheme.size == size:
            return scheme
    known = ", ".join(f"{s.size} ({s.name})" for s in SCHEMES.values())
    raise InputError(
        f"no landmark scheme has {size} points; known are {known}. Name your own with --scheme FILE"
    )


def find_scheme(name: str | Path) -> Scheme:
    """A scheme by its name, or that of a TOML file; InputError if it is neither."""
    if str(name) in SCHEMES:
        return SCHEMES[str(name)]
    if Path(name).suffix.lower() != ".toml":
        raise InputError(
            f"--scheme {name}: expected one of {', '.join(SCHEMES)}, or a .toml file that "
            "describes another"
        )
    return read_scheme(name)
