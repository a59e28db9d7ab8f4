"""What the tests of `aadn detect` share: pictures with as many faces as they say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from aadn.cli.main import main
from aadn.images import Copy
from aadn.inference import landmarker

FloatArray = NDArray[np.float64]


def read_by(monkeypatch: pytest.MonkeyPatch, read: Callable[..., NDArray[np.uint8]]) -> None:
    """Let a Landmarker read pictures by a function."""
    monkeypatch.setattr(landmarker, "load_image", read)
    monkeypatch.setattr(
        landmarker, "load_copy", lambda source, longest, **options: Copy(read(source, **options))
    )


def find(image: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """A detector: as many faces as the picture's first pixel says (its red, in forties)."""
    count = int(image[0, 0, 0]) // 40
    boxes = np.array([[10.0 * i, 5, 10 * i + 60, 70] for i in range(count)]).reshape(-1, 4)
    return boxes, np.linspace(0.9, 0.8, count)


def picture(path: Path, faces: int = 1) -> Path:
    """Write one with so many faces for `find`."""
    image = np.full((90, 120, 3), 100, np.uint8)
    image[:8, :8] = (40 * faces + 20, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[:, :, ::-1])
    return path


def run(capsys: Any, *arguments: Any) -> tuple[int, Any, Any]:
    """Exit code, stdout and stderr of a command line in this process, as `capsys` has them."""
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def process(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
    """A command line in a process of its own, with the real detector."""
    return subprocess.Popen(
        [sys.executable, "-m", "aadn", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip
