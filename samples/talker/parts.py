"""Parts: eyes, teeth, tongue, the mouth's inside, ears, hair, neck and clothes, as meshes at rest in cm."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from samples.talker.face import EYEBALL, SKULL_CENTRE, Points
from samples.talker.topology import Triangles, normals


class Material(IntEnum):
    """What a surface is made of; light.py knows how each looks."""

    SKIN = 0
    EYE = 1
    TOOTH = 2
    FLESH = 3
    HAIR = 4
    MANE = 5
    CLOTH = 6
    PEARL = 7
    LASH = 8


@dataclass(frozen=True)
class Mesh:
    """Points [V, 3], triangles [F, 3] turned outwards, uv [V, 2] in 0..1, openness to light [V]."""

    points: Points
    triangles: Triangles
    uv: NDArray[np.float64]
    openness: NDArray[np.float64]
    material: Material


def _grid(rows: int, columns: int, closed: bool) -> Triangles:
    """Triangles of a grid of points [rows * columns]; `closed` joins the last column to the first."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    a, b = r * columns + c, r * columns + (c + 1) % columns
    d, e = a + columns, b + columns
    return np.concatenate([np.stack([a, d, b], -1).reshape(-1, 3), np.stack([b, d, e], -1).reshape(-1, 3)])


def _mesh(points: Points, grid: tuple[int, int, bool], material: Material, inside_out: bool = False, light: float = 1.0) -> Mesh:
    """A grid mesh [rows, columns, 3] turned away from its middle (or towards it)."""
    rows, columns, closed = grid
    flat = points.reshape(-1, 3)
    triangles = _grid(rows, columns, closed)
    outward = (normals(flat, triangles) * (flat - flat.mean(0))).sum() > 0
    if outward == inside_out:
        triangles = triangles[:, ::-1].copy()
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    return Mesh(flat, triangles, np.stack([u, v], -1).reshape(-1, 2), np.full(len(flat), light), material)


def _sphere(centre: Points, radii: tuple[float, float, float], material: Material, rows: int = 24, columns: int = 40) -> Mesh:
    t, a = np.meshgrid(np.linspace(0.001, np.pi - 0.001, rows), np.arange(columns) * 2 * np.pi / columns, indexing="ij")
    ball = np.stack([np.sin(t) * np.cos(a), np.cos(t), np.sin(t) * np.sin(a)], -1) * radii + centre
    return _mesh(ball, (rows, columns, True), material)


def eye() -> Mesh:
    """An eyeball's front half around the origin, with the cornea's bulge; uv is its straight-on picture."""
    rows, columns = 30, 48
    t, a = np.meshgrid(np.linspace(0.001, 1.7, rows), np.arange(columns) * 2 * np.pi / columns, indexing="ij")
    radius = EYEBALL * (1 + 0.045 * np.exp(-((t / 0.42) ** 4)))
    ball = np.stack([np.sin(t) * np.cos(a), np.sin(t) * np.sin(a), np.cos(t)], -1) * radius[..., None]
    mesh = _mesh(ball, (rows, columns, True), Material.EYE)
    uv = 0.5 + mesh.points[:, :2] / (2.1 * EYEBALL)
    towards_lid = np.clip((0.30 - mesh.points[:, 1]) / 0.8, 0, 1)
    corner = 1 - 0.35 * np.clip((np.abs(mesh.points[:, 0]) - 0.85) / 0.6, 0, 1)
    return Mesh(mesh.points, mesh.triangles, uv, (0.58 + 0.42 * towards_lid) * corner, Material.EYE)


LASHES = 49  # samples along one lid


def lash_triangles() -> Triangles:
    """A ribbon of LASHES root points followed by LASHES tips, seen from both sides."""
    one = _grid(2, LASHES, False)
    return np.concatenate([one, one[:, ::-1]])


def lashes(rim: Points, centre: Points, blink: float) -> Points:
    """The ribbon's points [2 * LASHES, 3] along an upper lid's rim [9, 3] (outer corner first) around its eyeball."""
    along = np.linspace(0, 8, LASHES)
    root = np.stack([CubicSpline(np.arange(9), rim[:, k])(along) for k in range(3)], 1)
    out = root - centre
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    share = (1 - along / 8)[:, None]
    lean = out * 0.8 + np.array([0.0, 0.62 - 0.95 * blink, 0.0]) + np.array([np.sign(centre[0]) * 0.55, 0, 0]) * (share - 0.25)
    spike = np.where(np.arange(LASHES) % 2 == 0, 1.0, 0.34)[:, None]
    length = 0.40 * (0.45 + 0.55 * share) * np.sin(np.pi * np.clip(0.10 + 0.88 * (1 - share), 0, 1)) ** 0.35 * spike
    return np.concatenate([root + 0.02 * out, root + lean * length])


def teeth(upper: bool) -> Mesh:
    """One row of teeth as a curved band with a rounded crown for every tooth."""
    rows, columns = 9, 161
    reach, front, edge, root = (2.3, 4.72, -4.56, -3.0) if upper else (2.0, 4.38, -4.98, -6.2)
    x = np.linspace(-reach, reach, columns)
    widths = np.array([0.86, 0.66, 0.74, 0.68, 0.68]) * (1.0 if upper else 0.72)
    walls = np.concatenate([[0], np.cumsum(widths)])
    tooth = np.clip(np.searchsorted(walls, np.abs(x), side="right") - 1, 0, 4)
    within = np.clip((np.abs(x) - walls[tooth]) / widths[tooth], 0, 1)
    crown = np.clip(1 - np.abs(2 * within - 1) ** 5, 0, 1)
    short = np.array([0.0, 0.07, 0.02, 0.10, 0.14])[tooth] + 0.10 * (1 - crown)
    v = np.linspace(0, 1, rows)[:, None]
    tip = edge + (short if upper else -short)
    y = tip + (root - tip) * v
    z = front - 0.34 * x**2 + 0.10 * crown * (1 - 0.3 * v) - 0.15 * (1 - v) ** 3 + 0 * y
    band = np.stack([np.broadcast_to(x, y.shape), y, z], -1)
    mesh = _mesh(band, (rows, columns, False), Material.TOOTH)
    face = normals(mesh.points, mesh.triangles)
    triangles = mesh.triangles if face[:, 2].sum() > 0 else mesh.triangles[:, ::-1].copy()
    gap = np.broadcast_to(0.62 + 0.38 * crown, y.shape)
    depth = np.broadcast_to(np.clip(1 - np.abs(x) / 3.0, 0, 1) ** 0.8, y.shape)
    light = (gap * (0.30 + 0.62 * depth) * (0.92 if upper else 0.72)).reshape(-1)
    return Mesh(mesh.points, triangles, mesh.uv, light, Material.TOOTH)


def tongue() -> Mesh:
    """The tongue's front."""
    mesh = _sphere(np.array([0, -5.00, 2.5]), (1.60, 0.62, 1.65), Material.FLESH)
    return Mesh(mesh.points, mesh.triangles, mesh.uv, np.clip((mesh.points[:, 2] - 1.6) / 3.0, 0.1, 0.80), Material.FLESH)


def cavity() -> Mesh:
    """A dark bowl behind the teeth that closes the view into the head."""
    rows, columns = 14, 32
    t, a = np.meshgrid(np.linspace(0.02, np.pi / 2, rows), np.arange(columns) * 2 * np.pi / columns, indexing="ij")
    bowl = np.stack([2.75 * np.sin(t) * np.cos(a), 2.6 * np.sin(t) * np.sin(a) - 4.9, 3.3 - 3.2 * np.cos(t)], -1)
    return _mesh(bowl, (rows, columns, True), Material.FLESH, inside_out=True, light=0.17)


def ear(side: int) -> Mesh:
    """An ear: a shell with a rolled rim, a hollow and a lobe; side is -1 or 1."""
    rows, columns = 26, 64
    r, a = np.meshgrid(np.linspace(0.02, 1.12, rows), np.arange(columns) * 2 * np.pi / columns, indexing="ij")
    wide = 1.55 + 0.45 * np.sin(a) - 0.18 * np.cos(2 * a)
    reach = np.minimum(r, 1.0)
    back, up = reach * wide * np.cos(a), reach * 2.75 * np.sin(a)
    rim = 0.42 * np.exp(-(((r - 0.88) / 0.10) ** 2)) * np.clip(1.1 + np.sin(a + 0.5), 0.25, 1)
    fold = 0.26 * np.exp(-(((r - 0.55) / 0.12) ** 2)) * np.clip(np.cos(a - 0.3), 0, 1)
    hollow = -0.55 * np.exp(-(((back + 0.35) / 0.55) ** 2) - ((up + 0.1) / 0.85) ** 2)
    height = rim + fold + hollow - 1.1 * np.clip(r - 1, 0, 1) / 0.12
    flare = 0.46
    out = height * np.cos(flare) + back * np.sin(flare)
    depth = -back * np.cos(flare) + height * np.sin(flare)
    points = np.stack([side * (7.30 + 0.35 * out + 0.55 * np.clip(out, 0, None)), up * 1.0 + 0.9, depth * 0.95 - 2.2], -1)
    points[..., 0] -= side * 0.10 * points[..., 1]
    mesh = _mesh(points, (rows, columns, True), Material.SKIN)
    turned = mesh.triangles if (normals(mesh.points, mesh.triangles)[:, 0] * side).sum() > 0 else mesh.triangles[:, ::-1].copy()
    light = np.clip(0.86 + 0.9 * np.minimum(hollow + fold * 0.4, 0) - 0.25 * np.exp(-(((r - 0.70) / 0.07) ** 2)), 0.3, 1).reshape(
        -1
    )
    return Mesh(mesh.points, turned, np.full((len(mesh.points), 2), 0.02), light, Material.SKIN)


