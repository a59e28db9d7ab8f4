"""Files are written whole or not at all, and only files are replaced."""

import os
import subprocess
import sys
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


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_standard_streams_keep_what_was_written_before(tmp_path: Path, stream: str) -> None:
    code = (
        "import sys; from pathlib import Path; from aadn.files import write_whole;"
        f"print('before', file=sys.{stream});"
        f"write_whole(Path('/dev/{stream}'), 'whole\\n'); print('after', file=sys.{stream})"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # to a pipe
    assert getattr(done, stream) == "before\nwhole\nafter\n"
    with (tmp_path / "out.txt").open("w") as out:
        subprocess.run(command, check=True, **{stream: out})  # type: ignore[call-overload]
    assert (tmp_path / "out.txt").read_text() == "before\nwhole\nafter\n"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("mask", "mode"), [("022", 0o644), ("077", 0o600), ("002", 0o664)])
def test_permissions_follow_the_umask(tmp_path: Path, mask: str, mode: int) -> None:
    file = tmp_path / "a.txt"
    code = (
        "from pathlib import Path; from aadn.files import write_whole;"
        f"write_whole(Path({str(file)!r}), '')"
    )
    shell = f'umask {mask} && "$0" -c "$1"'
    subprocess.run(["sh", "-c", shell, sys.executable, code], check=True)
    assert file.stat().st_mode & 0o777 == mode


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    write_whole(tmp_path / ("a" * 255), "text")
    assert [len(file.name) for file in tmp_path.iterdir()] == [255]
    with pytest.raises(OutputError, match="cannot write"):
        write_whole(tmp_path / ("a" * 256), "text")
    assert len(list(tmp_path.iterdir())) == 1


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").write_text("old")
    before = sorted(tmp_path.iterdir())
    for name in ("a\0b", "loop", "file/below"):
        with pytest.raises(OutputError, match="choose another place"):
            write_whole(tmp_path / name, "text")
    assert sorted(tmp_path.iterdir()) == before


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_whole(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_whole(tmp_path, "text")
    assert list(tmp_path.iterdir()) == []
