"""Facial landmarks that know what they cannot see: 68 points, each with its visibility.

Examples:
    >>> from aadn import Landmarker
    >>> Landmarker()("examples/astronaut.jpg")
    Faces(1 face, ibug68; 3 of 68 landmarks hidden)

Importing it needs NumPy, OpenCV and Pillow only; ONNX Runtime is loaded with the first model.
"""

from aadn.errors import (
    AadnError,
    AnnotationError,
    ImageError,
    InputError,
    MissingDependencyError,
    NetworkError,
    OutputError,
    WeightsError,
)
from aadn.faces import Face, Faces
from aadn.images import load_image
from aadn.inference.detectors import default_detector
from aadn.inference.face_detector import FaceDetector
from aadn.inference.landmarker import Landmarker, Result
from aadn.media.draw import draw
from aadn.schemes import Scheme
from aadn.tracking.tracker import Tracker

__version__ = "0.2.0"

__all__ = [
    "AadnError",
    "AnnotationError",
    "Face",
    "FaceDetector",
    "Faces",
    "ImageError",
    "InputError",
    "Landmarker",
    "MissingDependencyError",
    "NetworkError",
    "OutputError",
    "Result",
    "Scheme",
    "Tracker",
    "WeightsError",
    "__version__",
    "default_detector",
    "draw",
    "load_image",
]
