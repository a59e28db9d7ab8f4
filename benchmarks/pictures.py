"""Draw the README's picture: the example face, covered in four ways, with what the model says.

python benchmarks/pictures.py docs/occluded.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import cv2
import numpy as np

from aadn import Landmarker, draw, load_image
from aadn.files import write_whole
from aadn.occlude import TestOccluder, occlude_picture

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
ZOOM = 3


def main() -> None:
    """Write the picture named on the command line."""
    landmarker = Landmarker()
    picture = load_image(EXAMPLE)[55:215, 150:300]
    picture = np.asarray(cv2.resize(picture, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC))
    clean = landmarker(picture.astype(np.uint8))
    panels = []
    for kind in get_args(TestOccluder):
        covered, _ = occlude_picture(
            picture.astype(np.uint8), clean.points[0], kind, np.random.default_rng(4)
        )
        # The clean picture's box: what is shown is the landmarks, not the detector.
        panels.append(draw(covered, landmarker(covered, boxes=clean.boxes), boxes=False))
    content = cv2.imencode(".jpg", np.hstack(panels)[..., ::-1])[1].tobytes()
    write_whole(Path(sys.argv[1]), content)


if __name__ == "__main__":
    main()
