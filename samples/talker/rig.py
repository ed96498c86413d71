"""Rig: mouth controls, blinks, brows and a smile move the head's cage."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samples.talker import face
from samples.talker.face import Cage, Points
from samples.talker.topology import harmonic, refined

JAW_HINGE = np.array([0.0, 0.4, -1.2])
JAW_ANGLE = 0.19  # radians at jaw = 1
ROWS = (0.18, 0.5, 0.85, 1.0)  # how far each row of a lip follows its rim
LEVELS = 2
CREASE = np.array([0.0, 0.35, 0.0])  # a shut lid's fold stays this far above its rim
COLUMN = np.array([0.45, 0.72, 0.9, 0.98, 1.0, 0.98, 0.9, 0.72, 0.45])


@dataclass(frozen=True)
class Fields:
    """Smooth weights of the 468 points for each movement."""

    jaw: NDArray[np.float64]
    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    corner: NDArray[np.float64]
    pout: NDArray[np.float64]
    brow: NDArray[np.float64]


def _still(*extra: list[int]) -> dict[int, float]:
    """Oval, eyes, nose and brows do not move with the lips."""
    fixed = dict.fromkeys(face.OVAL, 0.0)
    for group in (*face.RIGHT_EYE, *face.LEFT_EYE, *face.BROWS, [33, 133, 263, 362, 1, 4, 5, 6, 195, 197, 168, 9, 8], *extra):
        fixed.update(dict.fromkeys(group, 0.0))
    return fixed


def _rows(rows: tuple[list[int], ...], weights: tuple[float, ...]) -> dict[int, float]:
    return {point: w * float(c) for row, w in zip(rows, weights, strict=True) for point, c in zip(row, COLUMN, strict=True)}


def _fields(cage: Cage) -> Fields:
    triangles = face.face_triangles()
    corners = face.RIGHT_CORNER + face.LEFT_CORNER
    upper_points = [p for row in face.UPPER_LIP for p in row]
    lower_points = [p for row in face.LOWER_LIP for p in row]
    x = cage.points[:, 0] / abs(cage.points[61, 0])
    nose = [2, 94, 97, 326, 98, 327, 129, 358]

    def solve(fixed: dict[int, float]) -> NDArray[np.float64]:
        return harmonic(triangles, face.POINTS, fixed)

    jaw = _still(nose) | dict.fromkeys(upper_points, 0.0) | dict.fromkeys(corners, 0.42)
    jaw |= {p: 1 - 0.45 * min(abs(x[p]), 1.0) ** 3 for p in lower_points}
    jaw |= {p: 0.30 * min(abs(x[p]), 1.0) ** 4 for p in upper_points}
    jaw |= dict.fromkeys([152, 148, 377, 176, 400, 149, 378, 199, 200, 18, 175], 1.0)
    jaw |= {150: 0.95, 379: 0.95, 136: 0.85, 365: 0.85, 172: 0.62, 397: 0.62, 58: 0.3, 288: 0.3, 132: 0.1, 361: 0.1}
    upper = _still(nose) | dict.fromkeys(corners + lower_points + [18, 200, 199], 0.0) | _rows(face.UPPER_LIP, (0.75, 0.9, 1, 1))
    lower = _still(nose) | dict.fromkeys(corners + upper_points + [199, 175], 0.0) | _rows(face.LOWER_LIP, (0.7, 0.9, 1, 1))
    side = {p: float(np.clip(x[p], -1, 1)) for p in upper_points + lower_points}
    corner = _still(nose, [199, 175]) | side | dict.fromkeys(face.RIGHT_CORNER, -1.0) | dict.fromkeys(face.LEFT_CORNER, 1.0)
    pout = _still(nose, [199, 175]) | {p: 1 - 0.5 * min(abs(x[p]), 1) ** 2 for p in upper_points + lower_points + corners}
    brow = dict.fromkeys(face.OVAL, 0.0) | dict.fromkeys([*face.RIGHT_EYE[0], *face.LEFT_EYE[0], 6, 197, 33, 263, 133, 362], 0.0)
    brow |= dict.fromkeys(face.RIGHT_EYE[2] + face.LEFT_EYE[2], 0.25) | dict.fromkeys(face.BROWS[0] + face.BROWS[1], 1.0)
    return Fields(solve(jaw), solve(upper), solve(lower), solve(corner), solve(pout), solve(brow))


class Rig:
    """Poses the cage and refines it. `matrix` and `triangles` belong to the refined head."""

    def __init__(self) -> None:
        self.cage = face.build()
        self.fields = _fields(self.cage)
        self.matrix, self.triangles = refined(self.cage.triangles, len(self.cage.points), LEVELS)
        self._rims = self.matrix[face.UPPER_LIP[3]], self.matrix[face.LOWER_LIP[3]]
        self.touching = np.zeros(9)
        for _ in range(6):  # the refined surface is rounder than the cage: let the cage's rims overlap until skin meets skin
            shut = self._hung(self._closed(self.cage.points[: face.POINTS].copy(), 1.0, 0.0))
            self.touching += 0.8 * ((self._rims[1] - self._rims[0]) @ shut)[:, 1] + 0.8 * 0.035

    def _closed(self, p: Points, press: float, tuck: float) -> Points:
        """Brings the lips together by `press`; `tuck` takes the lower lip up and behind the upper teeth."""
        gap = p[face.UPPER_LIP[3], 1] - p[face.LOWER_LIP[3], 1] - self.touching
        depth = p[face.UPPER_LIP[3], 2] - p[face.LOWER_LIP[3], 2]
        for row, follow in enumerate(ROWS):
            p[face.UPPER_LIP[row], 1] -= 0.3 * press * follow * gap
            p[face.LOWER_LIP[row], 1] += (0.7 * press + 0.93 * tuck * (1 - press)) * follow * gap
            p[face.LOWER_LIP[row], 2] += 0.7 * press * follow * depth - 0.28 * tuck * follow * COLUMN
        return p

    def _hung(self, moved: Points) -> Points:
        """The whole cage, its added points carried along with those they hang on."""
        cage = self.cage
        shift = moved - cage.points[: face.POINTS]
        whole = cage.points + cage.bond[:, None] * shift[cage.parent]
        whole[: face.POINTS] = moved
        return whole

    def _lips(self, p: Points, controls: NDArray[np.float64], smile: float) -> Points:
        jaw, wide, pucker, up, down, tuck, press, _ = controls
        f = self.fields
        across = np.abs(f.corner)
        p[:, 0] += f.corner * (0.42 * wide - 0.72 * pucker + 0.12 * smile)
        p[:, 1] += 0.58 * up * f.upper - 0.55 * down * f.lower + across**2 * (0.10 * wide + 0.20 * smile)
        p[:, 2] += (
            f.pout * 0.55 * pucker - across * (0.22 * max(wide, 0) + 0.05 * smile) + 0.1 * up * f.upper + 0.1 * down * f.lower
        )
        p[:, 1] += 0.10 * pucker * f.upper - 0.05 * pucker * f.lower
        angle = JAW_ANGLE * jaw
        arm = p[:, 1:] - JAW_HINGE[1:]
        turned = np.stack(
            [arm[:, 0] * np.cos(angle) - arm[:, 1] * np.sin(angle), arm[:, 0] * np.sin(angle) + arm[:, 1] * np.cos(angle)], 1
        )
        p[:, 1:] += f.jaw[:, None] * (turned - arm)
        return self._closed(p, press + (1 - press) * 0.35 * pucker, tuck)

    def _eyes(self, p: Points, blink: float, look_up: float) -> Points:
        """The upper lid slides over the eyeball; it follows the gaze a little."""
        shut = np.clip(blink - 0.9 * look_up, -0.25, 1)
        for centre, (upper, lower, above, below) in zip(face.EYES, (face.RIGHT_EYE, face.LEFT_EYE), strict=True):
            goal = p[lower] + [0, 0.06, 0]
            for row, share, radius in ((upper, shut, 1.07), (above, 0.62 * shut, 1.15)):
                moved = p[row] + share * (goal - p[row]) if row is upper else p[row] + share * (goal + CREASE - p[row])
                away = moved - centre
                kept = np.linalg.norm(p[row] - centre, axis=1, keepdims=True)
                p[row] = centre + away / np.linalg.norm(away, axis=1, keepdims=True) * np.maximum(kept, face.EYEBALL * radius)
            p[lower, 1] += 0.10 * max(shut, 0)
            p[below, 1] += 0.05 * max(shut, 0)
        return p

    def pose(self, controls: NDArray[np.float64], blink: float, brow: float, smile: float, look_up: float) -> Points:
        """The refined head [V, 3] in its own frame; the first 468 rows are MediaPipe's points on the skin."""
        p = self._lips(self.cage.points[: face.POINTS].copy(), controls, 1.3 + 0.5 * smile)
        p[:, 1] += self.fields.brow * 0.35 * brow
        return np.asarray(self.matrix @ self._hung(self._eyes(p, blink, look_up)))
