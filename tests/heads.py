"""A head model to test with: a ball, its landmarks on the side towards the camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aadn.schemes import IBUG68
from aadn.training.head import EXPRESSIONS, IDENTITIES

FLIP = np.array(IBUG68.flip)
BALL = 8.0
"""Centimetres."""


def _frontal() -> NDArray[np.float64]:
    """Where the landmarks lie on the picture of a frontal face, (68, 2), in -1…1, mirror images."""
    rng = np.random.default_rng(0)
    places = rng.uniform(-0.75, 0.75, (68, 2))
    turns = np.linspace(np.pi, 2 * np.pi, 17)
    places[:17] = 0.9 * np.stack([np.cos(turns), np.sin(turns)], 1)
    mirrored = places[FLIP] * [-1, 1]
    return (places + mirrored) / 2


def head_file(path: Path, **changes: NDArray[Any]) -> Path:
    """A head that is a ball, its landmarks on the side towards the camera, with small modes."""
    across, down = np.linspace(-np.pi, np.pi, 49), np.linspace(0.02, np.pi - 0.02, 25)
    turn, tilt = (a.ravel() for a in np.meshgrid(across, down, indexing="ij"))
    ball = np.stack([np.sin(tilt) * np.sin(turn), np.cos(tilt), np.sin(tilt) * np.cos(turn)], 1)
    at = np.arange(len(ball)).reshape(49, 25)
    quads = np.stack([at[:-1, 1:], at[1:, 1:], at[1:, :-1], at[:-1, :-1]], -1).reshape(-1, 4)
    front = _frontal()
    front = np.column_stack([front, np.sqrt(1 - (front**2).sum(1))])
    vertices = BALL * np.concatenate([ball, front])
    rng = np.random.default_rng(1)
    arrays: dict[str, NDArray[Any]] = {
        "neutral": vertices.astype(np.float32),
        "quads": quads.astype(np.int32),
        "identity": rng.normal(0, 0.02, (IDENTITIES + 5, len(vertices), 3)).astype(np.float16),
        "expression": rng.normal(0, 0.02, (len(EXPRESSIONS), len(vertices), 3)).astype(np.float16),
        "expression_names": np.array(EXPRESSIONS),
        "landmarks68": len(ball) + np.arange(68),
    }
    all_arrays: dict[str, Any] = arrays | changes
    np.savez(path, **all_arrays)
    return path
