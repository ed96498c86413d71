"""Light: three lamps, a soft sky, shadows and how each material answers, in linear light."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from samples.talker.face import SKULL_CENTRE
from samples.talker.parts import FLOW, Material
from samples.talker.raster import visible

KEY = normalize(torch.tensor([-0.52, 0.52, 0.68]), dim=0)
FILL = normalize(torch.tensor([0.80, 0.12, 0.58]), dim=0)
RIM = normalize(torch.tensor([0.62, 0.42, -0.66]), dim=0)
BACK = normalize(torch.tensor([-0.70, 0.30, -0.65]), dim=0)
KEY_COLOUR = torch.tensor([2.75, 2.48, 2.16])
FILL_COLOUR = torch.tensor([0.40, 0.48, 0.60])
RIM_COLOUR = torch.tensor([1.55, 1.40, 1.25])
BACK_COLOUR = torch.tensor([0.50, 0.58, 0.75])
SKY, GROUND = torch.tensor([0.40, 0.43, 0.50]), torch.tensor([0.30, 0.23, 0.20])
SHADOW_SIZE, SHADOW_REACH = 384, 22.0  # pixels, cm around the face


@dataclass(frozen=True)
class Surface:
    """What the samples of one material see: position, unit normal, towards the eye [N, 3]; uv [N, 2]; openness and the
    key lamp's share [N]."""

    place: Tensor
    normal: Tensor
    view: Tensor
    uv: Tensor
    open: Tensor
    lit: Tensor

    def part(self, who: Tensor) -> "Surface":
        """The samples of those numbers only."""
        return Surface(self.place[who], self.normal[who], self.view[who], self.uv[who], self.open[who], self.lit[who])


def sampled(picture: Tensor, uv: Tensor) -> Tensor:
    """Bilinear colours [N, 3] of a picture [1, 3, H, W]; uv beyond 0..1 wraps."""
    grid = (uv.remainder(1.0) * 2 - 1)[None, None]
    return grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)[0, :, 0].T


def _lamp(s: Surface, direction: Tensor, wrap: float) -> Tensor:
    return ((s.normal @ direction + wrap) / (1 + wrap)).clamp(0)[:, None]


def _gloss(s: Surface, direction: Tensor, power: float) -> Tensor:
    half = normalize(s.view + direction, dim=1)
    return (s.normal * half).sum(1).clamp(0).pow(power)[:, None]


def _ambient(s: Surface) -> Tensor:
    up = (0.5 + 0.5 * s.normal[:, 1])[:, None]
    return (GROUND + up * (SKY - GROUND)) * s.open[:, None]


def _edge(s: Surface, power: float) -> Tensor:
    return (1 - (s.normal * s.view).sum(1).clamp(0)).pow(power)[:, None]


def _diffuse(s: Surface, wrap: float) -> Tensor:
    shade = s.open[:, None].sqrt()
    lamps = KEY_COLOUR * _lamp(s, KEY, wrap) * s.lit[:, None] + FILL_COLOUR * _lamp(s, FILL, wrap + 0.2) * shade
    return lamps * shade + (RIM_COLOUR * _lamp(s, RIM, 0.0) + BACK_COLOUR * _lamp(s, BACK, 0.0)) * shade + _ambient(s)


def _skin(s: Surface, albedo: Tensor) -> Tensor:
    """Light bleeds red around the terminator, as under real skin."""
    lit, shade = s.lit[:, None], s.open[:, None].sqrt()
    facing = (s.normal @ KEY)[:, None]
    wraps = torch.tensor([0.42, 0.20, 0.12])
    key = ((facing + wraps) / (1 + wraps)).clamp(0)
    soft = torch.cat([lit.sqrt() * 0.6 + lit * 0.4, lit, lit], 1)
    light = KEY_COLOUR * key * soft * shade + FILL_COLOUR * _lamp(s, FILL, 0.35) * shade
    light = light + (RIM_COLOUR * _lamp(s, RIM, 0.1) + BACK_COLOUR * _lamp(s, BACK, 0.1)) * shade + _ambient(s)
    red = (albedo[:, :1] - albedo[:, 1:2]).clamp(0)
    wet = (red * 5.0 - 1.35).clamp(0, 1)
    shine = (0.07 * _gloss(s, KEY, 14) + (0.05 + 0.28 * wet) * _gloss(s, KEY, 70)) * lit * shade * KEY_COLOUR
    return albedo * light + shine + 0.05 * _edge(s, 4) * shade * torch.tensor([1.0, 0.9, 0.85])


def _eye(s: Surface, albedo: Tensor) -> Tensor:
    light = KEY_COLOUR * _lamp(s, KEY, 0.5) * (0.45 + 0.55 * s.lit[:, None]) + FILL_COLOUR * _lamp(s, FILL, 0.5)
    colour = albedo * (light * 0.72 * s.open[:, None] + _ambient(s) * 0.9)
    window = ((_gloss(s, KEY, 90) - 0.35) * 4).clamp(0, 1)
    return colour + 3.5 * window + 0.5 * _gloss(s, FILL, 160) * FILL_COLOUR + 0.03 * _edge(s, 3)


