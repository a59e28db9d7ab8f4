"""Occluders drawn by program. Each paints one thing on an overlay over one face.

Shapes, sizes and frequencies are our choice: they follow what hides faces in real photographs,
most of it hair, hands, hats, glasses and things held before the face.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aadn.geometry import BORDER_VALUE, FloatArray
from aadn.occlude.overlay import FaceFrame, Image, Overlay
from aadn.occlude.textures import HAIR, SKIN, Colour, Paints, any_colour, flat, shade, tone
from aadn.schemes import scheme_of

Rng = np.random.Generator
Points = NDArray[np.floating]
Painter = Callable[[Overlay, FaceFrame, Points, Rng, Paints], None]


def _softness(frame: FaceFrame, rng: Rng) -> float:
    """Blur of an edge in pixels: mostly crisp, sometimes out of focus."""
    return float(frame.unit * rng.choice([0.005, 0.015, 0.05], p=[0.5, 0.35, 0.15]))


def _circle(centre: FloatArray, radii: tuple[float, float], angle: float = 0.0) -> FloatArray:
    turn = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    x, y = radii[0] * np.cos(turn), radii[1] * np.sin(turn)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos], axis=1)


def _surface(overlay: Overlay, rng: Rng, colour: Colour, strength: float = 0.3) -> Image:
    """One colour, lit unevenly."""
    lit = shade(rng, flat(*overlay.shape, colour), strength)
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def _somewhere(frame: FaceFrame, rng: Rng) -> FloatArray:
    """A place on the face, in pixels (2,)."""
    place = np.array([[rng.uniform(-2.2, 2.2), rng.uniform(-0.9, 1.9)]])
    return np.asarray(frame.place(place)[0])


def blob(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A rectangle, an ellipse, a polygon or a smooth lump of any texture."""
    centre = _somewhere(frame, rng)
    size = frame.unit * rng.uniform(0.25, 1.5)
    aspect = rng.uniform(0.4, 1.0)
    kind = rng.integers(4)
    angle = rng.uniform(0, np.pi)
    if kind == 0:
        square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [size, size * aspect]
        angle = 0.0 if rng.random() < 0.5 else angle
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        outline = centre + square @ turn
    elif kind == 1:
        outline = _circle(centre, (size, size * aspect), angle)
    else:
        turns = np.linspace(0, 2 * np.pi, 40 if kind == 2 else 7, endpoint=False)
        radius = np.ones_like(turns)
        if kind == 2:
            for wave in range(2, 6):
                radius += rng.normal(0, 0.35 / wave) * np.cos(wave * turns + rng.uniform(0, 6.3))
        else:
            radius = rng.uniform(0.4, 1.2, len(turns))
        ring = np.stack([np.cos(turns), np.sin(turns) * aspect], axis=1)
        outline = centre + size * radius[:, None] * ring
    alpha = overlay.polygon(outline, _softness(frame, rng))
    overlay.paint(alpha, paints.texture(rng, *overlay.shape), hides=True)


def half_plane(
    overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints
) -> None:
    """A large thing that reaches in from one side, or the picture's border."""
    angle = rng.uniform(0, 2 * np.pi)
    border = rng.random() < 0.4
    if border:
        angle = round(angle / (np.pi / 2)) * np.pi / 2
    normal = np.array([np.cos(angle), np.sin(angle)])
    middle = frame.place(np.array([[0.0, 0.6]]))[0]
    edge = middle + normal * frame.unit * rng.uniform(0.0, 1.5)
    along = np.array([-normal[1], normal[0]]) * 1e4
    corners = np.stack([edge - along, edge + along, edge + along + normal * 1e4,
                        edge - along + normal * 1e4])  # fmt: skip
    if border:
        black = rng.random() < 0.3
        colour: Image | Colour = (0.0, 0.0, 0.0) if black else BORDER_VALUE
        overlay.paint(overlay.polygon(corners), colour, hides=True)
    else:
        alpha = overlay.polygon(corners, _softness(frame, rng))
        overlay.paint(alpha, paints.texture(rng, *overlay.shape), hides=True)


