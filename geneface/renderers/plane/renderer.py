"""The `plane` renderer as the others see it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import torch

from geneface.checkpoints import Tensors
from geneface.face.person import Person
from geneface.face.region import anchor, extract, grid, pasted_share, place, visible_mask
from geneface.loop import Trained
from geneface.renderers import Layer, Material, Settings, Views
from geneface.renderers.plane.maps import motion_maps
from geneface.renderers.plane.model import Plane, PlaneDims
from geneface.renderers.plane.training import PlaneSettings, PlaneTrainer, Seen
from geneface.renderers.regions import unpack

PASSES = 32
"""Most passes of the small profiles over shifted regions. 10 s of speaker b, 928 steps instead of 464: mouth SSIM .931 instead of
.921, lip LMD 1.40 instead of 1.44.
"""
PROFILES = {
    "quick": PlaneSettings(128, (850,), 8, 3e-3, PASSES, widths=(24, 48, 96, 128)),
    "cpu": PlaneSettings(160, (3000,), 8, 3e-3, PASSES, widths=(32, 64, 96, 128)),
    "gpu": PlaneSettings(256, (12_000,), 16, 2e-3, widths=(64, 96, 128, 192)),
}


class PlaneRenderer:
    """Draws the lower face; everything else is the source frame's own."""

    name, stages, whole = "plane", ("plane",), False

    def __init__(self, plane: Plane, person: Person) -> None:
        size = plane.dims.size
        self.plane, self.person, self.centre = plane, person, anchor(person.shape)
        self.device = plane.mean_picture.device
        self.visible, self.coordinates = visible_mask(size).to(self.device), grid(size // 2).to(self.device)
        self.alpha = pasted_share(size)

    @classmethod
    def settings(cls, profile: str) -> PlaneSettings:
        """See Renderer."""
        return PROFILES[profile]

    @classmethod
    def dims_of(cls, person: Person, settings: Settings, frame_size: int) -> dict[str, Any]:
        """See Renderer."""
        assert isinstance(settings, PlaneSettings)  # noqa: S101
        return asdict(PlaneDims(settings.size, settings.widths, motion=len(person.low)))

    @classmethod
    def trainer(
        cls, stage: str, material: Material, settings: Settings, dims: Mapping[str, Any], done: Mapping[str, Tensors]
    ) -> Trained:
        """See Renderer."""
        views, person = material.views, material.person
        placement = place(views.pose, anchor(person.shape))
        points = placement.to_region(views.pose.project(person.motion(views.lower))[..., :2])
        store = material.work / f"regions-{settings.size}.npy"
        regions = unpack(material.dataset.frames, placement, settings.size, store, material.reporter)
        return PlaneTrainer(Seen(regions, points, views.lower, material.usable), _dims(dims), settings, material.device)

    @classmethod
    def load(cls, dims: Mapping[str, Any], tensors: Mapping[str, Tensors], person: Person, device: torch.device) -> Self:
        """See Renderer."""
        plane = Plane(_dims(dims))
        plane.load_state_dict(tensors["plane"])
        return cls(plane.on(device).eval().requires_grad_(False), person)

    @torch.inference_mode()
    def layer(self, views: Views, frames: np.ndarray) -> Layer:
        """See Renderer."""
        placement = place(views.pose, self.centre)
        points = placement.to_region(views.pose.project(self.person.motion(views.lower))[..., :2])
        regions = extract(torch.from_numpy(frames), placement, self.plane.dims.size).to(self.device) / 255
        maps = motion_maps(torch.from_numpy(points).to(self.device), self.plane.rest, self.coordinates)
        surroundings = (regions - self.plane.mean_picture) * self.visible
        pictures = self.plane(surroundings, maps, torch.from_numpy(views.lower).to(self.device)).float().cpu()
        return Layer(pictures, self.alpha, placement)


def _dims(values: Mapping[str, Any]) -> PlaneDims:
    return PlaneDims(**{**values, "widths": tuple(values["widths"])})


RENDERER = PlaneRenderer