def _strands(s: Surface, albedo: Tensor, tangent: Tensor) -> Tensor:
    """Kajiya and Kay's two highlights along hair (1989)."""
    colour = albedo * _diffuse(s, 0.25)
    for lamp, tint in ((KEY, KEY_COLOUR * s.lit[:, None]), (RIM, RIM_COLOUR), (BACK, BACK_COLOUR)):
        half = normalize(s.view + lamp, dim=1)
        facing = (s.normal @ lamp + 0.25).clamp(0, 1)[:, None]
        for shift, power, share in ((0.10, 60, 0.16), (-0.12, 16, 1.1)):
            along = (normalize(tangent + shift * s.normal, dim=1) * half).sum(1, keepdim=True)
            shine = (1 - along.square()).clamp(0).sqrt().pow(power) * facing * s.open[:, None]
            colour = colour + tint * shine * share * (albedo * 1.2 if share > 0.5 else 0.25 + albedo)
    return colour


def shaded(material: Material, s: Surface, albedo: Tensor, turn: Tensor, origin: Tensor) -> Tensor:
    """Linear colours [N, 3]. `turn` [3, 3] and `origin` [3] take the head's own frame to the world's."""
    match material:
        case Material.SKIN:
            colour = _skin(s, albedo)
        case Material.EYE:
            colour = _eye(s, albedo)
        case Material.HAIR:
            way = normalize((s.place - origin) @ turn - torch.tensor(SKULL_CENTRE).float(), dim=1)
            around = torch.linalg.cross(torch.tensor(FLOW).float().expand_as(way), way)
            colour = _strands(s, albedo, normalize(around @ turn.T, dim=1))
        case Material.MANE:
            colour = _strands(s, albedo, torch.tensor([0.0, 1.0, 0.0]).expand_as(s.place))
        case Material.LASH:
            colour = albedo * _diffuse(s, 0.5)
        case Material.TOOTH:
            s = replace(s, lit=0.5 + 0.5 * s.lit)
            colour = albedo * _diffuse(s, 0.6) * s.open[:, None].sqrt() + 0.25 * _gloss(s, KEY, 80) * s.open[:, None].square()
        case Material.FLESH:
            colour = albedo * _diffuse(s, 0.5) * s.open[:, None] + 0.10 * _gloss(s, KEY, 40) * s.open[:, None]
        case Material.PEARL:
            colour = albedo * _diffuse(s, 0.4) + 1.6 * _gloss(s, KEY, 120) + 0.25 * _edge(s, 2)
        case Material.CLOTH:
            colour = albedo * _diffuse(s, 0.25) + 0.10 * _edge(s, 2.5) * albedo.sqrt()
    return colour


class Shadow:
    """What the key lamp sees: soft shadows by the variance method (Donnelly & Lauritzen, 2006)."""

    def __init__(self, points: Tensor, triangles: Tensor) -> None:
        side = normalize(torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), KEY), dim=0)
        self.axes = torch.stack([side, torch.linalg.cross(KEY, side)], 1)
        screen = torch.cat([self._place(points), -(points @ KEY)[:, None]], 1)
        seen = visible(screen, triangles, SHADOW_SIZE, SHADOW_SIZE)
        depth = torch.full((SHADOW_SIZE**2,), 40.0)
        depth[seen.sample] = (screen[triangles[seen.triangle], 2] * seen.weights).sum(1)
        flat = depth.reshape(SHADOW_SIZE, SHADOW_SIZE).numpy()
        moments = np.stack([flat, flat**2], -1)
        self.moments = torch.from_numpy(cv2.GaussianBlur(moments, (0, 0), 2.2)).permute(2, 0, 1)[None]

    def _place(self, points: Tensor) -> Tensor:
        flat = points @ self.axes
        return torch.stack([flat[:, 0], -flat[:, 1]], 1) * (SHADOW_SIZE / 2 / SHADOW_REACH) + SHADOW_SIZE / 2

    def lit(self, points: Tensor) -> Tensor:
        """The share of the key lamp's light that reaches each point: [N] in 0..1."""
        grid = (self._place(points) / SHADOW_SIZE * 2 - 1)[None, None]
        mean, square = grid_sample(self.moments, grid, mode="bilinear", padding_mode="border", align_corners=False)[0, :, 0]
        behind = -(points @ KEY) - mean - 0.25
        spread = (square - mean**2).clamp(0.06)
        chance = spread / (spread + behind.square())
        return torch.where(behind <= 0, 1.0, ((chance - 0.25) / 0.75).clamp(0, 1))


def crevices(depth: Tensor, sample: Tensor, size: int) -> Tensor:
    """Darkness of places that lie behind their surroundings in the picture: openness [N] for the covered samples."""
    picture = torch.zeros(size * size)
    picture[sample] = 90 - depth
    high = picture.reshape(size, size).numpy()
    half = cv2.resize(high, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    cover = cv2.resize((high > 0).astype(np.float32), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    total = np.zeros_like(half)
    for blur, reach, share in ((2.0, 0.8, 0.40), (6.0, 2.2, 0.40)):
        around = cv2.GaussianBlur(half, (0, 0), blur) / np.maximum(cv2.GaussianBlur(cover, (0, 0), blur), 1e-3)
        here = half / np.maximum(cover, 1e-3)
        total += share * np.clip((around - here) / reach, 0, 1)
    dark = torch.from_numpy(cv2.resize(total, (size, size), interpolation=cv2.INTER_LINEAR)).reshape(-1)
    return 1 - dark[sample]


def developed(light: Tensor) -> Tensor:
    """Linear light to display values 0..1: a filmic shoulder (Narkowicz's ACES fit, 2015), then sRGB's gamma."""
    x = light * 0.40
    film = (x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14)
    return film.clamp(0, 1).pow(1 / 2.2)
