"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from aadn.errors import OutputError


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name beside it, then rename it.

    Whoever reads `path` sees the old content or the new, never a part. Missing folders above it
    are made. Raises OutputError if it cannot be written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = None
    try:
        path = path.resolve()  # through a symbolic link: its target is written
        if path.exists() and not (path.is_file() or path.is_dir()):  # /dev/stdout, a pipe
            path.write_bytes(data)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; choose another place"
        ) from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
