"""Stage: every mesh of the picture, and where each stands in one frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samples.talker import face, paint, parts
from samples.talker.behaviour import Behaviour
from samples.talker.mouth import CONTROLS
from samples.talker.parts import Material, Mesh
from samples.talker.rig import JAW_ANGLE, JAW_HINGE, Rig
from samples.talker.topology import normals

Points = NDArray[np.float64]

PIVOT = np.array([0.0, -6.5, -3.0])  # the head turns about this point: cm
BODY_RISE = 1.1  # the body is moved up to the head: cm
TONGUE_LIFT = np.array([0.0, 0.42, 0.35])
EYES_FOLLOW = 0.85  # the share of a head's turn that the eyes take back to keep looking at the camera
SQUINT = 0.035  # both eyes turn in a little: radians


@dataclass(frozen=True)
class Pose:
    """World points and unit normals [V, 3] of all meshes in order; the head's rotation [3, 3] and origin [3] in cm."""

    points: Points
    normals: Points
    turn: Points
    origin: Points


def rotation(pitch: float, yaw: float, roll: float) -> Points:
    """Nod, then turn, then tilt: [3, 3]."""
    (a, b, c), (x, y, z) = np.cos([pitch, yaw, roll]), np.sin([pitch, yaw, roll])
    nod = np.array([[1, 0, 0], [0, a, -x], [0, x, a]])
    turn = np.array([[b, 0, y], [0, 1, 0], [-y, 0, b]])
    tilt = np.array([[c, -z, 0], [z, c, 0], [0, 0, 1]])
    return np.asarray(tilt @ turn @ nod)


def _raised(mesh: Mesh) -> Mesh:
    return Mesh(mesh.points + np.array([0, BODY_RISE, 0]), mesh.triangles, mesh.uv, mesh.openness, mesh.material)


def _ribbon() -> Mesh:
    count = 2 * parts.LASHES
    return Mesh(np.zeros((count, 3)), parts.lash_triangles(), np.zeros((count, 2)), np.ones(count), Material.LASH)


class Stage:
    """The meshes, grouped by what moves them; `meshes` lists them in the order in which a pose lists their points."""

    def __init__(self) -> None:
        self.rig = Rig()
        rest = self.rig.pose(np.eye(len(CONTROLS))[CONTROLS.index("press")], 0, 0, 0, 0)
        openness = np.asarray(self.rig.matrix @ self.rig.cage.openness)
        head = Mesh(rest, self.rig.triangles, paint.skin_uv(self.rig), openness, Material.SKIN)
        sides = (-1, 1)
        self._fixed = [parts.teeth(True), parts.cavity(), *map(parts.ear, sides), *map(parts.pearl, sides), parts.hair(rest)]
        self._jawed = [parts.teeth(False), parts.tongue()]
        self._eyes = [parts.eye(), parts.eye()]
        self._bending = [(parts.mane(), -19.0, 17.0), (_raised(parts.neck()), -13.2, 7.0)]  # mesh, body's below, over cm
        self._clothes = [_raised(mesh) for mesh in parts.clothes()]
        bending = [mesh for mesh, _, _ in self._bending]
        self.meshes = [head, *self._fixed, *self._jawed, *self._eyes, *bending, *self._clothes, _ribbon(), _ribbon()]
        self._normals = {id(mesh): normals(mesh.points, mesh.triangles) for mesh in self.meshes[1:-2]}

    def pose(self, controls: Points, b: Behaviour, t: int) -> Pose:
        """Everything's place in frame `t` with the mouth's controls [8]."""
        turn = rotation(*b.turn[t])
        origin = PIVOT - turn @ PIVOT + b.shift[t] + [0, 0.05 * b.breath[t], 0]
        body = 0.25 * b.shift[t] + [0, 0.10 * b.breath[t], 0]
        skin = self.rig.pose(controls, b.blink[t], b.brow[t], b.smile[t], b.gaze[t, 0])
        on_head = [(skin, normals(skin, self.rig.triangles)), *self._rigid(controls), *self._looking(b, t)]
        placed = [(points @ turn.T + origin, normal @ turn.T) for points, normal in on_head]
        placed += self._bent(turn, origin, body)
        placed += [(mesh.points + body, self._normals[id(mesh)]) for mesh in self._clothes]
        for centre, eye, corners in zip(face.EYES, (face.RIGHT_EYE, face.LEFT_EYE), face.EYE_CORNERS, strict=True):
            ribbon = parts.lashes(skin[[corners[0], *eye[0], corners[1]]], centre, b.blink[t]) @ turn.T + origin
            placed.append((ribbon, np.tile(turn[:, 2], (len(ribbon), 1))))
        return Pose(np.concatenate([p for p, _ in placed]), np.concatenate([n for _, n in placed]), turn, origin)

    def _rigid(self, controls: Points) -> list[tuple[Points, Points]]:
        """What is fixed to the skull, then what hangs on the jaw; the tongue's tip rises."""
        placed = [(mesh.points, self._normals[id(mesh)]) for mesh in self._fixed]
        jaw = rotation(JAW_ANGLE * controls[CONTROLS.index("jaw")], 0, 0)
        for mesh in self._jawed:
            tip = np.clip((mesh.points[:, 2:] - 1.5) / 2.5, 0, 1) * (mesh.material == Material.FLESH)
            raised = mesh.points + TONGUE_LIFT * controls[CONTROLS.index("tongue")] * tip
            placed.append(((raised - JAW_HINGE) @ jaw.T + JAW_HINGE, self._normals[id(mesh)] @ jaw.T))
        return placed

    def _looking(self, b: Behaviour, t: int) -> list[tuple[Points, Points]]:
        placed = []
        for mesh, centre in zip(self._eyes, face.EYES, strict=True):
            up = -b.gaze[t, 0] - EYES_FOLLOW * b.turn[t, 0]
            look = rotation(up, b.gaze[t, 1] - EYES_FOLLOW * b.turn[t, 1] - np.sign(centre[0]) * SQUINT, 0)
            placed.append((mesh.points @ look.T + centre, self._normals[id(mesh)] @ look.T))
        return placed

    def _bent(self, turn: Points, origin: Points, body: Points) -> list[tuple[Points, Points]]:
        """Neck and long hair go with the head above and stay with the body below."""
        placed = []
        for mesh, low, reach in self._bending:
            share = np.clip((mesh.points[:, 1:2] - low) / reach, 0, 1)
            share = share * share * (3 - 2 * share)
            points = share * (mesh.points @ turn.T + origin) + (1 - share) * (mesh.points + body)
            placed.append((points, normals(points, mesh.triangles)))
        return placed
