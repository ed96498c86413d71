"""The person's median shape as a mesh of triangles, and how landmark motion moves all of its points. Pure numpy."""

import numpy as np
from numpy.typing import NDArray

from geneface.face.geometry import Array

NUDGE = 0.05
"""Face units by which points are moved apart, so that no two coincide and no four lie on a circle."""
RIDGE = 0.02
"""Share of the motion's own variance that is added where the regression has little to go by."""


def triangulated(shape: Array) -> NDArray[np.int64]:
    """Delaunay triangles [F, 3] of a shape [N, 3] seen from the front, by Bowyer (1981) and Watson (1981)."""
    points = shape[:, :2].astype(np.float64) + np.random.default_rng(0).normal(0, NUDGE, (len(shape), 2))
    middle, reach = points.mean(0), 20 * np.ptp(points, axis=0).max()
    around = middle + reach * np.array([[-1, -1], [1, -1], [0, 1.5]], np.float64)
    points = np.concatenate([points, around])
    count = len(shape)
    triangles = np.array([[count, count + 1, count + 2]])
    centre, radius = _circles(points[triangles])
    for index in range(count):
        hit = ((points[index] - centre) ** 2).sum(1) < radius
        edges = np.sort(triangles[hit][:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        border, times = np.unique(edges, axis=0, return_counts=True)
        new = np.concatenate([border[times == 1], np.full((int((times == 1).sum()), 1), index)], 1)
        new_centre, new_radius = _circles(points[new])
        triangles = np.concatenate([triangles[~hit], new])
        centre, radius = np.concatenate([centre[~hit], new_centre]), np.concatenate([radius[~hit], new_radius])
    return triangles[(triangles < count).all(1)].astype(np.int64)


def _circles(corners: Array) -> tuple[Array, Array]:
    """Centres [F, 2] and squared radii [F] of the circles through three points [F, 3, 2]."""
    a, b, c = np.moveaxis(corners, 1, 0)
    b, c = b - a, c - a
    twice = 2 * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
    twice = np.where(np.abs(twice) < 1e-12, 1e-12, twice)
    bb, cc = (b**2).sum(1), (c**2).sum(1)
    x = (c[:, 1] * bb - b[:, 1] * cc) / twice
    y = (b[:, 0] * cc - c[:, 0] * bb) / twice
    return a + np.stack([x, y], 1), x**2 + y**2


def response(motion: Array, points: Array, shape: Array) -> Array:
    """[M, N * 3]: how far pose-free points [T, N, 3] move from their `shape` [N, 3] for each unit of motion [T, M], by ridge
    regression over the person's own frames.
    """
    moved = (points - shape).reshape(len(points), -1).astype(np.float64)
    motion = motion.astype(np.float64)
    square = motion.T @ motion
    square += RIDGE * np.trace(square) / len(square) * np.eye(len(square))
    return np.linalg.solve(square, motion.T @ moved).astype(np.float32)


def spread(shape: Array, triangles: NDArray[np.int64], count: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """`count` places on the mesh, evenly by the area that is seen, small triangles included: weights [count, 3] of the corners,
    and their triangles [count].
    """
    a, b, c = (shape[triangles[:, k], :2] for k in range(3))
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    share = area + 0.2 * area.mean()
    chosen = np.sort(rng.choice(len(triangles), count, p=share / share.sum()))
    return rng.dirichlet(np.ones(3), count).astype(np.float32), chosen
