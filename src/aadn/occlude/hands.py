"""Painters of hands and of what hands hold before a face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aadn.geometry import FloatArray
from aadn.occlude.overlay import Colours, FaceFrame, Overlay
from aadn.occlude.shapes import Solid, bezier, circle, ribbon
from aadn.occlude.textures import Colour, Paints, any_colour, clouds, flat, tone

Rng = np.random.Generator
Points = NDArray[np.floating]


def towards(rng: Rng) -> FloatArray:
    """Where the light comes from, for a Solid: mostly above."""
    return np.array([rng.uniform(-0.5, 0.5), rng.uniform(-0.6, 0.2)])


def _skin(overlay: Overlay, rng: Rng, colour: Colour) -> Colours:
    """Skin of one colour, redder and paler in places."""
    height, width = overlay.shape
    surface = flat(height, width, colour)
    patches = clouds(rng, height, width, int(rng.integers(4, 14)))
    # Where it is redder, green and blue fall.
    return surface * (1 + patches[..., None] * np.array([0.05, 0.1, 0.11], np.float32))


def grip(
    overlay: Overlay,
    frame: FaceFrame,
    rng: Rng,
    paints: Paints,
    target: FloatArray,
    angle: float,
    kind: str,
) -> None:
    """One hand.

    Args:
        overlay, frame, rng, paints: as a painter's.
        target: pixels (2,) of the finger tips' middle.
        angle: where the fingers point, in radians; -π/2 is up.
        kind: "open", "fist" or "pointing" (one to three fingers).
    """
    size = frame.unit * rng.uniform(0.75, 1.1)
    up = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-up[1], up[0]]) * rng.choice([-1.0, 1.0])
    axes = np.stack([across, up]) * size
    spread = rng.uniform(0.0, 0.3)
    wide = rng.uniform(0.13, 0.165)
    lengths = np.array([0.95, 1.08, 1.0, 0.78]) * rng.uniform(0.85, 1.1)
    if kind == "fist":
        lengths[:] = rng.uniform(0.22, 0.4)
    elif kind == "pointing":
        straight = int(rng.integers(1, 4))
        lengths[straight:] = rng.uniform(0.2, 0.35)
    # In the hand's own coordinates: the knuckles at y = 0, fingers to +y, the wrist at -1.15.
    reach = float(lengths.max())
    origin = target - up * size * reach * rng.uniform(0.5, 1.05)
    solid = Solid(overlay, towards(rng))

    def tube(curve: FloatArray, radii: FloatArray) -> None:
        solid.tube(origin + curve @ axes, radii * size)

    wrist = np.array([[rng.normal(0, 1.2), -6.0], [0.0, -2.2], [0.0, -0.95]])
    tube(wrist, np.array([0.55, 0.42, 0.38]))
    palm = np.array([[-0.56, 0.08], [-0.3, 0.18], [0.0, 0.2], [0.3, 0.16], [0.53, 0.0],
                     [0.56, -0.5], [0.42, -1.1], [-0.42, -1.1], [-0.6, -0.5]])  # fmt: skip
    solid.add(origin + palm @ axes, 0.5 * size)
    bend = rng.normal(0, 0.12)
    order = rng.permutation(4) if rng.random() < 0.3 else np.arange(4)
    for finger in order:
        base = np.array([-0.42 + 0.28 * finger, 0.1 - 0.04 * abs(finger - 1.3)])
        lean = np.array([(finger - 1.5) * spread + bend, 1.0])
        lean /= np.hypot(*lean)
        tip = base + lean * lengths[finger]
        middle = (base + tip) / 2 + np.array([bend * 0.4 + rng.normal(0, 0.02), 0])
        curve = bezier(np.stack([base - [0, 0.3], middle, middle, tip])[None], 7)[0]
        tube(curve, wide * np.array([1.1, 1.0, 0.98, 1.0, 0.94, 0.9, 0.8]))
    out = rng.uniform(0.0, 0.9) if kind != "fist" else -0.5
    thumb = np.array([[-0.45, -0.85], [-0.72, -0.5], [-0.72 - 0.3 * out, -0.15],
                      [-0.66 - 0.7 * out, 0.25]])  # fmt: skip
    tube(bezier(thumb[None], 6)[0], wide * np.array([1.5, 1.4, 1.2, 1.1, 1.0, 0.85]))
    if rng.random() < 0.2:  # a glove, or a sleeve up to the knuckles
        surface = paints.texture(rng, *overlay.shape)
    else:
        surface = _skin(overlay, rng, paints.skin(rng))
    solid.paint(overlay, surface, 0.03 * frame.unit)


def hand(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A hand or two on the mouth, the chin, a cheek, an eye or the forehead, or before them."""
    if rng.random() < 0.12:
        for side in (-1.0, 1.0):
            place = frame.place([(side * rng.uniform(0.0, 0.8), rng.uniform(0.7, 1.2))])[0]
            angle = -np.pi / 2 - side * rng.uniform(0.3, 1.4)
            grip(overlay, frame, rng, paints, place, angle, "open")
        return
    kind = str(rng.choice(["open", "fist", "pointing"], p=[0.5, 0.2, 0.3]))
    spots = [(0.0, 1.05), (0.0, 1.7), (1.5, 0.8), (-1.5, 0.8), (1.0, 0.0), (-1.0, 0.0),
             (0.0, -0.6), (0.0, 0.4)]  # fmt: skip
    chances = [0.22, 0.2, 0.14, 0.14, 0.08, 0.08, 0.06, 0.08]
    spot = np.array(spots[int(rng.choice(len(spots), p=chances))]) + rng.normal(0, 0.25, 2)
    # An arm comes from below, a little from the side that it is on.
    angle = -np.pi / 2 - spot[0] * rng.uniform(0.0, 0.5) + rng.normal(0, 0.5)
    if rng.random() < 0.15:
        angle = rng.uniform(0, 2 * np.pi)
    turn = np.arctan2(frame.down[1], frame.down[0]) - np.pi / 2
    grip(overlay, frame, rng, paints, frame.place([(spot[0], spot[1])])[0], angle + turn, kind)


def held_thing(
    overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints
) -> None:
    """A microphone, a cup, a telephone or a spoon before the mouth or the cheek, at times held."""
    kind = str(rng.choice(["microphone", "cup", "phone", "stick"], p=[0.35, 0.3, 0.2, 0.15]))
    solid = Solid(overlay, towards(rng))
    unit = frame.unit
    place = np.array([rng.normal(0, 0.5), rng.uniform(0.85, 1.6)])
    if kind == "phone":
        place = np.array([rng.choice([-1.0, 1.0]) * rng.uniform(0.8, 2.2), rng.uniform(0.0, 1.1)])
    centre = frame.place([(place[0], place[1])])[0]
    lean = rng.normal(0, 0.5) - 0.3 * place[0]
    down = np.array([np.sin(lean), np.cos(lean)])
    across = np.array([down[1], -down[0]])
    dark = paints.lit(tone(rng, ((20, 20, 22), (70, 70, 75), (150, 150, 155))))
    colour: Colour | Colours = dark
    if kind == "microphone":
        radius = unit * rng.uniform(0.2, 0.42)
        stick = centre + down * unit * np.array([[0.0], [1.0], [4.0]])
        solid.tube(stick, radius * np.array([0.75, 0.6, 0.45]))
        solid.paint(overlay, dark, 0.04 * unit)
        solid = Solid(overlay, solid.towards)
        outline = circle(centre, (radius, radius * 1.1), -lean)
        solid.add(outline, radius)
        if rng.random() < 0.5:
            colour = paints.lit(any_colour(rng))
    elif kind == "cup":
        wide, tall = unit * rng.uniform(0.4, 0.75), unit * rng.uniform(0.9, 1.8)
        corners = np.array([[-1.0, 0.0], [-0.5, 0.12], [0.0, 0.16], [0.5, 0.12], [1.0, 0.0],
                            [0.8, 1.0], [0.0, 1.1], [-0.8, 1.0]])  # fmt: skip
        rim = centre - down * 0.1 * tall
        curve = rim + down * tall * np.linspace(0, 1, 4)[:, None]
        solid.tube(curve, wide * np.linspace(1, rng.uniform(0.6, 1.0), 4))
        solid.mask[:] = 0
        solid.mask += (overlay.polygon(rim + corners @ np.stack([across * wide, down * tall]))
                       * 255).astype(np.uint8)  # fmt: skip
        colour = paints.texture(rng, *overlay.shape)
    elif kind == "phone":
        long, short = unit * rng.uniform(0.8, 1.2), unit * rng.uniform(0.35, 0.55)
        square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [short, long]
        solid.add(centre + square @ np.stack([across, down]), 0.08 * unit)
        if rng.random() < 0.4:
            colour = paints.lit(any_colour(rng))
    else:
        angle = rng.uniform(0, 2 * np.pi)
        way = np.array([np.cos(angle), np.sin(angle)])
        curve = centre + way * unit * np.linspace(0, 3, 4)[:, None]
        solid.tube(curve, np.full(4, unit * rng.uniform(0.03, 0.09)))
        if rng.random() < 0.5:  # a spoon
            solid.add(circle(centre, (0.35 * unit, 0.22 * unit), angle), 0.2 * unit)
        colour = paints.lit(any_colour(rng))
    solid.paint(overlay, colour, 0.04 * unit)
    if rng.random() < 0.45:
        far = 0.35 if kind == "phone" else 1.4
        side = rng.choice([-1.0, 1.0])
        grip(overlay, frame, rng, paints, centre + down * far * unit + across * side * 0.5 * unit,
             float(np.arctan2(*(-across * side - 0.6 * down)[::-1])), "fist")  # fmt: skip


def thin_things(
    overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints
) -> None:
    """Wires, cords, twigs or leaves that cross the face."""
    leaves = rng.random() < 0.4
    green = paints.lit(tone(rng, ((60, 100, 40), (110, 130, 60), (150, 110, 50))))
    colour = green if leaves else paints.lit(any_colour(rng))
    middle = frame.place([(rng.uniform(-1.8, 1.8), rng.uniform(-0.5, 1.7))])[0]
    angle = rng.uniform(0, 2 * np.pi)
    way = np.array([np.cos(angle), np.sin(angle)]) * frame.unit * 3
    ends = np.stack([middle - way, middle - way / 3, middle + way / 3, middle + way])
    curve = bezier((ends + rng.normal(0, 0.3 * frame.unit, (4, 2)))[None], 14)[0]
    solid = Solid(overlay, towards(rng))
    solid.tube(curve, np.full(14, frame.unit * rng.uniform(0.012, 0.06)))
    if leaves:
        for start in curve[2:12:2]:
            turn = rng.uniform(0, 2 * np.pi)
            tip = start + np.array([np.cos(turn), np.sin(turn)]) * frame.unit * rng.uniform(0.4, 1)
            blade = start + (tip - start) * np.linspace(0, 1, 6)[:, None]
            broad = frame.unit * rng.uniform(0.1, 0.22)
            radii = np.maximum(broad * np.sin(np.linspace(0.1, np.pi - 0.05, 6)), 0.5)
            solid.add(ribbon(blade, radii), 0.2 * broad)
    solid.paint(overlay, colour, 0.03 * frame.unit)
