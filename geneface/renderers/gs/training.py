"""Trains the Gaussians on whole frames."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geneface.face.person import Person
from geneface.loop import Trained
from geneface.renderers import MOTION_NOISE, Settings, Views
from geneface.renderers.gs.blend import blended, with_gsplat
from geneface.renderers.gs.model import Gaussians, Sight
from geneface.renderers.losses import ssim_map
from geneface.renderers.whole import Footage, box, pose_vector

STRUCTURE, SHARE, STAY = 0.2, 0.3, 1e-4
"""Weights of 1 - SSIM (Kerbl et al. 2023), of the layers' mask, and of squared face units off the mesh."""
MOUTH_WEIGHT = 3.0
RELATIVE = {
    "offset": 30.0, "spot": 50.0, "sway": 250.0, "log_scale": 5.0, "turn": 2.0, "opacity": 15.0, "colour": 10.0, "own": 2.0,
}  # fmt: skip
"""Learning rates over that of the network: each parameter has its own unit."""


@dataclass(frozen=True)
class GsSettings(Settings):
    """How the Gaussians are trained."""

    face: int = 3000
    hair: int = 1500
    torso: int = 1500


class GsTrainer(Trained):
    """`loop.Trained` for the renderer."""

    name = "gs"

    def __init__(
        self, model: Gaussians, footage: Footage, views: Views, person: Person, settings: Settings, device: torch.device
    ) -> None:
        self.footage, self.views, self.batch, self.device = footage, views, settings.batch, device
        (self.steps,), self.learning_rate = settings.steps, settings.learning_rate
        self.model = model.to(device)
        named = dict(self.model.named_parameters())
        groups: list[dict[str, Any]] = [{"params": [named.pop(name)], "relative": share} for name, share in RELATIVE.items()]
        self.optimizer = torch.optim.Adam([*groups, {"params": list(named.values())}], self.learning_rate, eps=1e-15)
        self.plate = torch.from_numpy(footage.plate).to(device)
        self.weight = mouth_weight(views, person, model.dims.size, model.dims.side).to(device)

    def loss(self, rng: np.random.Generator) -> Tensor:
        """L1 and 1 - SSIM of a few random frames before the plate or a random colour, and the mask."""
        chosen = self.footage.drawn(rng, self.batch)
        colours, layers = (torch.from_numpy(a).to(self.device) for a in self.footage.pictures(chosen))
        ground = self.plate if rng.random() < 0.5 else torch.rand(3, 1, 1, device=self.device)
        share = layers.sum(1, keepdim=True)
        truth = share * colours + (1 - share) * ground
        sight = sight_of(self.views[chosen], self.model.dims.side, self.device)
        noise = MOTION_NOISE * torch.randn_like(sight.lower)
        drawn = [blended(splats, self.model.dims.size) for splats in self.model(replace(sight, lower=sight.lower + noise))]
        colour, alpha = (torch.stack(part) for part in zip(*drawn, strict=True))
        shown = colour + (1 - alpha) * ground
        weight = self.weight / self.weight.mean()
        loss = ((shown - truth).abs() * weight).mean() + STRUCTURE * ((1 - ssim_map(shown, truth)) * weight).mean()
        away = self.model.offset[: self.model.dims.face].square().mean()
        return loss + SHARE * (alpha - share).square().mean() + STAY * away

    def conclude(self) -> dict[str, Any]:
        """What a report says about the renderer."""
        blend = "gsplat" if self.device.type == "cuda" and with_gsplat() else "torch"
        return {
            "size": self.model.dims.size,
            "frames": len(self.footage.usable),
            "gaussians": self.model.dims.count,
            "blend": blend,
        }


def sight_of(views: Views, side: int, device: torch.device) -> Sight:
    """The views as tensors."""
    pose = views.pose
    arrays = (pose.rotation, pose.translation, pose.scale, pose_vector(pose, side), views.lower, views.eyes)
    return Sight(*(torch.from_numpy(a).to(device) for a in arrays))


def mouth_weight(views: Views, person: Person, size: int, side: int) -> Tensor:
    """[1, 1, size, size]: 1, and more where the lips come to be."""
    lips = views.pose.project(person.motion(views.lower)[:, 48:68])[..., :2]
    mouth = box((lips + 0.5) * (size / side) - 0.5, 2, size)
    return torch.from_numpy(1 + MOUTH_WEIGHT * mouth.astype(np.float32))[None, None]
