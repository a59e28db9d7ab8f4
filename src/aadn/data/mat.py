"""MATLAB files of versions 4 to 7, in which several releases keep their labels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from aadn.errors import AnnotationError, MissingDependencyError

_HDF5 = b"\x89HDF\r\n\x1a\n"


def load_mat(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Some variables of a MATLAB file of version 4 to 7, as `scipy.io.loadmat` gives them.

    A file that is cut off is refused; single wrong bytes in one that is not compressed may pass
    unseen or crash scipy, whose reader does not claim to stand them (scipy pull request 25349).

    Args:
        path: the file.
        names: the variables wanted; others are not read.

    Returns:
        name: array, with at least two dimensions as in MATLAB.

    Raises:
        AnnotationError: for a file that is missing, broken, cut off or of version 7.3 (HDF5), and
            for a variable that is not in it.
        MissingDependencyError: without scipy.
    """
    try:
        import scipy.io
    except ImportError:
        raise MissingDependencyError(
            "reading .mat files needs scipy: pip install '.[data]'"
        ) from None
    try:
        with path.open("rb") as file:
            head = file.read(512 + len(_HDF5))
    except OSError as error:
        raise AnnotationError(
            f"{path}: cannot be read ({error.strerror or error}); check the path"
        ) from None
    # MATLAB puts 512 bytes of its own before the HDF5 file.
    if _HDF5 in (head[: len(_HDF5)], head[512:]):
        raise AnnotationError(
            f"{path}: expected a MATLAB file of version 7 or older, got version 7.3 (HDF5); "
            "take the file as it was released"
        )
    # scipy has no exception of its own for broken files: what comes depends on where the file is
    # cut (ValueError, TypeError, OSError, zlib.error, MemoryError, …). What it cannot read right
    # it returns all the same, with a warning, so its warnings must be errors too.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            loaded = scipy.io.loadmat(path, variable_names=list(names))
            missing = [name for name in names if name not in loaded]
            there = [name for name, _, _ in scipy.io.whosmat(path)] if missing else []
    except Exception as error:
        raise AnnotationError(
            f"{path}: expected a MATLAB file with {', '.join(names)}, got one that is broken, cut "
            f"off or of another kind ({type(error).__name__}: {error}); get the file again"
        ) from None
    if missing:
        raise AnnotationError(
            f"{path}: expected the variables {', '.join(names)}; {', '.join(missing)} not found, "
            f"the file has {(', '.join(there) or 'none')[:200]!a}"
        )
    return {name: loaded[name] for name in names}