def pearl(side: int) -> Mesh:
    """A small earring."""
    return _sphere(np.array([side * 7.75, -2.15, -1.75]), (0.34, 0.34, 0.34), Material.PEARL, 14, 20)


FLOW = np.array([0.10, 0.42, 0.90]) / np.linalg.norm([0.10, 0.42, 0.90])  # strands run around this axis, down from the parting
HAIRLINE = np.array(
    [
        [-9, -5.5],
        [-3, -4.6],
        [-1.2, -4.0],
        [0.8, -1.7],
        [2, -1.0],
        [4, 0.0],
        [5.5, 0.9],
        [6.8, 2.0],
        [7.7, 3.3],
        [8.2, 4.4],
        [9.5, 6.0],
    ]
)


def hair_depth(points: Points) -> NDArray[np.float64]:
    """How far inside the hairline points of the skull [..., 3] lie: cm, negative on bare skin. Round over the forehead."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    side = np.interp(y, *HAIRLINE.T) - z
    front = y - (8.55 - 0.075 * x**2)
    share = np.clip((y - 3.6) / 2.4, 0, 1) * np.clip((z + 1.5) / 2.0, 0, 1)
    return np.asarray(side + share * (front - side))


def hair(head: Points) -> Mesh:
    """Hair parted on top and combed to the sides: a shell over the skull that dives under the skin at the hairline."""
    rows, columns = 150, 260
    a = np.cross(FLOW, [1, 0, 0])
    a /= np.linalg.norm(a)
    b = np.cross(FLOW, a)
    t, w = np.meshgrid(np.linspace(0.25, 2.9, rows), np.arange(columns) * 2 * np.pi / columns, indexing="ij")
    way = np.cos(t)[..., None] * FLOW + np.sin(t)[..., None] * (np.cos(w)[..., None] * a + np.sin(w)[..., None] * b)
    away = head - SKULL_CENTRE
    size = np.linalg.norm(away, axis=1)
    near, who = cKDTree(away / size[:, None]).query(way.reshape(-1, 3), k=8)
    weight = 1 / (near**2 + 1e-4)
    radius = ((size[who] * weight).sum(1) / weight.sum(1)).reshape(rows, columns)
    skin = SKULL_CENTRE + way * radius[..., None]
    random = np.random.default_rng(3)
    lock = sum(random.normal() * np.cos(k * t + random.uniform(0, 6.3) + 0.5 * np.sin(w)) / k**0.5 for k in range(8, 90, 4))
    inside = hair_depth(skin) + 0.05 * lock
    volume = 0.72 + 0.35 * np.clip(way[..., 1], 0, 1)
    thick = volume * np.tanh(np.where(inside > 0, inside / 1.3, inside / 0.8)) + 0.05 * lock * np.clip(inside / 1.5, 0, 1) - 0.02
    parting = np.exp(-(((way[..., 0] - 0.11 * way[..., 1]) / 0.035) ** 2)) * (way[..., 1] > 0.2)
    thick -= 0.40 * parting * np.clip(inside, 0, 1)
    points = SKULL_CENTRE + way * (radius + np.clip(thick, -0.8, None))[..., None]
    mesh = _mesh(points, (rows, columns, True), Material.HAIR)
    light = ((0.70 + 0.30 * np.clip(inside / 1.2, 0, 1)) * (1 - 0.5 * parting) * (1 + 0.10 * np.clip(lock, -2, 2))).reshape(-1)
    grown = (inside > -0.9).reshape(-1)[mesh.triangles].any(1)
    return Mesh(mesh.points, mesh.triangles[grown], mesh.uv[:, ::-1] * [1.0, 2.0], light, Material.HAIR)


def mane() -> Mesh:
    """The hair that falls behind the ears to the shoulders."""
    rows, columns = 70, 220
    s, a = np.meshgrid(np.linspace(0, 1, rows), np.arange(columns) * 2 * np.pi / columns, indexing="ij")
    random = np.random.default_rng(4)
    lock = sum(
        random.normal() * np.cos(k * a + random.uniform(0, 6.3) + 1.2 * np.sin(3.0 * s + k)) / k**0.6 for k in range(7, 80, 3)
    )
    wide = CubicSpline([0, 0.25, 0.55, 0.8, 1], [6.4, 7.7, 8.4, 8.7, 7.7])(s)
    deep = CubicSpline([0, 0.25, 0.55, 0.8, 1], [4.6, 4.4, 3.8, 3.3, 2.5])(s)
    wave = 1 + 0.045 * lock * np.clip(3 * s, 0.2, 1) + 0.03 * np.sin(9 * s + 2 * np.cos(a))
    x, z = wide * wave * np.cos(a), -4.9 - 0.6 * s + deep * wave * np.sin(a)
    y = 4.5 - 16.2 * s + 0.5 * lock * np.clip(s - 0.9, 0, 1) * 4
    mesh = _mesh(np.stack([x, y, z], -1), (rows, columns, True), Material.MANE)
    light = (
        np.clip(0.72 + 0.13 * lock, 0.35, 1)
        * np.interp(s, [0, 0.3, 1], [0.6, 0.85, 0.9])
        * np.clip(0.55 + 0.075 * np.abs(x), 0, 1)
    )
    return Mesh(mesh.points, mesh.triangles, mesh.uv * [1.5, 0.6], light.reshape(-1), Material.MANE)


def _loft(knots: Points, rows: int, columns: int, material: Material) -> Mesh:
    """Superellipses along y; knots are rows of (y, half width, half depth, middle z, squareness)."""
    steps = np.interp(np.linspace(0, len(knots) - 1, rows), np.arange(len(knots)), np.arange(len(knots)))
    y, wide, deep, middle, square = (np.interp(steps, np.arange(len(knots)), column)[:, None] for column in knots.T)
    a = np.arange(columns) * 2 * np.pi / columns
    c, s = np.cos(a), np.sin(a)
    x = wide * np.sign(c) * np.abs(c) ** (2 / square)
    z = deep * np.sign(s) * np.abs(s) ** (2 / square)
    return _mesh(np.stack([x, y + 0 * x, z + middle], -1), (rows, columns, True), material)


def neck() -> Mesh:
    """Neck and the shoulders' beginning."""
    knots = np.array([
        [-1.0, 4.4, 4.4, -3.4, 2.0], [-5.0, 4.5, 4.6, -3.2, 2.0], [-8.5, 4.55, 4.5, -3.2, 2.0], [-11.5, 4.75, 4.4, -3.3, 2.0],
        [-13.2, 5.6, 4.5, -3.4, 2.0], [-14.4, 7.6, 4.8, -3.4, 2.1], [-16.0, 11.0, 5.6, -3.2, 2.2], [-19.0, 13.0, 6.2, -3.0, 2.2],
    ])  # fmt: skip
    mesh = _loft(knots, 60, 72, Material.SKIN)
    return Mesh(mesh.points, mesh.triangles, np.full((len(mesh.points), 2), 0.02), mesh.openness, Material.SKIN)


