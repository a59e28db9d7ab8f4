"""What the verbs share: how they print, and what they look at before any work."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, TextIO

import tyro

from aadn.errors import AadnError, MissingDependencyError, OutputError

if TYPE_CHECKING:
    from aadn.data.release import Benchmark


class UsageError(AadnError):
    """The arguments do not go together."""

    exit_code = 2


class Verb(Protocol):
    """A command with its options."""

    def run(self) -> int:
        """Do it; the exit code. Raises AadnError for what the user can do something about."""


STDOUT = Path("/dev/stdout")


def output(path: Path | None) -> Path | None:
    """Where to write; "-" is STDOUT."""
    return STDOUT if path == Path("-") else path


Folders = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER…")]


def tell(line: str, stream: TextIO | None = None) -> None:
    """Print a line on stderr, or another stream, above a progress bar if there is one."""
    if "tqdm" not in sys.modules:  # no bar, and none is needed to print
        print(line, file=stream or sys.stderr)
        return
    from tqdm import tqdm

    # Without tqdm's lock: Ctrl-C while that is taken would end in its RuntimeError.
    tqdm.write(line, file=stream or sys.stderr, nolock=True)


def complain(message: str) -> None:
    """Print an error or a warning, on stderr."""
    tell(f"aadn: {plain(message, keep=chr(10))}")


def plain(text: str, keep: str = "") -> str:
    """Text for a terminal: control characters of a file's name are escaped, but those to keep."""
    return "".join(
        repr(c)[1:-1] if c not in keep and (c < " " or "\x7f" <= c < "\xa0") else c for c in text
    )


@contextmanager
def needs_torch(what: str, extras: str = "train") -> Iterator[None]:
    """Around imports that need PyTorch; raises MissingDependencyError where it is not installed.

    `extras` are all that the verb needs, so that they are asked for at once.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").startswith("aadn"):  # a fault of ours
            raise
        raise MissingDependencyError(
            f"{what} needs {error.name or 'PyTorch'}: pip install '.[{extras}]'"
        ) from None


def check_data(benchmark: Benchmark | None, data: Path | None) -> None:
    """Raise UsageError for a benchmark without its folder, or a folder without its benchmark."""
    if benchmark is None and data is not None:
        raise UsageError("--data is the folder of a --benchmark; name one, see `aadn datasets`")
    if benchmark is not None and data is None:
        from aadn.data.releases import RELEASES

        raise UsageError(f"expected --data, the folder of {RELEASES[benchmark].title}")


def check_writable(path: Path) -> None:
    """Find out before any work that a file cannot be written; raises OutputError.

    Folders that are missing above it will be made when it is written.
    """
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder; give a file's name")
    if not path.exists() or path.is_file():  # no pipe or device, which is there and not replaced
        check_folders([path])


def check_folders(paths: Iterable[Path]) -> None:
    """As `check_writable`, for any number of files: each folder is tried once."""
    tried: set[Path] = set()
    for parent, path in {path.absolute().parent: path for path in paths}.items():
        folder = next(p for p in (parent, *parent.parents) if p.exists())
        if folder in tried:
            continue
        tried.add(folder)
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            reason = error.strerror or error if folder.is_dir() else f"{folder} is a file"
            raise OutputError(f"cannot write {path}: {reason}; choose another place") from None
