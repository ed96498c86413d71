"""Paint: the skin's, hair's, eyes' and clothes' colours as pictures, drawn by rule."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import griddata
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from samples.talker import face
from samples.talker.parts import hair_depth
from samples.talker.rig import Rig

Picture = NDArray[np.float32]  # [H, W, 3] linear light, 0..1

WIDTH, HEIGHT = 2048, 1024
TURN, TOP, TALL, AXIS = 4.8, 10.0, 24.0, 4.0  # the skin is unrolled around a cylinder: radians, cm, cm, axis behind z = 0

SKIN, BLUSH, LIP, LIP_DARK = (228, 172, 140), (222, 112, 94), (192, 86, 86), (128, 44, 50)
BROW, LASH, FRECKLE, HAIR_DARK, HAIR_LIGHT = (58, 32, 22), (34, 22, 20), (176, 112, 82), (44, 22, 14), (150, 88, 52)


def linear(colour: tuple[int, int, int]) -> Picture:
    """sRGB 0..255 to linear light [3]."""
    return np.asarray((np.array(colour) / 255) ** 2.2, np.float32)


def _noise(random: np.random.Generator, size: tuple[int, int], *blurs: float) -> Picture:
    total = np.zeros(size, np.float32)
    for blur in blurs:
        layer = gaussian_filter(random.normal(size=size).astype(np.float32), blur, mode="wrap")
        total += layer / layer.std()
    return np.asarray(total / len(blurs), np.float32)


def skin_uv(rig: Rig) -> NDArray[np.float64]:
    """Where every refined point of the head lies on the skin's picture: [V, 2] in 0..1."""
    cage = rig.cage
    rest = cage.points.copy()
    hidden = (cage.openness < 0.5) & (np.arange(len(rest)) >= face.POINTS)
    rest[hidden] = rest[cage.parent[hidden]]
    turn = np.arctan2(rest[:, 0], rest[:, 2] + AXIS)
    return np.asarray(rig.matrix @ np.stack([0.5 + turn / TURN, (TOP - rest[:, 1]) / TALL], 1))


class _Canvas:
    """The skin's picture while it is painted; places are points of the head's mesh."""

    def __init__(self, rig: Rig) -> None:
        self.random = np.random.default_rng(21)
        self.at = skin_uv(rig)[: face.POINTS] * [WIDTH, HEIGHT]
        self.picture = np.broadcast_to(linear(SKIN), (HEIGHT, WIDTH, 3)).astype(np.float32).copy()

    def blend(self, mask: Picture, colour: tuple[int, int, int]) -> None:
        self.picture += np.clip(mask, 0, 1)[..., None] * (linear(colour) - self.picture)

    def curve(self, points: list[int], steps: int = 12) -> Picture:
        """A smooth line through mesh points, in pixels."""
        place = self.at[points]
        knots = np.arange(len(points))
        fine = np.linspace(0, len(points) - 1, steps * (len(points) - 1) + 1)
        dense = np.stack([np.interp(fine, knots, place[:, k]) for k in (0, 1)], 1)
        return np.asarray(gaussian_filter1d(dense, steps * 0.45, axis=0, mode="nearest"), np.float32)

    def stroke(self, line: Picture, width: float, blur: float) -> Picture:
        mask = np.zeros((HEIGHT, WIDTH), np.float32)
        cv2.polylines(mask, [np.round(line * 16).astype(np.int32)], False, 1.0, max(round(width), 1), cv2.LINE_AA, 4)
        return np.asarray(gaussian_filter(mask, blur))

    def area(self, outline: Picture, blur: float) -> Picture:
        mask = np.zeros((HEIGHT, WIDTH), np.float32)
        cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
        return np.asarray(gaussian_filter(mask, blur))

    def spot(self, centre: NDArray[np.float64], reach: tuple[float, float]) -> Picture:
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        return np.asarray(np.exp(-(((x - centre[0]) / reach[0]) ** 2) - ((y - centre[1]) / reach[1]) ** 2))


