from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aadn.errors import OutputError
from aadn.media import growing
from aadn.media.growing import Frame, GrowingFile, GrowingStream

DOCUMENT = Frame(b'{"images": [\n', b",\n", b"\n]}\n")


def images(path: Path) -> list[int]:
    content: list[int] = json.loads(path.read_bytes())["images"]
    return content


def test_a_document_is_whole_after_each_entry(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.json"
    path.parent.mkdir()
    path.write_text("an older file, which is longer than the first entry")
    file = GrowingFile(path, DOCUMENT)
    assert path.read_text().startswith("an older file")  # until there is something
    for i in range(5):
        file.add(b"%d" % 10**i)
        assert images(path) == [10**k for k in range(i + 1)]
    file.close()
    assert path.read_bytes() == b'{"images": [\n1,\n10,\n100,\n1000,\n10000\n]}\n'
    assert list(path.parent.iterdir()) == [path]


def test_without_an_entry_the_file_is_an_empty_document(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("an older file")
    file = GrowingFile(path, DOCUMENT)
    assert path.read_text() == "an older file"
    file.close()
    assert path.read_bytes() == b'{"images": [\n\n]}\n'


@pytest.mark.parametrize("error", [OutputError("disk full"), KeyboardInterrupt()])
def test_a_first_entry_that_fails(
    tmp_path: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text("an older file")
    file = GrowingFile(path, DOCUMENT)

    def fail(path: Path, content: bytes) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(growing, "write_whole", fail)
        with pytest.raises(type(error)):
            file.add(b"1")
    file.close()
    # An error has been said, and is not followed by a second try; Ctrl-C ends a run like any other.
    said = isinstance(error, OutputError)
    assert path.read_bytes() == (b"an older file" if said else b'{"images": [\n\n]}\n')


def test_an_entry_costs_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0
    write = growing._write

    def count(stream: BinaryIO, data: bytes) -> None:
        nonlocal written
        written += len(data)
        write(stream, data)

    monkeypatch.setattr(growing, "_write", count)
    file = GrowingFile(tmp_path / "a.json", DOCUMENT)
    for _ in range(1000):
        file.add(b"1" * 100)
    file.close()
    assert written == 999 * (100 + len(DOCUMENT.between) + len(DOCUMENT.tail))
    assert len(images(tmp_path / "a.json")) == 1000


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("part", [0, 1, 3, 100])
def test_a_write_that_fails_midway_takes_nothing(
    tmp_path: Path, error: BaseException, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    file = GrowingFile(path, DOCUMENT)
    file.add(b"1")
    file.add(b"2")
    before, write, failing = path.read_bytes(), growing._write, [True]

    def fail(stream: BinaryIO, data: bytes) -> None:
        if failing.pop():
            write(stream, data[:part])
            failing[:] = [False, False]
            raise error
        write(stream, data)

    monkeypatch.setattr(growing, "_write", fail)
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt) as raised:
        file.add(b"3" * 50)
    assert path.read_bytes() == before
    if isinstance(error, OSError):
        assert str(raised.value) == (
            f"cannot write {path}: No space left on device; it holds what was found before"
        )
    file.add(b"4")  # there is room again
    assert images(path) == [1, 2, 4]
    file.close()


class Parts(io.BytesIO):
    """A stream that takes three bytes at a time."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return super().write(data[:3])


@given(st.lists(st.binary(max_size=20), max_size=5), *[st.binary(max_size=9)] * 3)
def test_a_stream_has_the_same_text(
    entries: list[bytes], head: bytes, between: bytes, tail: bytes
) -> None:
    stream = Parts()
    whole = GrowingStream(stream, Frame(head, between, tail))
    for entry in entries:
        whole.add(entry)
    whole.close()
    assert stream.getvalue() == head + between.join(entries) + tail


def test_a_broken_stream_is_not_written_again() -> None:
    class Broken(io.BytesIO):
        calls = 0

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.calls += 1
            raise BrokenPipeError

    stream = Broken()
    whole = GrowingStream(stream, DOCUMENT)
    with pytest.raises(BrokenPipeError):
        whole.add(b"1")
    whole.close()
    assert stream.calls == 1


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link, target = tmp_path / "link.json", tmp_path / "target.json"
    link.symlink_to(target)
    file = GrowingFile(link, DOCUMENT)
    file.add(b"1")
    file.add(b"2")
    file.close()
    assert link.is_symlink()
    assert images(target) == [1, 2]


def test_a_reader_beside_it_sees_only_whole_lines(tmp_path: Path) -> None:
    path, done = tmp_path / "a.jsonl", threading.Event()
    file = GrowingFile(path, Frame())
    file.add(b"{}\n")
    seen: list[bytes] = []

    def read() -> None:
        while not done.is_set():
            seen.append(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(200):
        file.add(b'{"i": %d}\n' % i)
    done.set()
    reader.join()
    file.close()
    assert seen
    assert all(text.endswith(b"}\n") for text in seen)
