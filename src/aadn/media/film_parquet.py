"""A film's table as Parquet, by PyArrow (extra `[parquet]`)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aadn.errors import MissingDependencyError, OutputError
from aadn.faces import Faces
from aadn.files import beside
from aadn.media.film_results import COLUMNS, film_rows

ROWS = 100_000
"""Rows that are written at a time, some forty megabytes of memory (our choice)."""

_WHOLE, _WORDS = ("frame", "face", "landmark"), ("name", "state")
"""Columns of whole numbers and of words; all others are of floats."""


class FilmParquet:
    """The rows of `film_rows` in a Parquet file, with COLUMNS, None where nothing is known.

    It is written beside its place and moved there by `close`: a Parquet file has its table of
    contents at its end.
    """

    def __init__(self, path: Path) -> None:
        """Begin; MissingDependencyError without PyArrow, OutputError if it cannot be written."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise MissingDependencyError(
                "Parquet files are written by PyArrow: pip install 'aadn[parquet]'"
            ) from None
        self._path = path
        self._rows: list[Sequence[Any]] = []
        self._broken = False
        self._temporary = beside(path)
        types = {name: pyarrow.int64() for name in _WHOLE} | {
            name: pyarrow.string() for name in _WORDS
        }
        self._schema = pyarrow.schema(
            [(name, types.get(name, pyarrow.float64())) for name in COLUMNS]
        )
        self._table = pyarrow.table
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pyarrow.parquet.ParquetWriter(self._temporary, self._schema)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from None

    def add(self, index: int, time: float, faces: Faces) -> None:
        """Add a frame's rows; OutputError if they cannot be written."""
        self._rows += film_rows(index, time, faces)
        if len(self._rows) >= ROWS:
            self._write()

    def _write(self) -> None:
        columns = dict(zip(COLUMNS, zip(*self._rows, strict=True), strict=True))
        try:
            self._writer.write_table(self._table(columns, schema=self._schema))
        except OSError as error:
            self._broken = True
            raise OutputError(f"cannot write {self._path}: {error.strerror or error}") from None
        self._rows = []

    def close(self) -> None:
        """Write what is left, and move the file to its place; OutputError if that fails.

        After a part that could not be written there is no file, and an older one stays.
        """
        try:
            if self._rows and not self._broken:
                self._write()
            self._writer.close()
            if not self._broken:
                self._temporary.replace(self._path)
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror or error}") from None
        finally:
            with contextlib.suppress(OSError):
                self._temporary.unlink()