def _complexion(c: _Canvas) -> None:
    c.picture *= 1 + 0.022 * _noise(c.random, (HEIGHT, WIDTH), 1.2, 4)[..., None]
    c.picture *= 1 + 0.030 * _noise(c.random, (HEIGHT, WIDTH), 30, 80)[..., None] * np.array([0.3, 1.0, 1.1], np.float32)
    for cheek in (50, 280):
        c.blend(0.46 * c.spot(c.at[cheek] + [0, 14], (86, 62)), BLUSH)
    c.blend(0.30 * c.spot(c.at[4] + [0, 4], (46, 34)), BLUSH)
    c.blend(0.20 * c.spot(c.at[175], (60, 36)), BLUSH)
    for socket in (*face.RIGHT_EYE[2], *face.LEFT_EYE[2]):
        c.blend(0.075 * c.spot(c.at[socket] + [0, -8], (34, 18)), (172, 96, 84))
    freckles = np.zeros((HEIGHT, WIDTH), np.float32)
    for _ in range(150):
        anchor = c.at[c.random.choice([50, 280, 101, 330, 117, 346, 195, 5, 118, 347])]
        place = anchor + c.random.normal(0, (34, 20))
        cv2.circle(
            freckles,
            tuple(np.round(place * 16).astype(int).tolist()),
            int(c.random.uniform(10, 26)),
            c.random.uniform(0.3, 0.7),
            -1,
            cv2.LINE_AA,
            4,
        )
    c.blend(gaussian_filter(freckles, 0.9), FRECKLE)


def _roots(c: _Canvas, rig: Rig) -> None:
    """Fine hair on the skin where the combed-back hair begins."""
    head = rig.matrix @ rig.cage.points
    uv = skin_uv(rig)
    inside = hair_depth(head)
    front = head[:, 2] > -3.0  # behind, the unrolling has its seam
    uv, inside = uv[front], inside[front]
    v, u = np.mgrid[0:HEIGHT:8, 0:WIDTH:8].astype(np.float64)
    coarse = griddata(uv * [WIDTH, HEIGHT], inside, np.stack([u, v], -1), method="linear", fill_value=4.0).astype(np.float32)
    depth = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    strands = _noise(c.random, (HEIGHT, WIDTH), 1.0, 2.5)
    c.blend(np.clip((depth + 0.25 + 0.10 * strands) / 0.8, 0, 1) ** 1.2 * 0.92, (74, 38, 24))


def _mouth(c: _Canvas) -> None:
    outline = [61, *face.UPPER_LIP[0], 291, *face.LOWER_LIP[0][::-1], 61]
    red = c.area(c.curve(outline), 2.2)
    ridges = gaussian_filter(c.random.normal(size=(HEIGHT, WIDTH)).astype(np.float32), (6, 1.0))
    c.blend(0.93 * red, LIP)
    c.picture *= 1 + (0.55 * red * ridges)[..., None]
    rim = c.curve([78, *face.UPPER_LIP[3], 308]), c.curve([78, *face.LOWER_LIP[3], 308])
    c.blend(0.50 * red * c.stroke(rim[0], 4, 2.0), LIP_DARK)
    c.blend(0.45 * red * c.stroke(rim[1], 4, 2.0), LIP_DARK)
    for corner in (61, 291):
        c.blend(0.45 * c.spot(c.at[corner], (11, 8)), LIP_DARK)


def _brows(c: _Canvas) -> None:
    for ridge in face.BROWS:
        upper, lower = c.curve(ridge[:5]), c.curve(ridge[5:])
        whole = c.area(np.concatenate([upper, lower[::-1]]), 5.0)
        c.blend(0.60 * whole, BROW)
        strokes = np.zeros((HEIGHT, WIDTH), np.float32)
        outward = np.sign(c.at[ridge[0]][0] - c.at[ridge[4]][0])
        for _ in range(420):
            t = c.random.uniform(0, 1)  # 0 at the temple, 1 at the nose
            k = round(t * (len(upper) - 1))
            middle, half = (upper[k] + lower[k]) / 2, np.linalg.norm(upper[k] - lower[k]) / 2
            root = middle + np.array([c.random.normal(0, 3), c.random.uniform(-0.8, 0.85) * half * (0.45 + 0.75 * t)])
            lean = 0.05 + 1.3 * t**2.5
            length = c.random.uniform(12, 22) * (0.75 + 0.4 * t)
            tip = root + length * np.array([outward, -lean]) / np.hypot(1, lean)
            ends = [tuple(np.round(p * 16).astype(int).tolist()) for p in (root, tip)]
            cv2.line(strokes, ends[0], ends[1], c.random.uniform(0.35, 0.9), 2, cv2.LINE_AA, 4)
        c.blend(gaussian_filter(strokes, 0.7) * 0.9, BROW)


def _lids(c: _Canvas) -> None:
    for (upper, lower, above, _), (outer, inner) in zip((face.RIGHT_EYE, face.LEFT_EYE), face.EYE_CORNERS, strict=True):
        c.blend(0.30 * c.stroke(c.curve([outer, *above, inner]), 6, 3.0), (140, 74, 62))
        c.blend(c.stroke(c.curve([outer, *upper, inner]), 6, 1.4) * 1.1, LASH)
        c.blend(0.5 * c.stroke(c.curve([outer, *lower, inner]), 3, 1.4), (112, 62, 52))


