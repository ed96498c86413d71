"""Which rays a training looks along, what they are to show, and where in space the head can be at all."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geneface.face.geometry import Array
from geneface.face.person import Person
from geneface.renderers import MOTION_NOISE, Views
from geneface.renderers.nerf.camera import Cameras
from geneface.renderers.nerf.field import NerfDims
from geneface.renderers.nerf.march import Head
from geneface.renderers.whole import Footage, box
from steps.errors import InputError

CARVE_FRAMES, CARVE_AGREE = 48, 0.9
"""Frames that are looked at, and how many of them must show the head in a cell that is kept: this share of the best cell's."""
MARGIN = 0.04
"""Of the box around the head, on each side."""
NO_HEAD = "The dataset's layers show a head in no frame."


@dataclass(frozen=True)
class Batch:
    """Rays of the frames `chosen` [B]: which of these each belongs to [R], and what it is to show: colour [R, 3] and the shares
    [R, 3] of head, neck and torso.
    """

    chosen: np.ndarray
    frame: Tensor
    index: Tensor
    """[R] place in a picture as trained, row by row."""
    colour: Tensor
    share: Tensor


class RaySampler:
    """Chooses frames and rays, mostly where the person and above all mouth and eyes are."""

    def __init__(self, footage: Footage, views: Views, person: Person, dims: NerfDims, device: torch.device) -> None:
        self.footage, self.views, self.dims, self.device = footage, views, dims, device
        to_picture = dims.size / dims.side
        self.lips = views.pose.project(person.motion(views.lower)[:, 48:68])[..., :2] * to_picture
        face = views.pose.project(person.mean)[..., :2] * to_picture
        self.eyes = face[:, 36:48]
        self.low, self.high = face.min(1), face.max(1)
        grow = 0.1 * (self.high - self.low)
        self.low, self.high = self.low - grow, self.high + grow
        self.cameras = Cameras.of(views.pose, device)

    def probability(self, share: Array, floor: float, features: float = 0.0) -> Array:
        """Of each pixel [size * size] to be drawn, from a share [size, size] of the whole clip; `features`: how much
        of it all goes to the mouth, and half as much to the eyes.
        """
        size = self.dims.size
        mouth, eyes = box(self.lips, 2, size), box(self.eyes, 1, size)
        weight = (share + floor) / (share + floor).sum()
        weight = weight + features * (mouth / max(mouth.sum(), 1) + 0.5 * eyes / max(eyes.sum(), 1))
        return np.asarray((weight / weight.sum()).ravel())

    def batch(self, chosen: np.ndarray, index: np.ndarray) -> Batch:
        """index [B, R]: which pixels of each chosen frame."""
        colour, share = (a.reshape(len(chosen), 3, -1) for a in self.footage.pictures(chosen))
        taken = [np.take_along_axis(a, index[:, None], 2).transpose(0, 2, 1).reshape(-1, 3) for a in (colour, share)]
        frame = torch.arange(len(chosen)).repeat_interleave(index.shape[1])
        arrays = (torch.from_numpy(index.ravel()), *(torch.from_numpy(a) for a in taken))
        return Batch(chosen, frame.to(self.device), *(a.to(self.device) for a in arrays))

    def pixels(self, index: Tensor) -> Tensor:
        """Centres of trained pixels [R] in pixels of the dataset's frames, [R, 2]."""
        size = self.dims.size
        place = torch.stack([index % size, index // size], -1).float()
        return (place + 0.5) * (self.dims.side / size) - 0.5

    def near_face(self, batch: Batch) -> Tensor:
        """Whether each ray [R] goes through the rectangle around the face."""
        size = self.dims.size
        place = torch.stack([batch.index % size, batch.index // size], -1).float()
        low, high = (torch.from_numpy(a[batch.chosen]).to(self.device)[batch.frame] for a in (self.low, self.high))
        return ((place >= low) & (place <= high)).all(1)

    def motion(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Slightly disturbed motion [B, 111] and eyes [B, 2]."""
        lower, eyes = (torch.from_numpy(a[chosen]).to(self.device) for a in (self.views.lower, self.views.eyes))
        return lower + MOTION_NOISE * torch.randn_like(lower), eyes

    def cameras_of(self, chosen: np.ndarray) -> Cameras:
        """Of these frames."""
        index = torch.from_numpy(chosen).to(self.device)
        return Cameras(self.cameras.rotation[index], self.cameras.translation[index], self.cameras.scale[index])


def box_of(sampler: RaySampler, person: Person) -> Tensor:
    """[2, 3] low corner and sides, in face units, of the box that holds the head as far as it is ever seen."""
    footage, pose = sampler.footage, sampler.views.pose
    corners = []
    for i in footage.spaced(CARVE_FRAMES):
        y, x = np.nonzero(footage.layers[i, 0] > 100)
        if len(x):
            seen = (np.stack([x, y], -1) + 0.5) * (sampler.dims.side / sampler.dims.size) - 0.5
            flat = np.concatenate([seen, np.full((len(x), 1), pose.translation[i, 2])], 1)[None]
            head = pose[i : i + 1].remove(flat.astype(np.float32))[0]
            corners.append(np.percentile(head[:, :2], [0.5, 99.5], axis=0))
    if not corners:
        raise InputError("dataset_incomplete", f"{NO_HEAD} Run `python -m geneface preprocess` again.")
    low, high = np.median(corners, axis=0)
    margin = MARGIN * (high - low)
    low_z, high_z = person.shape[:, 2].min() - 30, person.shape[:, 2].max() + 60
    low, high = np.append(low - margin, low_z), np.append(high + margin, high_z)
    return torch.from_numpy(np.stack([low, high - low]).astype(np.float32))


def carved(head: Head, sampler: RaySampler) -> Tensor:
    """Which cells [cells^3] of the occupancy grid lie outside the head's visual hull."""
    dims, footage = sampler.dims, sampler.footage
    centres = head.occupancy.centres(torch.arange(dims.cells**3)) * head.box[1] + head.box[0]
    inside = np.zeros(len(centres), np.int64)
    frames = footage.spaced(CARVE_FRAMES)
    wide = functional.max_pool2d(torch.from_numpy(footage.layers[frames, :1]).float(), 3, 1, 1)[:, 0] > 25
    for i, mask in zip(frames, wide.numpy(), strict=True):
        place = sampler.views.pose[i : i + 1].project(centres.numpy())[0, :, :2]
        x, y = (((place + 0.5) * (dims.size / dims.side)).astype(int).clip(0, dims.size - 1)).T
        inside += mask[y, x]
    return torch.from_numpy(inside < CARVE_AGREE * max(inside.max(), 1))
