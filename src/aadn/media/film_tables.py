"""The tables of a film that grow line by line: how each begins, is added to and read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aadn.faces import Faces
from aadn.media.film_results import (
    film_csv,
    film_csv_head,
    film_json,
    openface_csv,
    openface_head,
)
from aadn.media.film_resume import Numbers, csv_numbers, json_numbers, openface_numbers
from aadn.schemes import Scheme


@dataclass(frozen=True)
class FilmTable:
    """A kind of table.

    Attributes:
        head: what it begins with, for faces of a scheme.
        entry: what is added for a frame, by its number and time.
        numbers: how its lines are read.
    """

    head: Callable[[Scheme], bytes]
    entry: Callable[[int, float, Faces], bytes]
    numbers: Numbers


FILM_TABLES: Mapping[str, FilmTable] = {
    "jsonl": FilmTable(lambda _: b"", film_json, json_numbers),
    "csv": FilmTable(lambda _: film_csv_head(), film_csv, csv_numbers),
    "openface": FilmTable(openface_head, openface_csv, openface_numbers),
}
