"""Which landmarks the head itself hides, by a head model fitted to the labelled points.

Ours, not the paper's. A place is *turned away* where, in the pose of the fitted head, other skin
lies between it and the camera.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from aadn.geometry import FloatArray
from aadn.measures.head_fit import fit_head, rotation_of
from aadn.schemes import IBUG68
from aadn.training.crops import CropSet
from aadn.training.head import HeadModel

COVER = 0.5
"""Centimetres by which other skin must lie in front of a place to hide it: the skin is that rough
at lids and lips."""

YAWS = np.arange(0.0, 121.0, 5.0)
PITCHES = np.arange(-30.0, 31.0, 10.0)
"""Degrees of the poses in which the model head is looked at."""

FACE_MARGINS = (5.0, 25.0)
JAW_MARGINS = (-13.0, -3.0)
"""A landmark is labelled turned away if the head hides it even where it is turned by so many
degrees more (less, if negative), seen if the head shows it even where turned by the second number
more, and unknown between. Our choice, by MERL-RAV's labels (`benchmarks/self_occlusion.py`): with
about 20 degrees more, its people and the model agree best on brows, eyes, nose and mouth. Those
people put the far jaw on the outline, where it counts as seen up to 43 degrees, so its margins
follow the model alone, from where an eye sees that the jaw's edge is gone."""

FRONTAL = 8.0, 15.0
"""Yaw and pitch in degrees below which what would be unknown counts as seen: to an eye, a face that
looks into the camera has turned nothing away (our choice)."""

_OUTER_LIPS = {60: 48, 61: 50, 62: 51, 63: 52, 64: 54, 65: 56, 66: 57, 67: 58}
"""The model's mouth is closed, and its inner lips hidden by the outer ones: they are taken to be
turned away where these are."""

_JAW = np.arange(IBUG68.size) < 17


class SelfOcclusion:
    """Where a head hides its own landmarks, by pose: one look at the model's neutral head.

    Attributes:
        model: the head.
        hidden: (pitches, yaws, 68) whether the head hides a place, looking to the picture's right.
    """

    def __init__(self, model: HeadModel) -> None:
        self.model = model
        poses = [(pitch, yaw) for pitch in PITCHES for yaw in YAWS]
        looks = [_hidden(model, _rotation(*pose)) for pose in tqdm(poses, "head", disable=None)]
        self.hidden = np.array(looks).reshape(len(PITCHES), len(YAWS), -1)

    def turned(self, points: NDArray[np.floating]) -> FloatArray:
        """For a face's points (68, 2) in pixels: (68,) 1 turned away, 0 not, NaN unknown.

        All NaN where too few points are labelled to fit the head.
        """
        fit = fit_head(self.model.points, points)
        if fit is None:
            return np.full(IBUG68.size, np.nan)
        yaw, pitch, _ = fit.angles.tolist()
        return self.at(yaw, pitch)

    def labelled(self, crops: CropSet) -> CropSet:
        """Faces of iBUG's landmarks with what the head hides on each of them."""
        faces = tqdm(crops.points, "fitting heads", unit="face", disable=None)
        return replace(crops, turned=np.array([self.turned(points) for points in faces]))

    def at(self, yaw: float, pitch: float) -> FloatArray:
        """The same for a head in a pose, in degrees as `HeadFit.angles` has them."""
        state = np.full(IBUG68.size, np.nan)
        for part, (least, most) in ((_JAW, JAW_MARGINS), (~_JAW, FACE_MARGINS)):
            state[part & self._at(abs(yaw) + least, pitch)] = 1.0
            state[part & ~self._at(max(abs(yaw) + most, 0.0), pitch)] = 0.0
        if abs(yaw) < FRONTAL[0] and abs(pitch) < FRONTAL[1]:
            state[np.isnan(state)] = 0.0
        state[list(_OUTER_LIPS)] = state[list(_OUTER_LIPS.values())]
        return state if yaw >= 0 else state[IBUG68.flip]

    def _at(self, yaw: float, pitch: float) -> NDArray[np.bool_]:
        """What is hidden in the nearest pose that was looked at; nothing for a yaw below 0."""
        row = int(np.abs(PITCHES - pitch).argmin())
        column = int(np.abs(YAWS - yaw).argmin())
        return np.asarray(self.hidden[row, column] & (yaw >= 0))


def _rotation(pitch: float, yaw: float) -> FloatArray:
    """A head's rotation, in degrees: nodded up by pitch after it was turned by yaw."""
    nod = rotation_of(np.array([-np.radians(pitch), 0.0, 0.0]))
    return nod @ rotation_of(np.array([0.0, np.radians(yaw), 0.0]))


def _hidden(model: HeadModel, rotation: FloatArray) -> NDArray[np.bool_]:
    """(68,) whether the neutral head hides its landmarks' places, turned by a rotation."""
    vertices = model.neutral @ rotation.T
    corners = vertices[model.quads]  # Q 4 3
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    front = normals[:, 2] > 0
    corners, normals = corners[front], normals[front]
    low, high = corners[..., :2].min(1), corners[..., :2].max(1)
    hidden = np.zeros(len(model.landmarks), bool)
    for i, place in enumerate(vertices[model.landmarks]):
        near = ((low <= place[:2]) & (place[:2] <= high)).all(1)
        quads, normal = corners[near], normals[near]
        edges, to = np.roll(quads, -1, axis=1) - quads, place - quads
        inside = (edges[..., 0] * to[..., 1] - edges[..., 1] * to[..., 0] >= 0).all(1)
        quads, normal = quads[inside], normal[inside]
        middle = quads.mean(1)
        slope = ((place[:2] - middle[:, :2]) * normal[:, :2]).sum(1) / normal[:, 2]
        hidden[i] = (middle[:, 2] - slope - place[2] > COVER).any()
    return hidden
