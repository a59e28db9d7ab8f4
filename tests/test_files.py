"""Files are written whole or not at all, and only files are replaced."""

import os
import threading
from pathlib import Path

import pytest

from aadn.errors import OutputError
from aadn.files import write_whole


def test_it_makes_folders_and_replaces(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b.txt"
    write_whole(file, "one")
    write_whole(file, b"two")
    assert file.read_text() == "two"
    assert list(file.parent.iterdir()) == [file]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_whole(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, "text")
    reader.join(10)
    assert got == ["text"]
    assert pipe.is_fifo()


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_whole(tmp_path, "text")
    assert list(tmp_path.iterdir()) == []
