"""Face: the head's cage (468 points of MediaPipe's canonical face, a skull, the lips' and lids' insides) in cm.

x is the viewer's right, y up, z towards the viewer.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION
from numpy.typing import NDArray

from samples.talker.topology import Triangles, from_edges, oriented, strip

Points = NDArray[np.float64]

POINTS = 468
OVAL = [
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136,
    172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
]  # fmt: skip
# Rows of the lips from the red's outer edge inwards, from her right corner to her left; corners apart.
UPPER_LIP = (
    [185, 40, 39, 37, 0, 267, 269, 270, 409],
    [184, 74, 73, 72, 11, 302, 303, 304, 408],
    [183, 42, 41, 38, 12, 268, 271, 272, 407],
    [191, 80, 81, 82, 13, 312, 311, 310, 415],
)
LOWER_LIP = (
    [146, 91, 181, 84, 17, 314, 405, 321, 375],
    [77, 90, 180, 85, 16, 315, 404, 320, 307],
    [96, 89, 179, 86, 15, 316, 403, 319, 325],
    [95, 88, 178, 87, 14, 317, 402, 318, 324],
)
RIGHT_CORNER, LEFT_CORNER = [61, 76, 62, 78], [291, 306, 292, 308]
MOUTH_RIM = [78, *UPPER_LIP[3], 308, *LOWER_LIP[3][::-1]]
# Eyes: (upper rim, lower rim, row above, row below) between the corners, outer to inner.
RIGHT_EYE = (
    [246, 161, 160, 159, 158, 157, 173],
    [7, 163, 144, 145, 153, 154, 155],
    [247, 30, 29, 27, 28, 56, 190],
    [25, 110, 24, 23, 22, 26, 112],
)
LEFT_EYE = (
    [466, 388, 387, 386, 385, 384, 398],
    [249, 390, 373, 374, 380, 381, 382],
    [467, 260, 259, 257, 258, 286, 414],
    [255, 339, 254, 253, 252, 256, 341],
)
EYE_CORNERS = ((33, 133), (263, 362))
EYEBALL = 1.72  # radius in cm
EYES = np.array([[-3.10, 2.62, 2.30], [3.10, 2.62, 2.30]])
BROWS = ([70, 63, 105, 66, 107, 46, 53, 52, 65, 55], [300, 293, 334, 296, 336, 276, 283, 282, 295, 285])
NOT_FACES = frozenset({(49, 64, 129), (279, 294, 358)})
SKULL_CENTRE, SKULL_RADII = np.array([0.0, 2.2, -2.0]), np.array([7.75, 9.2, 8.8])
SKULL_RINGS = 6


@dataclass(frozen=True)
class Cage:
    """Rest points [N, 3] (the first 468 are MediaPipe's), triangles, which of the 468 each added point hangs on, and how
    firmly (1 = moves with it), and how open each point is to light (1 = open, 0 = deep inside)."""

    points: Points
    triangles: Triangles
    parent: NDArray[np.int64]
    bond: NDArray[np.float64]
    openness: NDArray[np.float64]


def canonical() -> Points:
    """MediaPipe's canonical face model [468, 3] in cm, mirrored from its left half."""
    half = np.loadtxt(Path(__file__).with_name("face_mesh.txt")) / 100
    return np.vstack([half, half[half[:, 0] != 0] * [-1, 1, 1]])


def face_triangles() -> Triangles:
    """The mesh's 852 triangles (eyes and mouth are holes), turned outwards."""
    triangles = oriented(from_edges(FACEMESH_TESSELATION, NOT_FACES))
    points = canonical()
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return triangles if np.cross(b - a, c - a)[:, 2].sum() > 0 else triangles[:, ::-1].copy()


def _brows(p: Points) -> None:
    """Moves the brow's ten points a side onto a friendly arch that grows thinner outwards."""
    along = np.linspace(0, 1, 5)  # temple to nose
    for ridge, side in zip(BROWS, (-1, 1), strict=True):
        y = np.array([4.50, 5.16, 5.46, 5.36, 5.02])
        thick = 0.22 + 0.50 * along**0.8
        for row, rise, x in ((ridge[:5], 0.5, [5.45, 4.75, 3.80, 2.65, 1.35]), (ridge[5:], -0.5, [5.05, 4.40, 3.55, 2.5, 1.2])):
            p[row, 0] = side * np.array(x)
            p[row, 1] = y + rise * thick


def _bump(points: Points, centre: tuple[float, float], reach: tuple[float, float]) -> NDArray[np.float64]:
    away = ((np.abs(points[:, :2]) * [1, 0] + points[:, :2] * [0, 1] - centre) / reach) ** 2
    return np.asarray(np.exp(-away.sum(1)))


def styled(points: Points) -> Points:
    """A friendlier head: larger eyes, a finer jaw and nose, fuller lips."""
    p = points.copy()
    side = np.sign(p[:, 0])
    p[:, 0] *= 0.96
    eye = _bump(p, (3.1, 2.6), (2.3, 1.5))
    p[:, 0] += eye * 0.22 * (p[:, 0] - side * 3.1)
    p[:, 1] += eye * 0.42 * (p[:, 1] - 2.62)
    jaw = np.clip((-p[:, 1] - 1.0) / 8.0, 0, 1)
    p[:, 0] *= 1 - 0.13 * jaw**1.2
    p[:, 1] += 0.55 * jaw**2
    nose = _bump(p, (0.6, -1.0), (1.7, 1.9))
    p[:, 0] *= 1 - 0.08 * nose
    p[:, 2] -= 0.55 * nose
    p[:, 1] += 0.18 * nose
    _brows(p)
    return p


def _lids(p: Points) -> None:
    """Lays the lids' rims on the eyeballs; almond-shaped, a little open-eyed."""
    for centre, (upper, lower, above, below), corners in zip(EYES, (RIGHT_EYE, LEFT_EYE), EYE_CORNERS, strict=True):
        inward = -np.sign(centre[0])
        outer, inner = p[corners[0]], p[corners[1]]
        along = np.linspace(0, 1, 9)[1:-1]
        for row, rise, radius in ((upper, 0.90, 1.06), (lower, -0.72, 1.05), (above, 1.42, 1.14), (below, -1.18, 1.12)):
            x = outer[0] + (inner[0] - outer[0]) * along
            arch = np.sin(np.pi * along) ** 0.72
            y = outer[1] + (inner[1] - outer[1]) * along + rise * arch
            if row is above:
                y += 0.12
            lifted = np.stack([x - inward * 0.06 * arch * (rise > 0), y, np.zeros(7)], 1)
            flat = lifted[:, :2] - centre[:2]
            lifted[:, 2] = centre[2] + np.sqrt(np.maximum((EYEBALL * radius) ** 2 - (flat**2).sum(1), 0.35))
            p[row] = lifted if row in (upper, lower) else 0.25 * p[row] + 0.75 * lifted
        for corner in corners:
            away = p[corner] - centre
            p[corner] = centre + away * (EYEBALL * 1.10 / np.linalg.norm(away)) * np.array([1, 1, 1])


def _lips_shut(p: Points) -> None:
    """Brings the canonical model's slightly open lips together along the line halfway."""
    for column in range(9):
        upper, lower = p[UPPER_LIP[3][column]], p[LOWER_LIP[3][column]]
        gap, depth = upper[1] - lower[1], upper[2] - lower[2]
        for row, share in zip((0, 1, 2, 3), (0.15, 0.45, 0.8, 1.0), strict=True):
            p[UPPER_LIP[row][column]] -= [0, 0.45 * share * gap, 0.5 * share * depth]
            p[LOWER_LIP[row][column]] += [0, 0.55 * share * gap, 0.5 * share * depth]


def _skull(points: Points) -> tuple[list[list[int]], Points, list[int], list[float]]:
    """Rings from the face's oval over an ellipsoid to a pole at the back."""
    start = (points[OVAL] - SKULL_CENTRE) / SKULL_RADII
    length = np.linalg.norm(start, axis=1, keepdims=True)
    start = start / length
    pole = np.array([0.0, -0.35, -1.0]) / np.hypot(0.35, 1.0)
    angle = np.arccos(np.clip(start @ pole, -1, 1))[:, None]
    rings, added, parent, bond = [], [], [], []
    for k in range(1, SKULL_RINGS + 1):
        t = k / (SKULL_RINGS + 1)
        way = (np.sin((1 - t) * angle) * start + np.sin(t * angle) * pole) / np.sin(angle)
        size = 1 + (length - 1) * (1 - t) ** 1.6
        rings.append([POINTS + len(OVAL) * (k - 1) + i for i in range(len(OVAL))])
        added.append(SKULL_CENTRE + way * size * SKULL_RADII)
        parent += OVAL
        bond += [max(1 - 1.8 * t, 0.0)] * len(OVAL)
    added.append((SKULL_CENTRE + pole * SKULL_RADII)[None])
    return rings, np.concatenate(added), [*parent, OVAL[0]], [*bond, 0.0]


def build() -> Cage:
    """The whole cage at rest: lips shut, eyes open."""
    face = styled(canonical())
    _lids(face)
    _lips_shut(face)
    rings, added, parent, bond = _skull(face)
    faces = [face_triangles()]
    known = np.concatenate([face, added])
    for first, second in zip([OVAL, *rings], rings, strict=False):
        faces.append(strip(first, second, known))
    tip = POINTS + len(added) - 1
    faces.append(np.array([[a, b, tip] for a, b in zip(rings[-1], rings[-1][1:] + rings[-1][:1], strict=True)]))
    points = [face, added]
    openness = [np.ones(POINTS), np.ones(len(added))]
    openness[0][MOUTH_RIM] = 0.62
    count = POINTS + len(added)

    def inset(rim: list[int], where: Points, light: float, on: list[int]) -> list[int]:
        nonlocal count
        row = list(range(count, count + len(rim)))
        points.append(where)
        openness.append(np.full(len(rim), light))
        parent.extend(on)
        bond.extend([1.0] * len(on))
        faces.append(strip(rim, row, np.concatenate(points)))
        count += len(rim)
        return row

    up = np.array([0, *[1] * 9, 0, *[-1] * 9], float)[:, None]
    rim = face[MOUTH_RIM]
    first = inset(MOUTH_RIM, rim + up * [0, 0.10, 0] - [0, 0, 0.45], 0.30, MOUTH_RIM)
    inset(first, rim * [0.97, 1, 1] + up * [0, 0.55, 0] - [0, 0, 1.0], 0.10, MOUTH_RIM)
    for centre, (upper, lower, _, _), corners in zip(EYES, (RIGHT_EYE, LEFT_EYE), EYE_CORNERS, strict=True):
        lid = [corners[0], *upper, corners[1], *lower[::-1]]
        inset(lid, centre + (face[lid] - centre) * 0.86, 0.45, lid)
    triangles = oriented(np.concatenate(faces))
    hung = np.array([*range(POINTS), *parent])
    return Cage(np.concatenate(points), triangles, hung, np.array([*[1.0] * POINTS, *bond]), np.concatenate(openness))
