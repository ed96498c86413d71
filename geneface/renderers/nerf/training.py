"""Trains the head, and then, under the finished head, the torso."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from geneface.face.geometry import Array
from geneface.face.person import Person
from geneface.renderers import Settings, Views
from geneface.renderers.losses import picture_loss
from geneface.renderers.nerf.camera import Cameras
from geneface.renderers.nerf.field import NerfDims
from geneface.renderers.nerf.fused import way
from geneface.renderers.nerf.march import Drawn, Head
from geneface.renderers.nerf.torso import Torso
from geneface.renderers.whole import Footage, pose_vector
from steps.errors import InputError

MOTION_NOISE = 0.05
"""Deviation of the noise on normalised motion, as for the other renderers."""
GRID_RATE = 8.0
"""Tables learn this many times as fast as the networks."""
ENTROPY, AMBIENT, STRUCTURE, SHARE = 1e-3, 0.1, 0.1, 0.3
REFRESH = 16
"""Steps between two looks at the occupancy."""
REFRESH_FROM = 0.1
"""Share of the training before the first look: a surface must have formed."""
LOOKS = {"cpu": 1 << 13, "cuda": 1 << 18}
PATCHES_FROM = 0.4
"""Share of the training after which every other step draws a whole patch around the mouth."""
CARVE_FRAMES, CARVE_AGREE = 48, 0.9
"""A cell is kept when this share of so many frames show the head in it."""
MARGIN = 0.04
"""Of the box around the head, on each side."""
NO_HEAD = "The dataset's layers show a head in no frame."


@dataclass(frozen=True)
class NerfSettings(Settings):
    """How head and torso are trained."""

    rays: int = 2048
    """Of one update, over all its frames."""
    levels: int = 12
    finest: int = 512
    table_log2: int = 14
    width: int = 64
    samples: int = 24
    cells: int = 64


@dataclass(frozen=True)
class Batch:
    """Rays of some frames: frame [R], pixels [R, 2] of the dataset's frames, and what they are to show: colour [R, 3] and the
    shares [R, 3] of head, neck and torso.
    """

    chosen: np.ndarray
    frame: Tensor
    index: Tensor
    """[R] place in a picture as trained, row by row."""
    colour: Tensor
    share: Tensor


class Shooting:
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
        y, x = np.mgrid[:size, :size]
        low, high = np.percentile(self.lips.reshape(-1, 2), [1, 99], axis=0) + np.float64([[-2, -2], [2, 2]])
        mouth = (x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1])
        low, high = np.percentile(self.eyes.reshape(-1, 2), [1, 99], axis=0) + np.float64([[-1, -1], [1, 1]])
        eyes = (x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1])
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


class HeadTrainer:
    """`loop.Trained` for the head; what is not head is replaced by random colours, so that the field stays empty there."""

    name = "nerf_head"

    def __init__(self, shooting: Shooting, person: Person, settings: NerfSettings, device: torch.device) -> None:
        self.shooting, self.settings, self.device = shooting, settings, device
        self.steps, self.learning_rate, self.batch = settings.steps[0], settings.learning_rate, settings.rays
        share = shooting.footage.mean_share()[0]
        self.probability = shooting.probability(share, floor=0.03, features=0.4)
        head = Head(shooting.dims)
        head.box.copy_(box_of(shooting, person))
        head.field.usual_eyes.copy_(torch.from_numpy(np.median(shooting.views.eyes, 0)))
        head.occupancy.carve(carved(head, shooting))
        self.model = head.to(device)
        self.optimizer = optimizer_of(self.model, settings.learning_rate)

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Of random rays of random frames, later in turn with a patch around the mouth."""
        model, shooting = self.model, self.shooting
        done = int(model.updates) / max(self.steps, 1)
        patch = done >= PATCHES_FROM and int(model.updates) % 2 == 1
        if int(model.updates) % REFRESH == 0 and done >= REFRESH_FROM:
            frames = shooting.footage.drawn(rng, 16)
            model.occupancy.refresh(model.field, model.field.code(*shooting.motion(frames)), LOOKS[self.device.type])
        model.updates += 1
        batch = self._patch(rng) if patch else self._spread(rng)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            code = model.field.code(*shooting.motion(batch.chosen))
            cameras = shooting.cameras_of(batch.chosen)
            drawn = model.draw(cameras, batch.frame, shooting.pixels(batch.index), code, jitter=True)
        ground = torch.rand(1 if patch else len(batch.frame), 3, device=self.device)
        share = batch.share[:, :1]
        truth = share * batch.colour + (1 - share) * ground
        shown = drawn.colour + (1 - drawn.alpha[:, None]) * ground
        loss = (shown - truth).square().mean() + ENTROPY * entropy(drawn.alpha)
        loss = loss + AMBIENT * done * outside(drawn, shooting.near_face(batch))
        if patch:
            side = self._patch_side()
            pictures = (a.view(1, side, side, 3).permute(0, 3, 1, 2) for a in (shown, truth))
            loss = loss + STRUCTURE * picture_loss(*pictures, torch.ones(1, 1, side, side, device=self.device))
        return loss

    def validate(self) -> None:
        """No frames are kept from this training: its weights are those of the last step."""

    def conclude(self) -> dict[str, Any]:
        """What a report says about the head."""
        return {
            "size": self.shooting.dims.size, "frames": len(self.shooting.footage.usable), "gather": way(self.device),
            "occupied": round(float(self.model.occupancy.full.float().mean()), 4),
        }  # fmt: skip

    def _spread(self, rng: np.random.Generator) -> Batch:
        count = self.settings.batch
        chosen = self.shooting.footage.drawn(rng, count)
        index = rng.choice(len(self.probability), (count, self.batch // count), p=self.probability)
        return self.shooting.batch(chosen, index)

    def _patch_side(self) -> int:
        return min(int(self.batch**0.5), self.settings.size // 2)

    def _patch(self, rng: np.random.Generator) -> Batch:
        size, side = self.shooting.dims.size, self._patch_side()
        chosen = self.shooting.footage.drawn(rng, 1)
        lips = self.shooting.lips[chosen[0]]
        middle = lips.mean(0) + rng.normal(0, 0.3, 2) * np.ptp(lips, axis=0)
        left, top = np.clip(middle - side / 2, 0, size - side).astype(int)
        rows, columns = np.mgrid[top : top + side, left : left + side]
        return self.shooting.batch(chosen, (rows * size + columns).reshape(1, -1))


class TorsoTrainer:
    """`loop.Trained` for the torso, under the finished head."""

    name = "nerf_torso"

    def __init__(self, shooting: Shooting, head: Head, settings: NerfSettings, device: torch.device) -> None:
        self.shooting, self.head, self.settings, self.device = shooting, head, settings, device
        self.steps, self.learning_rate, self.batch = settings.steps[1], settings.learning_rate, settings.rays
        share = shooting.footage.mean_share()[1:].sum(0)
        self.probability = shooting.probability(share, floor=0.25)
        self.poses = torch.from_numpy(pose_vector(shooting.views.pose, shooting.dims.side)).to(device)
        self.plate = torch.from_numpy(shooting.footage.plate.reshape(3, -1).T.copy()).to(device)
        self.model = Torso(shooting.dims)
        self.model.mean_pose.copy_(self.poses.mean(0, keepdim=True))
        self.model = self.model.to(device)
        self.optimizer = optimizer_of(self.model, settings.learning_rate)

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Of random rays of random frames, before the plate or before random colours."""
        shooting, count = self.shooting, self.settings.batch
        chosen = shooting.footage.drawn(rng, count)
        index = rng.choice(len(self.probability), (count, self.batch // count), p=self.probability)
        batch = shooting.batch(chosen, index)
        on_plate = rng.random() < 0.5
        motion = shooting.motion(chosen)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            pixels = shooting.pixels(batch.index)
            with torch.no_grad():
                code = self.head.field.code(*motion)
            head, covered = self.head.see(shooting.cameras_of(chosen), batch.frame, pixels, code)
            places = (pixels + 0.5) / shooting.dims.side
            colour, alpha = self.model(places, batch.frame, self.poses[torch.from_numpy(chosen).to(self.device)])
        ground = self.plate[batch.index] if on_plate else torch.rand(len(pixels), 3, device=self.device)
        person = batch.share.sum(1, keepdim=True)
        truth = person * batch.colour + (1 - person) * ground
        left = (1 - covered)[:, None]
        shown = head + left * (alpha[:, None] * colour + (1 - alpha[:, None]) * ground)
        seen = (covered + left[:, 0] * alpha - person[:, 0]).square().mean()
        return (shown - truth).square().mean() + SHARE * seen + ENTROPY * entropy(alpha)

    def validate(self) -> None:
        """No frames are kept from this training: its weights are those of the last step."""

    def conclude(self) -> dict[str, Any]:
        """What a report says about the torso."""
        return {"size": self.shooting.dims.size}


def entropy(alpha: Tensor) -> Tensor:
    """Mean entropy of opacities [R] in nats: small when each is nearly 0 or 1."""
    safe = alpha.clamp(1e-4, 1 - 1e-4)
    return -(safe * safe.log() + (1 - safe) * (1 - safe).log()).mean()


def outside(drawn: Drawn, near_face: Tensor) -> Tensor:
    """How far the ambient coordinates of what is seen beside the face are from 0, mean over the rays."""
    beside = (~near_face)[drawn.ray].float() * drawn.weights.detach()
    return (beside * drawn.ambient.abs().sum(1)).sum() / max(len(near_face), 1)


def optimizer_of(model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Adam as in RAD-NeRF, tables faster than networks."""
    tables = [p for name, p in model.named_parameters() if name.endswith("table")]
    others = [p for name, p in model.named_parameters() if not name.endswith("table")]
    groups = [{"params": tables, "relative": GRID_RATE}, {"params": others}]
    return torch.optim.Adam(groups, learning_rate, betas=(0.9, 0.99), eps=1e-15)


def box_of(shooting: Shooting, person: Person) -> Tensor:
    """[2, 3] low corner and sides, in face units, of the box that holds the head as far as it is ever seen."""
    footage, pose = shooting.footage, shooting.views.pose
    corners = []
    for i in footage.spaced(CARVE_FRAMES):
        y, x = np.nonzero(footage.layers[i, 0] > 100)
        if len(x):
            seen = (np.stack([x, y], -1) + 0.5) * (shooting.dims.side / shooting.dims.size) - 0.5
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


def carved(head: Head, shooting: Shooting) -> Tensor:
    """Which cells [cells^3] of the occupancy grid hold no head in most frames: outside its visual hull."""
    dims, footage = shooting.dims, shooting.footage
    centres = head.occupancy.centres(torch.arange(dims.cells**3)) * head.box[1] + head.box[0]
    inside = np.zeros(len(centres), np.int64)
    frames = footage.spaced(CARVE_FRAMES)
    wide = torch.nn.functional.max_pool2d(torch.from_numpy(footage.layers[frames, :1]).float(), 3, 1, 1)[:, 0] > 25
    for i, mask in zip(frames, wide.numpy(), strict=True):
        place = shooting.views.pose[i : i + 1].project(centres.numpy())[0, :, :2]
        x, y = (((place + 0.5) * (dims.size / dims.side)).astype(int).clip(0, dims.size - 1)).T
        inside += mask[y, x]
    return torch.from_numpy(inside < CARVE_AGREE * len(frames))
