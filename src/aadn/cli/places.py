"""Where `detect` writes what it finds in each picture, planned before any work.

All of it takes time in proportion to the number of pictures.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from aadn.cli.common import STDOUT, UsageError, check_folders, check_writable
from aadn.errors import OutputError
from aadn.images import SUFFIXES as PICTURES

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""What is drawn into keeps one of these formats (lower case); others become PNG."""

STDIN = Path("/dev/stdin")


@dataclass(frozen=True)
class Labels:
    """Where a picture's `.pts` files go; paths without that suffix.

    Attributes:
        single: of a picture with one face.
        several: of one with more, before "_1", "_2", …; another than `single` where the names so
            made could be another picture's.
    """

    single: Path
    several: Path

    def files(self, faces: int) -> list[Path]:
        """The files of a picture with so many faces."""
        if faces == 1:
            return [_pts(self.single)]
        return [_pts(self.several, f"_{number}") for number in range(1, faces + 1)]


@dataclass(frozen=True)
class Place:
    """Where the results of one picture go; None for what is not asked for.

    Attributes:
        drawn: the file to draw into, or STDOUT.
        labels: the place of the `.pts` files.
        older: `.pts` files of the picture that are there, for these to replace, see `replacing`.
    """

    drawn: Path | None = None
    labels: Labels | None = None
    older: tuple[Path, ...] = ()


def plan(
    pictures: Sequence[Path], several: bool, out: Path | None, pts: Path | None
) -> dict[Path, Place]:
    """For each picture its place.

    Args:
        pictures: each once.
        several: whether folders are made for them, for there may be more than one.
        out: where to draw: a file, a folder, or STDOUT.
        pts: a folder for `.pts` files, or one such file.

    Raises UsageError or OutputError where the names do not fit.
    """
    drawn, labels = _drawn(pictures, several, out), _labels(pictures, several, pts)
    return {p: Place(drawn.get(p), labels.get(p)) for p in pictures}


def check(places: dict[Path, Place], files: Iterable[Path]) -> None:
    """Look before any work whether everything can be written: the places, and some other files.

    Raises UsageError where two results have the same file, and OutputError for one that is a
    picture itself or cannot be written.
    """
    others = list(files)
    named = [path for path in _files(places.values()) if path != STDOUT]
    real = _real_path()
    targets = [(path, real(path)) for path in (*others, *named)]
    counts = Counter(target for _, target in targets)
    if twice := next((target for target, count in counts.items() if count > 1), None):
        raise UsageError(f"two results would be written to {twice}; name another file")
    originals = set(map(real, places))
    if same := next((path for path, target in targets if target in originals), None):
        raise OutputError(f"cannot write {same}: that is the picture itself; choose another place")
    for path in others:
        check_writable(path)
    check_folders(named)


def existing(places: dict[Path, Place]) -> dict[Path, Path]:
    """The pictures that have `.pts` files where theirs would be written, each with the first."""
    names_in = _names_in()
    found = {}
    for picture, place in places.items():
        if place.labels is None:
            continue
        single, several = place.labels.single, place.labels.several
        if f"{single.name}.pts" in names_in(single.parent).names:
            found[picture] = _pts(single)
        elif numbers := names_in(several.parent).numbered.get(several.name):
            found[picture] = _pts(several, numbers[0])
    return found


def replacing(places: dict[Path, Place]) -> dict[Path, Place]:
    """The places, each with the `.pts` files that are there by one of its picture's names.

    Not with those that may be another picture's: `x_1.pts` is that of `x_1.jpg`, where that lies
    beside the picture or beside the file, and all of `x.png` and `x.jpg` may be either's.
    """
    names_in = _names_in()

    def older(picture: Path, place: Place) -> Iterable[Path]:
        if place.labels is None:
            return
        mine = {picture.name, place.drawn and place.drawn.name}
        for stem in dict.fromkeys((place.labels.single, place.labels.several)):
            here, beside = names_in(stem.parent), names_in(picture.parent)
            for number in ("", *here.numbered.get(stem.name, ())):
                file = _pts(stem, number)
                names = (stem.name, file.stem)
                owners = {p for n in names for p in (*here.pictures(n), *beside.pictures(n))}
                if file.name in here.names and owners <= mine:
                    yield file

    return {p: replace(place, older=tuple(older(p, place))) for p, place in places.items()}


def still_to_do(places: dict[Path, Place]) -> dict[Path, Place]:
    """Those of which a file is missing, each with what is missing; STDOUT always is."""
    names_in = _names_in()

    def there(path: Path) -> bool:
        return path.name in names_in(path.parent).names

    left = {}
    for picture, place in places.items():
        drawn, labels = place.drawn, place.labels
        if drawn not in (None, STDOUT) and there(drawn):
            place = replace(place, drawn=None)
        # Of several faces the first is written last: then all of them are there.
        if labels is not None and any(there(labels.files(count)[0]) for count in (1, 2)):
            place = replace(place, labels=None)
        if place != Place():
            left[picture] = place
    return left


