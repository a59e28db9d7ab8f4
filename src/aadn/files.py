"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
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
        temporary = path.with_name(f".aadn-{secrets.token_hex(8)}")
        with temporary.open("xb") as file:  # with the permissions that any new file gets
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; choose another place"
        ) from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
