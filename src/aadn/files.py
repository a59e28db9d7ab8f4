"""Writing files whole or not at all, and removing them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sys
from pathlib import Path

from aadn.errors import OutputError


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name beside it, then rename it.

    Whoever reads `path` sees the old content or the new, never a part. Missing folders above it
    are made. A symbolic link stays one, and the file that it names is written; a pipe, a device,
    /dev/stdout and /dev/stderr are written to. Raises OutputError if it cannot be written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = None
    try:
        if str(path) in _STREAMS:
            _write_to(_STREAMS[str(path)], data)
            return
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe, a device
            path.write_bytes(data)
            return
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = beside(path)
        with temporary.open("xb") as file:  # with the permissions that any new file gets
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, ValueError, RuntimeError) as error:  # a null character; a loop of links
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot write {path}: {reason}; choose another place") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def beside(path: Path) -> Path:
    """A new name in a file's folder, with its suffix, for what is renamed when it is whole."""
    return path.with_name(f".aadn-{secrets.token_hex(8)}{path.suffix}")


def sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal digits; OSError if it cannot be read."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def remove(path: Path) -> None:
    """Remove a file if it is there; OutputError if it cannot be removed."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot remove {path}: {error.strerror or error}; choose another folder"
        ) from None


_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
"""To open these anew would empty the file that the shell sends them to."""


def _write_to(descriptor: int, data: bytes) -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
