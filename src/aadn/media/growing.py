"""Files that grow by one entry at a time, and are whole after each."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from aadn.errors import OutputError
from aadn.files import write_whole


@dataclass(frozen=True)
class Frame:
    """What stands before all entries of a file, between two of them, and after the last."""

    head: bytes = b""
    between: bytes = b""
    tail: bytes = b""


class Growing(Protocol):
    """Where entries are added, one after the other."""

    def add(self, entry: bytes) -> None:
        """Add one; it is out of this process when the call ends. OutputError if that fails."""

    def close(self) -> None:
        """Nothing more comes; without an entry, head and tail are written now.

        OSError or OutputError if that fails.
        """


class GrowingFile:
    """A file that is whole after each entry, whatever becomes of the process.

    An older file stays until the first entry, or `close` without one, replaces it in one step. Each
    further entry is a single write over the tail, of that entry alone, so that the whole costs as
    much as its size. After a failed write the file holds what was added before.
    """

    def __init__(self, path: Path, frame: Frame, kept: int | None = None) -> None:
        """Nothing is written yet.

        With `kept`, an older file is gone on with: so many of its bytes, head and entries, stay,
        and what follows them is cut off. OutputError if it cannot be opened.
        """
        self._path, self._frame = path, frame
        self._file: io.FileIO | None = None
        self._begun = kept is not None  # whether the file is ours by now, or could not be made
        self._end = kept or 0  # where the tail begins
        if kept is not None:
            try:
                self._file = path.open("r+b", buffering=0)
                self._extend(self._file, b"")
                self._file.truncate()
            except OSError as error:
                raise OutputError(f"cannot write {path}: {error.strerror or error}") from None

    def add(self, entry: bytes) -> None:
        """Add one; it is out of this process when the call ends. OutputError if that fails."""
        frame = self._frame
        try:
            if self._file is None:
                self._begin(frame.head + entry + frame.tail)
                self._file = self._path.open("r+b", buffering=0)
                self._end = len(frame.head + entry)
            else:
                self._extend(self._file, frame.between + entry)
        except OSError as error:
            raise OutputError(
                f"cannot write {self._path}: {error.strerror or error}; it holds what was found "
                "before"
            ) from None

    def _begin(self, content: bytes) -> None:
        try:
            write_whole(self._path, content)
        except OutputError:
            self._begun = True
            raise
        self._begun = True

    def _extend(self, file: io.FileIO, more: bytes) -> None:
        tail = self._frame.tail
        try:
            file.seek(self._end)
            _write(file, more + tail)
        except BaseException:  # Ctrl-C too
            with contextlib.suppress(OSError):
                file.seek(self._end)
                _write(file, tail)
                file.truncate()
            raise
        self._end += len(more)

    def close(self) -> None:
        """Nothing more comes; without an entry, head and tail are written now.

        OutputError if that fails; after a first entry that failed it is not tried again.
        """
        if not self._begun:
            self._begin(self._frame.head + self._frame.tail)
        if self._file is not None:
            self._file.close()


class GrowingStream:
    """The same text on a stream, which cannot be gone back on: its tail comes at the end."""

    def __init__(self, stream: BinaryIO, frame: Frame) -> None:
        """Nothing is written yet."""
        self._stream, self._frame = stream, frame
        self._started = self._broken = False

    def add(self, entry: bytes) -> None:
        """Add one; it is out of this process when the call ends. OSError if that fails."""
        self._put((self._frame.between if self._started else self._frame.head) + entry)
        self._started = True

    def close(self) -> None:
        """End the text, also one without entries; the stream stays open."""
        if not self._broken:
            self._put((b"" if self._started else self._frame.head) + self._frame.tail)

    def _put(self, data: bytes) -> None:
        self._broken = True  # until all of it is written
        _write(self._stream, data)
        self._stream.flush()
        self._broken = False


def _write(stream: BinaryIO, data: bytes) -> None:
    """All of it, though a stream without a buffer may take a part at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) :]
