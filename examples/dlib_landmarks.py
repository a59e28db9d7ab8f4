"""A script as those for dlib are: find faces, predict their landmarks, print a few of them.

    python examples/dlib_landmarks.py examples/*.jpg

Two lines differ from dlib's: the import, and that no model's file is named.
"""

import sys

import aadn.dlib as dlib  # import dlib

detector = dlib.get_frontal_face_detector()
predictor = dlib.shape_predictor()  # dlib.shape_predictor("shape_predictor_68_face_landmarks.dat")

for path in sys.argv[1:]:
    image = dlib.load_rgb_image(path)
    boxes = detector(image, 1)
    print(f"{path}: {len(boxes)} faces")
    for number, box in enumerate(boxes):
        print(f"  {number}: from ({box.left()}, {box.top()}) to ({box.right()}, {box.bottom()})")
        shape = predictor(image, box)
        chin, nose = shape.part(8), shape.part(30)
        print(f"     chin at ({chin.x}, {chin.y}), nose at ({nose.x}, {nose.y})")