def _nose(c: _Canvas) -> None:
    for inner, outer in ((2, 98), (2, 327)):
        middle = 0.42 * c.at[inner] + 0.58 * c.at[outer]
        c.blend(0.92 * c.spot(middle - np.array([0, 3]), (17, 7)), (66, 26, 24))


def skin(rig: Rig) -> Picture:
    """The face unrolled: [1024, 2048, 3]."""
    canvas = _Canvas(rig)
    for layer in (_complexion, _mouth, _brows, _lids, _nose):
        layer(canvas)
    _roots(canvas, rig)
    canvas.picture[:64, :128] = linear((227, 168, 136))  # ears and neck: one plain tone
    return np.clip(canvas.picture, 0, 1)


def hair() -> Picture:
    """Strands that run down the picture: [512, 2048, 3]."""
    random = np.random.default_rng(22)
    strands = np.zeros((512, 2048), np.float32)
    for across, along, share in ((0.8, 40, 0.45), (2.5, 80, 0.35), (12, 120, 0.30)):
        layer = gaussian_filter(random.normal(size=strands.shape).astype(np.float32), (along, across), mode="wrap")
        strands += share * layer / layer.std()
    ramp = np.clip(0.36 + 0.20 * strands, 0, 1)[..., None]
    return np.asarray(linear(HAIR_DARK) + ramp * (linear(HAIR_LIGHT) - linear(HAIR_DARK)), np.float32)


def eye() -> Picture:
    """An eye seen straight on: [512, 512, 3]."""
    random = np.random.default_rng(23)
    y, x = (np.mgrid[0:512, 0:512].astype(np.float32) - 255.5) / 512
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    white = linear((240, 236, 232)) * np.ones((512, 512, 1), np.float32)
    white += np.clip((radius - 0.30) / 0.2, 0, 1)[..., None] * (linear((226, 186, 176)) - white) * 0.6
    fibres = (
        gaussian_filter1d(random.normal(size=720), 2.2, mode="wrap") * 2.2
        + gaussian_filter1d(random.normal(size=720), 8, mode="wrap") * 3
    )
    fibre = np.interp(angle, np.linspace(-np.pi, np.pi, 720), fibres)
    ring = radius / 0.262
    colour = linear((88, 142, 120)) + np.clip(1.2 - ring, 0, 1)[..., None] * (linear((184, 152, 92)) - linear((88, 142, 120)))
    colour = colour * (1 + 0.22 * fibre[..., None]) * (0.72 + 0.75 * np.clip(-y / -0.24, -0.3, 1))[..., None]
    colour = colour * (1 - 0.80 * np.clip((ring - 0.80) / 0.18, 0, 1))[..., None]
    pupil = np.clip((0.46 - ring) / 0.05, 0, 1)[..., None]
    colour = colour * (1 - pupil) + 0.004 * pupil
    iris = np.clip((1.0 - ring) / 0.07 + 0.5, 0, 1)[..., None]
    return np.asarray(np.clip(gaussian_filter(white * (1 - iris) + colour * iris, (0.8, 0.8, 0)), 0, 1), np.float32)


def cloth() -> Picture:
    """A ribbed knit: [512, 512, 3]."""
    random = np.random.default_rng(24)
    x = np.mgrid[0:512, 0:512][1].astype(np.float32)
    rib = np.abs(np.sin(np.pi * x / 16)) ** 0.7
    shade = 0.74 + 0.24 * rib + 0.03 * random.normal(size=rib.shape)
    return np.asarray(linear((40, 122, 128)) * shade[..., None], np.float32)


def background(size: int) -> Picture:
    """A soft, warm room out of focus: [size, size, 3]."""
    random = np.random.default_rng(25)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    glow = np.exp(-(((x - 0.30) / 0.55) ** 2) - ((y - 0.38) / 0.6) ** 2)[..., None]
    wall = linear((92, 104, 124)) + glow * (linear((206, 190, 172)) - linear((92, 104, 124)))
    wall *= (1.06 - 0.45 * np.clip(y - 0.35, 0, 1))[..., None]
    for _ in range(11):
        centre, reach, light = random.uniform((0, 0), (1, 0.75)), random.uniform(0.02, 0.055), random.uniform(0.10, 0.30)
        disc = np.clip((reach - np.hypot(x - centre[0], y - centre[1])) / 0.012, 0, 1)[..., None]
        wall += light * disc * linear((255, 214, 160)) * 0.5
    return np.asarray(gaussian_filter(wall, (size / 110, size / 110, 0)), np.float32)
