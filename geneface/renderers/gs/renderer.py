"""The `gs` renderer as the others see it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import torch

from geneface.checkpoints import Tensors
from geneface.face.person import Person
from geneface.loop import Trained
from geneface.renderers import Layer, Material, Settings, Views
from geneface.renderers.gs.blend import blended
from geneface.renderers.gs.model import Gaussians, GsDims
from geneface.renderers.gs.start import begin
from geneface.renderers.gs.training import GsSettings, GsTrainer, sight_of
from geneface.renderers.whole import Footage, whole_layer

PROFILES = {
    "quick": GsSettings(96, (500,), 2, 2e-3, face=1500, hair=900, torso=900),
    "cpu": GsSettings(128, (1500,), 2, 2e-3, face=2800, hair=1400, torso=1400),
    "gpu": GsSettings(256, (15_000,), 4, 1.5e-3, face=12_000, hair=4000, torso=4000),
}


class GsRenderer:
    """Draws head and torso."""

    name, stages, whole = "gs", ("gs",), True

    def __init__(self, model: Gaussians) -> None:
        self.model, self.device = model, model.shape.device

    @classmethod
    def settings(cls, profile: str) -> GsSettings:
        """See Renderer."""
        return PROFILES[profile]

    @classmethod
    def dims_of(cls, person: Person, settings: Settings, frame_size: int) -> dict[str, Any]:
        """See Renderer."""
        assert isinstance(settings, GsSettings)  # noqa: S101
        s = settings
        return asdict(GsDims(s.size, frame_size, s.face, s.hair, s.torso, len(person.shape), len(person.low)))

    @classmethod
    def trainer(
        cls, stage: str, material: Material, settings: Settings, dims: Mapping[str, Any], done: Mapping[str, Tensors]
    ) -> Trained:
        """See Renderer."""
        views, person = material.views, material.person
        footage = Footage.of(material, settings.size)
        points = views.pose.remove(material.dataset.points[: len(views)])
        model = Gaussians(GsDims.of(dims))
        begin(model, footage, views, person, points, np.random.default_rng(int(torch.randint(2**31, ()))))
        return GsTrainer(model, footage, views, person, settings, material.device)

    @classmethod
    def load(cls, dims: Mapping[str, Any], tensors: Mapping[str, Tensors], person: Person, device: torch.device) -> Self:
        """See Renderer."""
        model = Gaussians(GsDims.of(dims))
        model.load_state_dict(tensors["gs"])
        return cls(model.to(device).eval().requires_grad_(False))

    @torch.inference_mode()
    def layer(self, views: Views, frames: np.ndarray) -> Layer:
        """See Renderer."""
        dims = self.model.dims
        drawn = [blended(splats, dims.size) for splats in self.model(sight_of(views, dims.side, self.device))]
        colour, alpha = (torch.stack(part) for part in zip(*drawn, strict=True))
        return whole_layer(colour, alpha, dims.side)


RENDERER = GsRenderer
"""Trains the `gs` renderer on whole frames."""
