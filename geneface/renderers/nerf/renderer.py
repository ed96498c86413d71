"""The `nerf` renderer as the others see it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from geneface.checkpoints import Tensors
from geneface.devices import autocast
from geneface.face.person import Person
from geneface.loop import Trained
from geneface.renderers import Layer, Material, Settings, Views
from geneface.renderers.nerf.camera import Cameras
from geneface.renderers.nerf.field import NerfDims
from geneface.renderers.nerf.march import Head
from geneface.renderers.nerf.ray_sampler import RaySampler
from geneface.renderers.nerf.torso import Torso
from geneface.renderers.nerf.training import HeadTrainer, NerfSettings, TorsoTrainer
from geneface.renderers.whole import Footage, pose_vector, whole_layer

HEAD, TORSO = HeadTrainer.name, TorsoTrainer.name

PROFILES = {
    "quick": NerfSettings(96, (1500, 700), 4, 3e-3, rays=1536, samples=20, cells=48),
    "cpu": NerfSettings(128, (2500, 1500), 4, 3e-3, rays=1536),
    "gpu": NerfSettings(256, (20_000, 8_000), 4, 2e-3, rays=32_768, levels=16, finest=1024, table_log2=17, samples=48, cells=128),
}


class NerfRenderer:
    """Draws head and torso."""

    name, stages, whole = "nerf", (HEAD, TORSO), True

    def __init__(self, head: Head, torso: Torso) -> None:
        self.head, self.torso, self.dims, self.device = head, torso, head.dims, head.box.device

    @classmethod
    def settings(cls, profile: str) -> NerfSettings:
        """See Renderer."""
        return PROFILES[profile]

    @classmethod
    def dims_of(cls, person: Person, settings: Settings, frame_size: int) -> dict[str, Any]:
        """See Renderer."""
        assert isinstance(settings, NerfSettings)  # noqa: S101
        s = settings
        return asdict(
            NerfDims(s.size, frame_size, s.levels, s.finest, s.table_log2, s.width, s.samples, s.cells, len(person.low))
        )

    @classmethod
    def trainer(
        cls, stage: str, material: Material, settings: Settings, dims: Mapping[str, Any], done: Mapping[str, Tensors]
    ) -> Trained:
        """See Renderer."""
        assert isinstance(settings, NerfSettings)  # noqa: S101
        shapes, device = NerfDims.of(dims), material.device
        sampler = RaySampler(Footage.of(material, settings.size), material.views, material.person, shapes, device)
        if stage == HEAD:
            return HeadTrainer(sampler, material.person, settings, device)
        return TorsoTrainer(sampler, _loaded(Head(shapes), done[HEAD], device), settings, device)

    @classmethod
    def load(cls, dims: Mapping[str, Any], tensors: Mapping[str, Tensors], person: Person, device: torch.device) -> Self:
        """See Renderer."""
        shapes = NerfDims.of(dims)
        return cls(_loaded(Head(shapes), tensors[HEAD], device), _loaded(Torso(shapes), tensors[TORSO], device))

    @torch.inference_mode()
    def layer(self, views: Views, frames: np.ndarray) -> Layer:
        """See Renderer."""
        size, side, count = self.dims.size, self.dims.side, len(views)
        line = (torch.arange(size, device=self.device) + 0.5) / size
        place = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).view(-1, 2).repeat(count, 1)
        frame = torch.arange(count, device=self.device).repeat_interleave(size * size)
        poses = torch.from_numpy(pose_vector(views.pose, side)).to(self.device)
        with autocast(self.device):
            code = self.head.field.code(*(torch.from_numpy(a).to(self.device) for a in (views.lower, views.eyes)))
            cameras = Cameras.of(views.pose, self.device)
            head, covered = self.head.see(cameras, frame, place * side - 0.5, code)
            colour, alpha = self.torso(place, frame, poses)
        left = ((1 - covered) * alpha)[:, None]
        picture = torch.cat([head + left * colour, covered[:, None] + left], 1).view(count, size, size, 4).permute(0, 3, 1, 2)
        return whole_layer(picture[:, :3], picture[:, 3:], side)


def _loaded(model: Any, tensors: Mapping[str, Tensor], device: torch.device) -> Any:
    model.load_state_dict(tensors)
    return model.to(device).eval().requires_grad_(False)


RENDERER = NerfRenderer
"""Trains the `nerf` renderer on whole frames."""
