"""Where the Gaussians begin: on the person's mesh, on the rest of the head as the layers show it, and over neck and torso."""

import numpy as np
import torch
from numpy.typing import NDArray

from geneface.face.geometry import Array
from geneface.face.person import Person
from geneface.renderers import Views
from geneface.renderers.gs.mesh import response, spread, triangulated
from geneface.renderers.gs.model import Gaussians
from geneface.renderers.whole import Footage, pose_vector

OPACITY = 1.5
"""Before the sigmoid."""
COVER = 0.7
"""Deviation of a Gaussian over the distance to its neighbours."""
FRAMES = 32
"""Frames that colours and places are taken from."""
BEHIND = 15.0
"""Face units by which hair and ears lie deeper than the nearest point of the face's rim."""


def begin(model: Gaussians, footage: Footage, views: Views, person: Person, points: Array, rng: np.random.Generator) -> None:
    """Fills buffers and parameters; points: pose-free mesh points [T, 478, 3] of the training frames."""
    dims = model.dims
    corners, weights, area = _mesh(dims.face, person, rng)
    _set(model.shape, person.shape)
    _set(model.corners, corners)
    _set(model.weights, weights)
    _set(model.usual_eyes, np.median(views.eyes, 0)[None])
    motion = model.motion(torch.from_numpy(views.lower), torch.from_numpy(views.eyes)).numpy()
    _set(model.response, response(motion[footage.usable], points[footage.usable], person.shape))
    _set(model.usual_pose, pose_vector(views.pose, dims.side).mean(0)[None])
    chosen = footage.spaced(FRAMES)
    colours, layers = footage.pictures(chosen)
    hung = (person.shape[corners] * weights[..., None]).sum(1)
    hair = _hair(dims.hair, layers[:, 0], views, chosen, hung, person, dims.side / dims.size, rng)
    head = np.concatenate([hung, hair])
    _set(model.offset[dims.face :], hair)
    spot = _torso(dims.torso, layers[:, 1:].sum(1), dims.side / dims.size, rng)
    _set(model.spot, spot)
    seen = np.stack([views.pose[i : i + 1].project(head)[0, :, :2] for i in chosen])
    of_head = _sampled(colours, layers[:, 0], seen, dims.size / dims.side)
    of_torso = _sampled(colours, layers[:, 1:].sum(1), np.repeat(spot[None], len(chosen), 0), dims.size / dims.side)
    _set(model.colour, _logit(np.concatenate([of_head, of_torso])))
    model.opacity.data.fill_(OPACITY)
    around = np.log(COVER * np.sqrt(area / dims.face))
    wide = max(layers[:, 0].sum((1, 2)).mean() * (dims.side / dims.size / views.pose.scale.mean()) ** 2 - area, area / 10)
    low = layers[:, 1:].sum((1, 2, 3)).mean() * (dims.side / dims.size) ** 2
    model.log_scale.data[: dims.face] = float(around)
    model.log_scale.data[dims.face : dims.head] = float(np.log(COVER * np.sqrt(wide / dims.hair)))
    model.log_scale.data[dims.head :] = float(np.log(COVER * np.sqrt(max(low, 1.0) / dims.torso)))


def _mesh(count: int, person: Person, rng: np.random.Generator) -> tuple[NDArray[np.int64], Array, float]:
    """Corners [count, 3], weights [count, 3] and the area of the face as seen from the front, in squared face units."""
    triangles = triangulated(person.shape)
    weights, chosen = spread(person.shape, triangles, count, rng)
    a, b, c = (person.shape[triangles[:, k], :2] for k in range(3))
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).sum() / 2
    return triangles[chosen], weights, float(area)


def _hair(
    count: int, heads: Array, views: Views, chosen: NDArray[np.int64], hung: Array, person: Person, scale: float,
    rng: np.random.Generator,
) -> Array:  # fmt: skip
    """Places [count, 3] in face units where the layers [K, size, size] show head and the mesh does not reach."""
    found = []
    near = np.sqrt(((hung.max(0) - hung.min(0))[:2]).prod() / len(hung)) * 1.5
    for picture, frame in zip(heads, chosen, strict=True):
        y, x = np.nonzero(picture > 0.5)
        pick = rng.choice(len(x), min(len(x), 4 * count // len(chosen) + 64), replace=False)
        pose = views.pose[frame : frame + 1]
        flat = np.stack([(x[pick] + 0.5) * scale - 0.5, (y[pick] + 0.5) * scale - 0.5, np.zeros(len(pick))], -1)
        flat[:, 2] = pose.translation[0, 2]
        place = pose.remove(flat[None].astype(np.float32))[0]
        distance, nearest = _nearest(place[:, :2], hung[:, :2])
        place[:, 2] = hung[nearest, 2] + BEHIND
        found.append(place[distance > near])
    places = np.concatenate(found) if found else np.zeros((0, 3), np.float32)
    if not len(places):
        places = hung
    return places[rng.choice(len(places), count, replace=len(places) < count)].astype(np.float32)


def _nearest(points: Array, others: Array) -> tuple[Array, NDArray[np.int64]]:
    """Distance [N] to the nearest of the others, and which [N]."""
    distance = torch.cdist(torch.from_numpy(np.ascontiguousarray(points)), torch.from_numpy(np.ascontiguousarray(others)))
    found = distance.min(1)
    return found.values.numpy(), found.indices.numpy()


def _torso(count: int, shares: Array, scale: float, rng: np.random.Generator) -> Array:
    """Places [count, 2] in pixels of the frame where the layers [K, size, size] ever show neck or torso."""
    ever = shares.max(0)
    y, x = np.nonzero(ever > 0.5)
    if not len(x):
        y, x = np.nonzero(np.ones_like(ever))
    pick = rng.choice(len(x), count, replace=len(x) < count)
    place = np.stack([x[pick], y[pick]], -1) + rng.uniform(0, 1, (count, 2))
    return (place * scale - 0.5).astype(np.float32)


def _sampled(colours: Array, share: Array, places: Array, scale: float) -> Array:
    """Mean colour [G, 3] of pictures [K, 3, size, size] at places [K, G, 2] in pixels of the frame, weighted by share [K, size,
    size]; `scale`: pixels of the pictures for each of the frame.
    """
    size = colours.shape[-1]
    x, y = np.moveaxis(((places + 0.5) * scale).astype(int).clip(0, size - 1), -1, 0)
    frames = np.arange(len(colours))[:, None]
    weight = share[frames, y, x][..., None] + 1e-3
    return np.asarray((colours.transpose(0, 2, 3, 1)[frames, y, x] * weight).sum(0) / weight.sum(0))


def _logit(values: Array) -> Array:
    inside = values.clip(0.02, 0.98)
    return np.asarray(np.log(inside / (1 - inside)))


def _set(target: torch.Tensor, values: np.ndarray) -> None:
    target.data.copy_(torch.from_numpy(np.ascontiguousarray(values)))
