"""Topology: triangles, their neighbours, and Loop subdivision as one sparse matrix."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Triangles = NDArray[np.int64]
Put = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]], None]  # row, column and value of matrix entries


def from_edges(edges: Iterable[tuple[int, int]], without: frozenset[tuple[int, int, int]]) -> Triangles:
    """All three-cliques of a graph, but `without` those (sorted) that are no face of the mesh: [F, 3]."""
    near: dict[int, set[int]] = defaultdict(set)
    for first, second in edges:
        near[first].add(second)
        near[second].add(first)
    found = {tuple(sorted((a, b, c))) for a in near for b in near[a] for c in near[a] & near[b]}
    return np.array(sorted(found - without), np.int64)


def edges_of(triangles: Triangles) -> NDArray[np.int64]:
    """Every triangle's three directed edges: [3F, 2]; row k belongs to triangle k % F."""
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])


def oriented(triangles: Triangles) -> Triangles:
    """The same triangles, all turning the same way as the first one."""
    of_edge: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, (a, b, c) in enumerate(triangles):
        for pair in ((a, b), (b, c), (c, a)):
            of_edge[min(pair), max(pair)].append(number)
    turned = triangles.copy()
    seen, queue = {0}, deque([0])
    while queue:
        number = queue.popleft()
        a, b, c = turned[number]
        for pair in ((a, b), (b, c), (c, a)):
            for other in of_edge[min(pair), max(pair)]:
                if other in seen:
                    continue
                p, q, r = turned[other]
                if pair in ((p, q), (q, r), (r, p)):
                    turned[other] = [p, r, q]
                seen.add(other)
                queue.append(other)
    if len(seen) != len(triangles):
        raise ValueError("the mesh is not one piece")
    return turned


def strip(first: list[int], second: list[int], points: NDArray[np.float64]) -> Triangles:
    """Triangles between two rings of equal length, each quad cut along its shorter diagonal (so mirrored rings mirror)."""
    faces = []
    for (a, b), (c, d) in zip(pairwise(first + first[:1]), pairwise(second + second[:1]), strict=True):
        if np.linalg.norm(points[a] - points[d]) < np.linalg.norm(points[b] - points[c]):
            faces += [[a, b, d], [a, d, c]]
        else:
            faces += [[a, b, c], [b, d, c]]
    return np.array(faces, np.int64)


def subdivided(triangles: Triangles, count: int) -> tuple[sparse.csr_matrix, Triangles]:
    """One step of Loop subdivision (C. Loop, 1987): fine = matrix @ coarse [count, 3]. Old vertices keep their numbers."""
    directed = edges_of(triangles)
    keys, back, uses = np.unique(np.sort(directed, axis=1), axis=0, return_inverse=True, return_counts=True)
    back = back.reshape(-1)
    opposite = np.concatenate([triangles[:, 2], triangles[:, 0], triangles[:, 1]])
    border = uses == 1
    rows: list[NDArray[np.int64]] = []
    columns: list[NDArray[np.int64]] = []
    values: list[NDArray[np.float64]] = []

    def put(row: NDArray[np.int64], column: NDArray[np.int64], value: NDArray[np.float64]) -> None:
        rows.append(row)
        columns.append(column)
        values.append(value)

    middle = count + np.arange(len(keys))
    for side in (0, 1):
        put(middle, keys[:, side], np.where(border, 0.5, 0.375))
    inner = ~border[back]
    put(middle[back][inner], opposite[inner], np.full(inner.sum(), 0.125))
    _old_vertices(keys, border, count, put)
    matrix = sparse.coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(count + len(keys), count)
    ).tocsr()
    ab, bc, ca = middle[back].reshape(3, -1)
    a, b, c = triangles.T
    fine = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    return matrix, fine


def _old_vertices(keys: NDArray[np.int64], border: NDArray[np.bool_], count: int, put: Put) -> None:
    """Rows of the old vertices: Loop's beta inside, the cubic spline's 1/8, 3/4, 1/8 along borders."""
    both = np.concatenate([keys, keys[:, ::-1]])
    on_border = np.zeros(count, bool)
    on_border[keys[border]] = True
    valence = np.bincount(both[:, 0], minlength=count)
    beta = (0.625 - (0.375 + 0.25 * np.cos(2 * np.pi / np.maximum(valence, 1))) ** 2) / np.maximum(valence, 1)
    all_ = np.arange(count)
    put(all_, all_, np.where(on_border, 0.75, 1 - valence * beta))
    inside = ~on_border[both[:, 0]]
    put(both[inside, 0], both[inside, 1], beta[both[inside, 0]])
    rim = np.concatenate([border, border]) & on_border[both[:, 0]]
    put(both[rim, 0], both[rim, 1], np.full(rim.sum(), 0.125))


def refined(triangles: Triangles, count: int, levels: int) -> tuple[sparse.csr_matrix, Triangles]:
    """`levels` steps of subdivision in one matrix."""
    matrix, fine = subdivided(triangles, count)
    for _ in range(levels - 1):
        step, fine = subdivided(fine, matrix.shape[0])
        matrix = (step @ matrix).tocsr()
    return matrix, fine


def harmonic(triangles: Triangles, count: int, fixed: dict[int, float]) -> NDArray[np.float64]:
    """A smooth value for every vertex that meets the `fixed` ones: each free vertex is its neighbours' mean."""
    directed = edges_of(triangles)
    both = np.unique(np.concatenate([directed, directed[:, ::-1]]), axis=0)
    links = sparse.coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(count, count)).tocsr()
    laplacian = sparse.diags(np.asarray(links.sum(1)).ravel() + 1e-3) - links
    known = np.array(list(fixed))
    given = np.array(list(fixed.values()), np.float64)
    free = np.setdiff1d(np.arange(count), known)
    values = np.zeros(count)
    values[known] = given
    values[free] = sparse.linalg.spsolve(laplacian[free][:, free].tocsc(), -laplacian[free][:, known] @ given)
    return values


def normals(points: NDArray[np.float64], triangles: Triangles) -> NDArray[np.float64]:
    """Area-weighted unit normals of the vertices: [V, 3]."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    total = np.zeros_like(points)
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(triangles[:, k], face[:, axis], minlength=len(points))
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9))
