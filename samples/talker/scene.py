"""Scene: draws one frame, and knows where the face's points really are in it."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from samples.talker import face, light, paint
from samples.talker.behaviour import Behaviour
from samples.talker.light import Shadow, Surface
from samples.talker.parts import Material
from samples.talker.raster import Visible, visible
from samples.talker.stage import Points, Pose, Stage

SIZE = 512
FINE = 2  # samples per pixel and axis
DISTANCE, FOCAL, HEIGHT_OF_EYE = 75.0, 1190.0, -0.7  # camera: cm, px, cm
CASTING = (Material.SKIN, Material.HAIR, Material.MANE, Material.CLOTH)  # what throws shadows
PLAIN = {
    Material.TOOTH: (0.86, 0.80, 0.70), Material.FLESH: (0.55, 0.13, 0.12), Material.LASH: (0.012, 0.008, 0.007),
    Material.PEARL: (0.85, 0.80, 0.76),
}  # fmt: skip
TILES = {Material.CLOTH: (5.0, 4.0)}


@dataclass(frozen=True)
class Frame:
    """A picture uint8 [512, 512, 3] RGB and the 468 points in it [468, 3]: x, y in px, z in px, smaller = nearer."""

    picture: NDArray[np.uint8]
    points: Points


def projected(points: Points, fine: int = 1) -> Points:
    """World cm to px (times `fine`): x, y and depth in cm."""
    away = DISTANCE - points[:, 2]
    scale = FOCAL * fine / away
    centre = SIZE * fine / 2
    return np.stack([centre + points[:, 0] * scale, centre - (points[:, 1] - HEIGHT_OF_EYE) * scale, away], 1)


def _truth(points: Points) -> Points:
    flat = projected(points)
    flat[:, 2] = (flat[:, 2] - DISTANCE) * FOCAL / DISTANCE
    return flat


def _textures(stage: Stage) -> dict[Material, Tensor]:
    """Pictures [1, 3, H, W] of the painted materials."""
    hair = paint.hair()
    pictures = {
        Material.SKIN: paint.skin(stage.rig), Material.HAIR: hair, Material.MANE: hair, Material.EYE: paint.eye(),
        Material.CLOTH: paint.cloth(),
    }  # fmt: skip
    return {material: torch.from_numpy(p).permute(2, 0, 1)[None].contiguous() for material, p in pictures.items()}


class Scene:
    """All meshes as one list of triangles; only points and normals change from frame to frame."""

    def __init__(self) -> None:
        self.stage = Stage()
        meshes = self.stage.meshes
        starts = np.cumsum([0, *(len(mesh.points) for mesh in meshes)])
        joined = [mesh.triangles + start for mesh, start in zip(meshes, starts, strict=False)]
        self.triangles = torch.from_numpy(np.concatenate(joined))
        owner = np.concatenate([np.full(len(mesh.triangles), int(mesh.material)) for mesh in meshes])
        self.material = torch.from_numpy(owner)
        self.casting = self.triangles[torch.from_numpy(np.isin(owner, CASTING))]
        self.uv = torch.from_numpy(np.concatenate([mesh.uv for mesh in meshes])).float()
        self.openness = torch.from_numpy(np.concatenate([mesh.openness for mesh in meshes])).float()
        self.textures = _textures(self.stage)
        self.backdrop = torch.from_numpy(paint.background(SIZE * FINE)).reshape(-1, 3)

    def draw(self, controls: Points, b: Behaviour, t: int) -> Frame:
        """Frame `t` with the mouth's controls [8]."""
        pose = self.stage.pose(controls, b, t)
        side = SIZE * FINE
        screen = torch.from_numpy(projected(pose.points, FINE)).float()
        seen = visible(screen, self.triangles, side, side)
        canvas = self.backdrop.clone()
        canvas[seen.sample] = self._colours(pose, seen)
        shown = light.developed(canvas).reshape(side, side, 3).numpy()
        small = cv2.resize(shown, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        return Frame(np.round(small * 255).astype(np.uint8), _truth(pose.points[: face.POINTS]))

    def _surface(self, pose: Pose, seen: Visible) -> Surface:
        """What each visible sample shows, from its triangle's corners, with shadows and crevices."""
        points, normal = torch.from_numpy(pose.points).float(), torch.from_numpy(pose.normals).float()
        values = torch.cat([points, normal, self.uv, self.openness[:, None]], 1)
        corners = self.triangles[seen.triangle]
        first, second, third = (values.index_select(0, corners[:, k]) * seen.weights[:, k : k + 1] for k in range(3))
        mixed = first + second + third
        place = mixed[:, :3]
        openness = mixed[:, 8] * light.crevices(DISTANCE - place[:, 2], seen.sample, SIZE * FINE)
        lit = Shadow(points, self.casting).lit(place)
        view = normalize(torch.tensor([0.0, HEIGHT_OF_EYE, DISTANCE]) - place, dim=1)
        return Surface(place, normalize(mixed[:, 3:6], dim=1), view, mixed[:, 6:8], openness, lit)

    def _colours(self, pose: Pose, seen: Visible) -> Tensor:
        """Linear colours [N, 3] of the visible samples, material by material."""
        whole = self._surface(pose, seen)
        turn, origin = torch.from_numpy(pose.turn).float(), torch.from_numpy(pose.origin).float()
        of = self.material[seen.triangle]
        colours = torch.zeros(len(of), 3)
        for material in Material:
            who = (of == material).nonzero()[:, 0]
            if len(who):
                s = whole.part(who)
                colours[who] = light.shaded(material, s, self._albedo(material, s.uv), turn, origin)
        return colours

    def _albedo(self, material: Material, uv: Tensor) -> Tensor:
        if material in PLAIN:
            return torch.tensor(PLAIN[material]).expand(len(uv), 3)
        return light.sampled(self.textures[material], uv * torch.tensor(TILES.get(material, (1.0, 1.0))))
