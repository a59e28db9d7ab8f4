"""Write the landmarks of ICT's head model into the package, where `faces.pose` has them.

    python benchmarks/head_points.py ../shared/data/face_model/ict_face.npz

Of the model's 11 248 vertices these are the 68 of iBUG's landmarks: their places on a neutral head,
and what the identities and expressions that are fitted add to them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from aadn.measures.pose import HEAD
from aadn.training.head import EXPRESSIONS, IDENTITIES, HeadModel


def main() -> None:
    """Read the whole model, write its landmarks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    arguments = parser.parse_args()
    head = HeadModel.load(arguments.model).points
    np.savez_compressed(
        HEAD,
        neutral=head.neutral.astype(np.float32),
        modes=head.modes.astype(np.float16),
        names=np.array([f"identity_{i}" for i in range(IDENTITIES)] + list(EXPRESSIONS)),
        identities=IDENTITIES,
    )


if __name__ == "__main__":
    main()