def clothes() -> list[Mesh]:
    """A sweater with a rolled collar."""
    knots = np.array([
        [-12.7, 5.7, 4.9, -3.4, 2.0], [-13.5, 7.3, 5.3, -3.4, 2.0], [-14.3, 9.6, 5.7, -3.4, 2.1], [-15.4, 12.6, 6.3, -3.3, 2.2],
        [-17.0, 15.4, 7.2, -3.1, 2.3], [-19.5, 17.2, 8.2, -3.0, 2.4], [-26.0, 18.2, 9.0, -3.0, 2.4],
    ])  # fmt: skip
    body = _loft(knots, 90, 120, Material.CLOTH)
    body.points[:, 1] -= 0.17 * np.clip(body.points[:, 2] + 3.4, 0, None) * np.exp(-(((body.points[:, 1] + 13) / 3.0) ** 2))
    t, a = np.meshgrid(np.arange(16) * 2 * np.pi / 16, np.arange(120) * 2 * np.pi / 120, indexing="ij")
    roll = np.stack(
        [(5.75 + 0.62 * np.cos(t)) * np.cos(a), -12.75 + 0.85 * np.sin(t), -3.4 + (4.95 + 0.62 * np.cos(t)) * np.sin(a)], -1
    )
    roll[..., 1] -= 0.17 * np.clip(roll[..., 2] + 3.4, 0, None)
    collar = _mesh(np.concatenate([roll, roll[:1]]), (17, 120, True), Material.CLOTH)
    middle = np.stack([5.75 * np.cos(a), -12.75 - 0.17 * np.clip(4.95 * np.sin(a), 0, None), -3.4 + 4.95 * np.sin(a)], -1)
    outward = np.concatenate([roll - middle, roll[:1] - middle[:1]]).reshape(-1, 3)
    if (normals(collar.points, collar.triangles) * outward).sum() < 0:
        collar = Mesh(collar.points, collar.triangles[:, ::-1].copy(), collar.uv, collar.openness, Material.CLOTH)
    return [body, Mesh(collar.points, collar.triangles, collar.uv * [1.0, 0.3], collar.openness, Material.CLOTH)]
