"""Facial landmarks that know what they cannot see: 68 points, each with its visibility.

>>> from aadn import Landmarker
>>> faces = Landmarker()("photo.jpg")  # doctest: +SKIP

Importing it needs numpy and OpenCV only; ONNX Runtime is loaded with the first model.
"""

from aadn.errors import AadnError
from aadn.faces import Face, Faces
from aadn.images import load_image
from aadn.inference.landmarker import Landmarker
from aadn.media.draw import draw

__version__ = "0.1.0"

__all__ = ["AadnError", "Face", "Faces", "Landmarker", "__version__", "draw", "load_image"]