def _strands(
    overlay: Overlay, rng: Rng, roots: FloatArray, tips: FloatArray, bend: float, thick: float
) -> None:
    """Hair from roots to tips (N, 2) pixels: strands of one colour, each a little different."""
    base = np.array(tone(rng, HAIR))
    groups = 4
    share = np.array_split(rng.permutation(len(roots)), groups)
    steps = np.linspace(0, 1, 8)[:, None]
    for group in share:
        curves, widths = [], []
        for i in group:
            middle = (roots[i] + tips[i]) / 2 + rng.normal(0, bend, 2)
            curves.append(
                (1 - steps) ** 2 * roots[i] + 2 * steps * (1 - steps) * middle + steps**2 * tips[i]
            )
            widths.append(round(thick * float(rng.uniform(0.4, 1.4))))
        light = base * rng.uniform(0.7, 1.35)
        alpha = overlay.lines(curves, widths, float(rng.uniform(0, 0.8)))
        overlay.paint(alpha, _clipped(light), hides=True)


def _clipped(colour: FloatArray) -> Colour:
    red, green, blue = np.clip(colour, 0, 255)
    return float(red), float(green), float(blue)


def fringe(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """Hair that falls over the forehead and the brows, dense or in single strands."""
    count = int(rng.choice([15, 60, 160]))
    left, right = sorted(rng.uniform(-2.4, 2.4, 2))
    if right - left < 1.2:
        left, right = left - 0.6, right + 0.6
    u = rng.uniform(left, right, count)
    lean = rng.normal(0, 0.6)
    deep = rng.uniform(-0.55, 0.25)
    roots = frame.place(np.stack([u, np.full(count, -1.9)], axis=1))
    ends = np.stack([u + lean + rng.normal(0, 0.12, count), rng.normal(deep, 0.15, count)], axis=1)
    thick = frame.unit * rng.uniform(0.02, 0.1)
    _strands(overlay, rng, roots, frame.place(ends), frame.unit * 0.06, thick)


def side_hair(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """Hair that hangs over a temple, a cheek and the jaw."""
    for side in (-1, 1) if rng.random() < 0.5 else (int(rng.choice([-1, 1])),):
        count = int(rng.choice([20, 70, 160]))
        inner = rng.uniform(1.0, 2.0)
        u = rng.uniform(inner, inner + 1.4, count)
        roots = frame.place(np.stack([side * (u - rng.uniform(0, 0.6)), np.full(count, -1.7)], 1))
        length = rng.normal(rng.uniform(0.3, 2.4), 0.2, count)
        tips = frame.place(np.stack([side * (u + rng.normal(0, 0.15, count)), length], axis=1))
        thick = frame.unit * rng.uniform(0.03, 0.12)
        _strands(overlay, rng, roots, tips, frame.unit * 0.15, thick)


def hat(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A hat, a cap, a hood's edge or a headscarf, down to the brows or below."""
    low = rng.uniform(-0.9, -0.1)
    bow = rng.normal(0, 0.25)
    tilt = rng.normal(0, 0.12)
    u = np.linspace(-3, 3, 15)
    brim = np.stack([u, low + bow * (u / 2) ** 2 + tilt * u], axis=1)
    top = np.array([[3.2, -4.0], [-3.2, -4.0]])
    alpha = overlay.polygon(frame.place(np.concatenate([brim, top])), _softness(frame, rng))
    below = brim + np.array([0, rng.uniform(0.1, 0.5)])
    shadow = overlay.polygon(frame.place(np.concatenate([below, top])), 0.06 * frame.unit)
    overlay.paint(shadow * np.float32(rng.uniform(0, 0.6)), (10, 8, 8), hides=False)
    overlay.paint(alpha, paints.texture(rng, *overlay.shape), hides=True)


def scarf(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A scarf, a collar or a veil, up to the chin, the mouth or the nose."""
    high = rng.uniform(0.45, 1.6)
    u = np.linspace(-3.2, 3.2, 13)
    edge = np.stack([u, high + rng.normal(0.0, 0.08, 13) - rng.normal(0, 0.1) * u], axis=1)
    bottom = np.array([[3.4, 5.0], [-3.4, 5.0]])
    alpha = overlay.polygon(frame.place(np.concatenate([edge, bottom])), _softness(frame, rng))
    overlay.paint(alpha, paints.texture(rng, *overlay.shape), hides=True)


def mask(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A face mask from the nose's bridge to below the chin, with folds, straps and a shadow."""
    contours = scheme_of(len(points)).contours
    high = rng.uniform(0.2, 0.75)
    jaw = np.asarray(points, np.float64)[list(contours["jaw"][0] if "jaw" in contours else ())]
    if len(jaw) and np.isfinite(jaw).all():
        # Along the jaw: profiles and wide faces keep a mask that fits.
        middle = frame.place(np.array([[0.0, 1.0]]))[0]
        n = len(jaw)
        lower = jaw[n // 8 : n - n // 8]
        lower = middle + (lower - middle) * rng.uniform(1.04, 1.14)
    else:
        turn = np.linspace(0.1, np.pi - 0.1, 15)
        lower = frame.place(np.stack([-2.0 * np.cos(turn), 0.5 + 1.35 * np.sin(turn)], axis=1))
    bridge = frame.place(np.array([[0.45, high + 0.08], [0.0, high], [-0.45, high + 0.08]]))
    outline = np.concatenate([lower, bridge])
    alpha = overlay.polygon(outline, _softness(frame, rng))
    if rng.random() < 0.5:
        ears = frame.place(np.array([[-2.2, 0.1], [2.2, 0.1]]))
        straps = [np.stack([ears[0], lower[0]]), np.stack([ears[1], lower[-1]])]
        width = max(1, round(0.02 * frame.unit))
        overlay.paint(overlay.lines(straps, [width, width]), any_colour(rng), hides=True)
    if rng.random() < 0.6:
        kind: Colour = tone(rng, ((225, 228, 230), (150, 190, 215), (130, 180, 165), (30, 30, 32),
                                  (90, 95, 105), (200, 150, 160)))  # fmt: skip
        surface = _surface(overlay, rng, kind, float(rng.uniform(0.1, 0.4)))
    else:
        surface = paints.texture(rng, *overlay.shape)
    overlay.paint(alpha, surface, hides=True)
    folds = [
        frame.place(np.stack([np.linspace(-1.6, 1.6, 9),
                              v + 0.12 * np.cos(np.linspace(-1.5, 1.5, 9))], axis=1))
        for v in rng.uniform(high + 0.3, 1.5, int(rng.integers(0, 4)))
    ]  # fmt: skip
    if folds:
        width = max(1, round(0.02 * frame.unit))
        dark = overlay.lines(folds, [width] * len(folds), 0.01 * frame.unit)
        overlay.paint(dark * alpha * np.float32(0.3), (0, 0, 0), hides=False)


def sunglasses(
    overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints
) -> None:
    """Dark or mirrored lenses over both eyes, with a frame, a bridge and temples."""
    _glasses(overlay, frame, rng, opacity=float(rng.uniform(0.82, 1.0)), hides=True)


def spectacles(
    overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints
) -> None:
    """Clear glasses: a thin frame and a faint glare, which hide nothing."""
    _glasses(overlay, frame, rng, opacity=float(rng.uniform(0.0, 0.25)), hides=False)


def _glasses(overlay: Overlay, frame: FaceFrame, rng: Rng, *, opacity: float, hides: bool) -> None:
    width, height = rng.uniform(0.62, 0.95), rng.uniform(0.28, 0.55)
    squareness = rng.uniform(1.0, 3.0)
    drop = rng.uniform(-0.05, 0.15)
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    cos, sin = np.cos(turn), np.sin(turn)
    power = 2 / (1 + squareness)
    x, y = np.sign(cos) * np.abs(cos) ** power, np.sign(sin) * np.abs(sin) ** power
    taper = 1 - rng.uniform(0, 0.2) * (y > 0) * y
    colour = tone(rng, ((12, 12, 14), (40, 28, 20), (30, 40, 60), (150, 150, 155), (90, 60, 30)))
    tint = _surface(overlay, rng, colour if hides else (235, 240, 245), 0.5)
    rim_width = max(1, round(frame.unit * rng.uniform(0.01, 0.06)))
    rims = []
    for side in (-1, 1):
        lens = frame.place(np.stack([side * 1.02 + width * x * taper, drop + height * y], axis=1))
        overlay.paint(overlay.polygon(lens, 0.3) * np.float32(opacity), tint, hides=hides)
        rims.append(np.concatenate([lens, lens[:1]]))
    bridge = frame.place(np.array([[-1.02 + width, drop], [0, drop - 0.06], [1.02 - width, drop]]))
    temples = [
        frame.place(np.array([[s * (1.02 + width), drop - 0.1], [s * 2.3, drop - 0.05]]))
        for s in (-1, 1)
    ]
    rim = overlay.lines([*rims, bridge, *temples], [rim_width] * 5, 0.3)
    rim_colour = colour if rng.random() < 0.6 else any_colour(rng)
    overlay.paint(rim * np.float32(rng.uniform(0.6, 1)), rim_colour, hides=False)


def hand(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A hand with its fingers and a forearm, or a few fingers, before the face."""
    target = _somewhere(frame, rng)
    angle = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-direction[1], direction[0]])
    size = frame.unit * rng.uniform(0.45, 0.8)
    palm = target - direction * size * rng.uniform(0.2, 1.4)
    colour = tone(rng, SKIN)
    surface = _surface(overlay, rng, colour, 0.35)
    spread = rng.uniform(0.02, 0.22)
    curves, widths = [], []
    for finger in range(4):
        offset = (finger - 1.5) * 0.42
        lean = direction + across * (finger - 1.5) * spread
        length = size * rng.uniform(1.3, 1.9) * (0.85 if finger in (0, 3) else 1)
        base = palm + across * offset * size + direction * size * 0.5
        tip = base + lean * length
        bend = (base + tip) / 2 + across * rng.normal(0, 0.06) * size
        curves.append(np.stack([base, bend, tip]))
        widths.append(max(2, round(0.36 * size)))
    thumb_side = rng.choice([-1, 1])
    base = palm + across * thumb_side * size * 0.7
    curves.append(np.stack([base, base + (across * thumb_side + direction) * size * 0.75]))
    widths.append(max(2, round(0.4 * size)))
    arm = [np.stack([palm, palm - direction * size * 6])]
    soften = _softness(frame, rng)
    parts = [overlay.lines(arm, [max(2, round(size * 1.25))], soften),
             overlay.polygon(_circle(palm, (size * 0.85, size * 0.95), angle), soften)]  # fmt: skip
    if rng.random() < 0.35:  # fingers only: the palm is beside the face
        parts = []
    fingers = [overlay.lines([c], [w], soften) for c, w in zip(curves, widths, strict=True)]
    cast = np.maximum.reduce([*parts, *fingers])
    shift = np.roll(cast, (round(0.04 * frame.unit), round(0.03 * frame.unit)), (0, 1))
    overlay.paint(shift * np.float32(rng.uniform(0, 0.5)), (20, 10, 10), hides=False)
    for part in parts:
        overlay.paint(part, surface, hides=True)
    for finger_alpha, curve, width in zip(fingers, curves, widths, strict=True):
        dark = overlay.lines([curve], [width + max(1, round(0.03 * frame.unit))], soften)
        overlay.paint(dark * np.float32(0.35), _clipped(np.array(colour) * 0.5), hides=False)
        overlay.paint(finger_alpha, surface, hides=True)


def held_thing(
    overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints
) -> None:
    """A microphone, a cup or a telephone, before the mouth or beside the cheek."""
    kind = rng.integers(3)
    soften = _softness(frame, rng)
    if kind == 0:
        head = frame.place(np.array([[rng.normal(0, 0.6), rng.uniform(0.9, 1.8)]]))[0]
        radius = frame.unit * rng.uniform(0.15, 0.4)
        towards = np.array([rng.normal(0, 0.7), 1.0])
        stick = np.stack([head, head + towards * frame.unit * 4])
        dark = tone(rng, ((20, 20, 22), (70, 70, 75), (120, 120, 125)))
        overlay.paint(overlay.lines([stick], [max(1, round(radius))], soften), dark, hides=True)
        ball = overlay.polygon(_circle(head, (radius, radius * 1.15)), soften)
        overlay.paint(ball, _surface(overlay, rng, any_colour(rng), 0.6), hides=True)
    elif kind == 1:
        rim = np.array([rng.normal(0, 0.4), rng.uniform(0.75, 1.3)])
        wide, tall = rng.uniform(0.5, 1.1), rng.uniform(1.0, 2.0)
        corners = [(-wide, 0.0), (wide, 0.0), (wide * 0.75, tall), (-wide * 0.75, tall)]
        outline = frame.place(rim + np.array(corners))
        texture = paints.texture(rng, *overlay.shape)
        overlay.paint(overlay.polygon(outline, soften), texture, hides=True)
    else:
        side = rng.choice([-1, 1])
        centre = frame.place(np.array([[side * rng.uniform(1.0, 2.2), rng.uniform(0.1, 1.0)]]))[0]
        long, short = frame.unit * rng.uniform(0.7, 1.1), frame.unit * rng.uniform(0.3, 0.5)
        angle = np.pi / 2 + rng.normal(0, 0.4)
        axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [long, short]
        alpha = overlay.polygon(centre + square @ axes, soften)
        overlay.paint(alpha, _surface(overlay, rng, any_colour(rng), 0.3), hides=True)


def other_face(
    overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints
) -> None:
    """A round piece of another picture, most often with a face, before a side of this one."""
    if paints.pictures is None or not len(paints.pictures):
        blob(overlay, frame, points, rng, paints)
        return
    source = paints.pictures[rng.integers(len(paints.pictures))]
    side = rng.choice([-1, 1])
    centre = frame.place(np.array([[side * rng.uniform(1.3, 2.6), rng.uniform(-0.3, 1.5)]]))[0]
    radius = frame.unit * rng.uniform(0.7, 1.3)
    height, width = overlay.shape
    # The middle of a stored crop is its face: map it under the ellipse.
    scale = source.shape[0] * 0.3 / radius
    y, x = np.mgrid[:height, :width]
    columns = np.clip((x - centre[0]) * scale + source.shape[1] / 2, 0, source.shape[1] - 1)
    rows = np.clip((y - centre[1]) * scale + source.shape[0] / 2, 0, source.shape[0] - 1)
    piece = source[rows.astype(int), columns.astype(int)]
    outline = _circle(centre, (radius * 0.8, radius), float(rng.normal(0, 0.3)))
    overlay.paint(overlay.polygon(outline, _softness(frame, rng)), piece, hides=True)


def shadow(overlay: Overlay, frame: FaceFrame, points: Points, rng: Rng, paints: Paints) -> None:
    """A shadow, a patch of light or a tint (make-up, a beard) over a part of the face.

    It hides nothing.
    """
    centre = _somewhere(frame, rng)
    size = frame.unit * rng.uniform(0.4, 2.0)
    outline = _circle(centre, (size, size * rng.uniform(0.3, 1)), float(rng.uniform(0, np.pi)))
    alpha = overlay.polygon(outline, frame.unit * rng.uniform(0.01, 0.3))
    colour = (0.0, 0.0, 0.0) if rng.random() < 0.6 else any_colour(rng)
    overlay.paint(alpha * np.float32(rng.uniform(0.15, 0.55)), colour, hides=False)


PAINTERS: dict[str, tuple[Painter, float]] = {
    "blob": (blob, 0.18),
    "half_plane": (half_plane, 0.07),
    "fringe": (fringe, 0.14),
    "side_hair": (side_hair, 0.10),
    "hat": (hat, 0.06),
    "scarf": (scarf, 0.05),
    "mask": (mask, 0.10),
    "sunglasses": (sunglasses, 0.08),
    "spectacles": (spectacles, 0.04),
    "hand": (hand, 0.10),
    "held_thing": (held_thing, 0.06),
    "other_face": (other_face, 0.04),
    "shadow": (shadow, 0.06),
}
"""What is painted in training, and how often (our choice)."""
