"""Environments of other libraries, each in a folder of its own, made once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aadn.errors import AadnError

LIMIT = 3600
"""Seconds that an installation may take."""


class UnavailableError(AadnError):
    """Something cannot be installed or run here; the text says why."""


@dataclass(frozen=True)
class Peer:
    """Another library: what pip installs for it."""

    name: str
    requirements: tuple[str, ...]


MEDIAPIPE = Peer("MediaPipe Face Mesh", ("mediapipe==0.10.21", "ai-edge-litert"))
"""A release that still has `mp.solutions`; its models are in it (Apache-2.0)."""

DLIB = Peer("dlib", ("dlib-bin==20.0.1.post1", "face_recognition_models==0.3.0", "numpy"))
"""The package of dlib's models calls them CC0; their author says that the licence of 300-W keeps
this one out of commercial products."""


def environment(peer: Peer, folder: Path) -> Path:
    """The interpreter of a peer's environment below a folder, made if it is not there yet.

    Raises UnavailableError if that fails.
    """
    home = folder.absolute() / peer.requirements[0].replace("==", "-")
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted, installed = "\n".join(peer.requirements), home / "installed.txt"
    if installed.exists() and installed.read_text("utf-8") == wanted:
        return python
    run([sys.executable, "-m", "venv", "--clear", home])
    run([python, "-m", "pip", "install", "-q", *peer.requirements])
    installed.write_text(wanted, "utf-8")
    return python


def run(command: Sequence[str | Path], limit: float = LIMIT) -> None:
    """Run a command; UnavailableError, with the last line that it wrote, if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"not done after {limit:.0f} s") from None
    except OSError as error:
        raise UnavailableError(f"{command[0]}: {error.strerror or error}") from None
    if done.returncode:
        said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()
        raise UnavailableError(said[-1])
