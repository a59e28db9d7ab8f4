"""A picture as the bytes of a file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from aadn.errors import OutputError


def encode(image: NDArray[np.uint8], path: Path, *, quality: int = 95) -> bytes:
    """The content of a picture's file in the format that the path's suffix names.

    Args:
        image: (H, W, 3) uint8 RGB.
        path: of the file, which is not written.
        quality: of a JPEG, up to 100.

    Raises:
        OutputError: the picture cannot be written in that format.
    """
    jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if jpeg else []
    try:
        done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    except cv2.error:
        done = False
    if not done:
        raise OutputError(
            f"{path}: a picture of {image.shape[1]}×{image.shape[0]} pixels cannot be written in "
            "this format; use .png"
        )
    return data.tobytes()