def _drawn(pictures: Sequence[Path], several: bool, out: Path | None) -> dict[Path, Path]:
    """For each picture the file to draw it into."""
    if out is None:
        return {}
    if several or out.is_dir():
        if out == STDOUT:
            raise UsageError("only the drawing of one picture goes to standard output")
        _check_folder(out, "--out", SUFFIXES)
        below = _below(out, pictures)
        return {p: _as_picture(place) for p, place in below.items()}
    if out != STDOUT and out.suffix.lower() not in SUFFIXES:
        raise OutputError(
            f"cannot write {out}: expected a name that ends in {', '.join(sorted(SUFFIXES))}, or "
            "an existing folder"
        )
    return dict.fromkeys(pictures, out)


def _labels(pictures: Sequence[Path], several: bool, pts: Path | None) -> dict[Path, Labels]:
    """For each picture the place of its `.pts` files."""
    if pts is None:
        return {}
    if not several and pts.suffix.lower() == ".pts" and not pts.is_dir():
        stem = pts.with_suffix("")
        return dict.fromkeys(pictures, Labels(stem, stem))
    if several:
        _check_folder(pts, "--pts", {".pts"})
    whole = _below(pts, pictures)
    plain = {p: place.with_suffix("") for p, place in whole.items()}
    count = Counter(plain.values())
    single = {p: stem if count[stem] == 1 else whole[p] for p, stem in plain.items()}
    numbered = {stem.with_name(match[1]) for stem in count if (match := _NUMBERED(stem.name))}
    return {p: Labels(s, whole[p] if s in numbered else s) for p, s in single.items()}


_NUMBERED: Callable[[str], re.Match[str] | None] = re.compile(
    r"(.+)(_[1-9][0-9]*)", re.DOTALL
).fullmatch


def _check_folder(path: Path, option: str, suffixes: Iterable[str]) -> None:
    """Raise OutputError for a place of several pictures that is a file, or called like one."""
    if path.is_dir():
        return
    if path.exists():
        raise OutputError(f"{option} {path}: is a file; expected a folder for several pictures")
    if path.suffix.lower() in suffixes:
        raise OutputError(
            f"{option} {path}: is the name of one file; expected a folder for several pictures "
            "(one that is there may have any name)"
        )


def _below(folder: Path, pictures: Sequence[Path]) -> dict[Path, Path]:
    """Each picture's place in the folder, laid out as below the pictures' common folder."""
    files = {p: Path(os.path.abspath(p)) for p in pictures if p != STDIN}  # noqa: PTH100 (no "..")
    below = {}
    if files:
        root = Path(os.path.commonpath({file.parent for file in files.values()}))
        below = {p: folder / file.relative_to(root) for p, file in files.items()}
    return {p: below.get(p, folder / STDIN.name) for p in pictures}


def _as_picture(path: Path) -> Path:
    """The path, with .png behind it if its format is not written."""
    return path if path.suffix.lower() in SUFFIXES else path.with_name(f"{path.name}.png")


def _pts(stem: Path, number: str = "") -> Path:
    return stem.with_name(f"{stem.name}{number}.pts")


def _files(places: Iterable[Place]) -> Iterable[Path]:
    """The files of some places, as far as they are known before the faces are counted."""
    for place in places:
        if place.drawn is not None:
            yield place.drawn
        if place.labels is not None:
            yield place.labels.files(1)[0]


def _real_path() -> Callable[[Path], str]:
    """What gives a file's path with no symbolic link; a folder's is looked up once."""
    folder = cache(os.path.realpath)

    def real(path: Path) -> str:
        whole = os.path.join(folder(path.parent), path.name)  # noqa: PTH118
        return os.path.realpath(whole) if os.path.islink(whole) else whole  # noqa: PTH114

    return real


@dataclass(frozen=True)
class _Names:
    """The names in a folder, and for each stem S of files S_1.pts, S_2.pts, … the "_1", "_2", …"""

    names: frozenset[str]
    numbered: dict[str, list[str]]

    def pictures(self, name: str) -> Sequence[str]:
        """The pictures that have this name, with or without its suffix."""
        return self._pictures.get(name, ())

    @cached_property
    def _pictures(self) -> dict[str, list[str]]:
        pictures: dict[str, list[str]] = {}
        for name in self.names:
            stem, suffix = os.path.splitext(name)  # noqa: PTH122
            if suffix.lower() in PICTURES:
                pictures.setdefault(stem, []).append(name)
                pictures.setdefault(name, []).append(name)
        return pictures


def _names_in() -> Callable[[Path], _Names]:
    """What lists a folder; each is read once. One that is not there has no names."""

    @cache
    def names_in(folder: Path) -> _Names:
        try:
            names = frozenset(os.listdir(folder))  # noqa: PTH208
        except OSError:
            names = frozenset()
        stems = sorted(name.removesuffix(".pts") for name in names if name.endswith(".pts"))
        numbered: dict[str, list[str]] = {}
        for match in filter(None, map(_NUMBERED, stems)):
            numbered.setdefault(match[1], []).append(match[2])
        return _Names(names, numbered)

    return names_in
