"""Trains the head, and then, under the finished head, the torso."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from geneface.devices import autocast
from geneface.face.person import Person
from geneface.loop import Trained
from geneface.renderers import Settings
from geneface.renderers.losses import picture_loss
from geneface.renderers.nerf.fused import way
from geneface.renderers.nerf.march import Drawn, Head
from geneface.renderers.nerf.ray_sampler import Batch, RaySampler, box_of, carved
from geneface.renderers.nerf.torso import Torso
from geneface.renderers.whole import pose_vector

GRID_RATE = 8.0
"""Tables learn this many times as fast as the networks."""
ENTROPY, AMBIENT, STRUCTURE, SHARE = 1e-3, 0.1, 0.1, 0.3
"""Weights of the opacities' entropy, of ambient coordinates beside the face, of patches, and of the layers' mask."""
REFRESH = 16
"""Steps between two looks at the occupancy."""
REFRESH_FROM = 0.1
"""Share of the training before the first look: a surface must have formed."""
LOOKS = {"cpu": 1 << 13, "cuda": 1 << 18}
"""Cells that are looked at."""
PATCHES_FROM = 0.4
"""Share of the training after which every other step draws a whole patch around the mouth."""


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


class HeadTrainer(Trained):
    """`loop.Trained` for the head; what is not head is replaced by random colours, so that the field stays empty there."""

    name = "nerf_head"

    def __init__(self, sampler: RaySampler, person: Person, settings: NerfSettings, device: torch.device) -> None:
        self.sampler, self.settings, self.device = sampler, settings, device
        self.steps, self.learning_rate, self.batch = settings.steps[0], settings.learning_rate, settings.rays
        share = sampler.footage.mean_share()[0]
        self.probability = sampler.probability(share, floor=0.03, features=0.4)
        head = Head(sampler.dims)
        head.box.copy_(box_of(sampler, person))
        head.field.usual_eyes.copy_(torch.from_numpy(np.median(sampler.views.eyes, 0)))
        head.occupancy.carve(carved(head, sampler))
        self.model = head.to(device)
        self.optimizer = optimizer_of(self.model, settings.learning_rate)

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Of random rays of random frames, later in turn with a patch around the mouth."""
        model, sampler = self.model, self.sampler
        done = int(model.updates) / max(self.steps, 1)
        patch = done >= PATCHES_FROM and int(model.updates) % 2 == 1
        if int(model.updates) % REFRESH == 0 and done >= REFRESH_FROM:
            frames = sampler.footage.drawn(rng, 16)
            model.occupancy.refresh(model.field, model.field.code(*sampler.motion(frames)), LOOKS[self.device.type])
        model.updates += 1
        batch = self._patch(rng) if patch else self._spread(rng)
        with autocast(self.device):
            code = model.field.code(*sampler.motion(batch.chosen))
            cameras = sampler.cameras_of(batch.chosen)
            drawn = model.draw(cameras, batch.frame, sampler.pixels(batch.index), code, jitter=True)
        ground = torch.rand(1 if patch else len(batch.frame), 3, device=self.device)
        share = batch.share[:, :1]
        truth = share * batch.colour + (1 - share) * ground
        shown = drawn.colour + (1 - drawn.alpha[:, None]) * ground
        loss = (shown - truth).square().mean() + ENTROPY * entropy(drawn.alpha)
        loss = loss + AMBIENT * done * outside(drawn, sampler.near_face(batch))
        if patch:
            side = self._patch_side()
            drawn_patch, true_patch = (a.view(1, side, side, 3).permute(0, 3, 1, 2) for a in (shown, truth))
            loss = loss + STRUCTURE * picture_loss(drawn_patch, true_patch, torch.ones(1, 1, side, side, device=self.device))
        return loss

    def conclude(self) -> dict[str, Any]:
        """What a report says about the head."""
        return {
            "size": self.sampler.dims.size, "frames": len(self.sampler.footage.usable), "gather": way(self.device),
            "occupied": round(float(self.model.occupancy.full.float().mean()), 4),
        }  # fmt: skip

    def _spread(self, rng: np.random.Generator) -> Batch:
        count = self.settings.batch
        chosen = self.sampler.footage.drawn(rng, count)
        index = rng.choice(len(self.probability), (count, self.batch // count), p=self.probability)
        return self.sampler.batch(chosen, index)

    def _patch_side(self) -> int:
        return min(int(self.batch**0.5), self.settings.size // 2)

    def _patch(self, rng: np.random.Generator) -> Batch:
        size, side = self.sampler.dims.size, self._patch_side()
        chosen = self.sampler.footage.drawn(rng, 1)
        lips = self.sampler.lips[chosen[0]]
        middle = lips.mean(0) + rng.normal(0, 0.3, 2) * np.ptp(lips, axis=0)
        left, top = np.clip(middle - side / 2, 0, size - side).astype(int)
        rows, columns = np.mgrid[top : top + side, left : left + side]
        return self.sampler.batch(chosen, (rows * size + columns).reshape(1, -1))


class TorsoTrainer(Trained):
    """`loop.Trained` for the torso, under the finished head."""

    name = "nerf_torso"

    def __init__(self, sampler: RaySampler, head: Head, settings: NerfSettings, device: torch.device) -> None:
        self.sampler, self.head, self.settings, self.device = sampler, head, settings, device
        self.steps, self.learning_rate, self.batch = settings.steps[1], settings.learning_rate, settings.rays
        share = sampler.footage.mean_share()[1:].sum(0)
        self.probability = sampler.probability(share, floor=0.25)
        self.poses = torch.from_numpy(pose_vector(sampler.views.pose, sampler.dims.side)).to(device)
        self.plate = torch.from_numpy(sampler.footage.plate.reshape(3, -1).T.copy()).to(device)
        self.model = Torso(sampler.dims)
        self.model.mean_pose.copy_(self.poses.mean(0, keepdim=True))
        self.model = self.model.to(device)
        self.optimizer = optimizer_of(self.model, settings.learning_rate)

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Of random rays of random frames, before the plate or before random colours."""
        sampler, count = self.sampler, self.settings.batch
        chosen = sampler.footage.drawn(rng, count)
        index = rng.choice(len(self.probability), (count, self.batch // count), p=self.probability)
        batch = sampler.batch(chosen, index)
        on_plate = rng.random() < 0.5
        motion = sampler.motion(chosen)
        with autocast(self.device):
            pixels = sampler.pixels(batch.index)
            with torch.no_grad():
                code = self.head.field.code(*motion)
            head, covered = self.head.see(sampler.cameras_of(chosen), batch.frame, pixels, code)
            places = (pixels + 0.5) / sampler.dims.side
            colour, alpha = self.model(places, batch.frame, self.poses[torch.from_numpy(chosen).to(self.device)])
        ground = self.plate[batch.index] if on_plate else torch.rand(len(pixels), 3, device=self.device)
        person = batch.share.sum(1, keepdim=True)
        truth = person * batch.colour + (1 - person) * ground
        left = (1 - covered)[:, None]
        shown = head + left * (alpha[:, None] * colour + (1 - alpha[:, None]) * ground)
        seen = (covered + left[:, 0] * alpha - person[:, 0]).square().mean()
        return (shown - truth).square().mean() + SHARE * seen + ENTROPY * entropy(alpha)

    def conclude(self) -> dict[str, Any]:
        """What a report says about the torso."""
        return {"size": self.sampler.dims.size}


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
    groups: list[dict[str, Any]] = [{"params": tables, "relative": GRID_RATE}, {"params": others}]
    return torch.optim.Adam(groups, learning_rate, betas=(0.9, 0.99), eps=1e-15)
