"""How far a film's tables are, so that a run that was stopped goes on behind them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aadn.errors import InputError, OutputError

Numbers = Callable[[bytes], tuple[int, int, int]]
"""From a line to its frame's number, and to the largest number of its faces and how many landmarks
these have at least, 0 without."""


@dataclass(frozen=True)
class Done:
    """What tables have in common.

    Attributes:
        frame: the last frame that is whole in all of them; -1 where there is none.
        face: the largest number of a face up to there; 0 where there is none.
        landmarks: how many faces have; 0 where there is none.
        kept: the bytes of each table up to there, by its file; None for one that is not there.
    """

    frame: int
    face: int
    landmarks: int
    kept: Mapping[Path, int | None]


def done(tables: Mapping[Path, tuple[bytes, Numbers]]) -> Done:
    """How far tables are, each with the head that it begins with and how its lines are read.

    A frame with a line that is cut off does not count. Raises OutputError for a table that cannot
    be read, InputError for one of another form.
    """
    lasts = {path: _last(path, *how) for path, how in tables.items()}
    missing = [path for path in tables if not path.exists()]
    if missing and max(lasts.values()) >= 0:
        raise InputError(
            f"{missing[0]} is not there, but other tables are: --resume goes on with those of the "
            "run that was stopped"
        )
    last = min(lasts.values(), default=-1)
    kept: dict[Path, int | None] = {}
    face = landmarks = 0
    for path, (head, numbers) in tables.items():
        kept[path] = len(head) if path.exists() and path.stat().st_size > 0 else None
        for (frame, largest, size), end in _lines(path, head, numbers):
            if frame <= last:
                kept[path] = end
                face, landmarks = max(face, largest), max(landmarks, size)
    return Done(last, face, landmarks, kept)


def _last(path: Path, head: bytes, numbers: Numbers) -> int:
    """The last whole frame of a table: without a line that is cut off, the last one."""
    last, before, end = -1, -1, len(head)
    for (frame, _, _), end in _lines(path, head, numbers):  # noqa: B007
        if frame != last:
            last, before = frame, last
    cut = path.exists() and path.stat().st_size > end
    return before if cut else last


def _lines(path: Path, head: bytes, numbers: Numbers) -> Iterator[tuple[tuple[int, int, int], int]]:
    """The numbers and the end, in bytes, of each whole line; none of a file that is not there."""
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        with path.open("rb") as file:
            if file.read(len(head)) != head:
                raise InputError(
                    f"{path}: is no table of this form that could be gone on with; choose another "
                    "file, or leave out --resume"
                )
            end = len(head)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                try:
                    found = numbers(line)
                except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                    raise InputError(
                        f"{path}: is no table of this form: {line[:40]!r}; choose another file, or "
                        "leave out --resume"
                    ) from None
                yield found, end
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror or error}") from None


def json_numbers(line: bytes) -> tuple[int, int, int]:
    """Of a line of `film_json`."""
    read = json.loads(line)
    faces = [(int(face["id"]), len(face["points"])) for face in read["faces"]]
    ids, landmarks = zip(*faces, strict=True) if faces else ((0,), (0,))
    return int(read["frame"]), max(ids), max(landmarks)


def csv_numbers(line: bytes) -> tuple[int, int, int]:
    """Of a line of `film_csv`."""
    frame, _, face, landmark, _ = line.split(b",", 4)
    return int(frame), int(face or 0), int(landmark) + 1 if landmark else 0


def openface_numbers(line: bytes) -> tuple[int, int, int]:
    """Of a line of `openface_csv`, whose frames count from 1 and whose faces from 0."""
    frame, face, _ = line.split(b",", 2)
    return int(frame) - 1, int(face) + 1, 0
