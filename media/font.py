"""A small stroke font of our own, drawn with numpy: enough for labels and time stamps, smooth at any size.

Glyphs live on a grid of units: baseline at y = 0, lower case 4 high, capitals and digits 6, descenders to −2. A stroke is
a polyline `x,y x,y …`; `~` makes it a curve (its corners are cut off again and again), `o` a closed curve, `.` a dot.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

_GLYPHS = {
    " ": "",
    "-": "0,2.4 2.2,2.4",
    ".": ".0,0",
    ":": ".0,0.6|.0,3.6",
    "/": "0,-0.6 3,6.4",
    "%": "0,0 4.4,6|o0,4 1.8,4 1.8,6 0,6|o2.6,0 4.4,0 4.4,2 2.6,2",
    "0": "o0,0 3.8,0 3.8,3 3.8,6 0,6 0,3",
    "1": "0.2,4.7 1.8,6 1.8,0",
    "2": "~0.1,4.4 0.1,6.2 3.8,6.4 3.8,3.6 1.6,1.8 0,0|0,0 3.9,0",
    "3": "~0.1,5.2 0.6,6.1 3.6,6.3 3.6,3.2 1.4,3.2|~1.4,3.2 4,3.2 4,-0.3 0.6,-0.2 0,0.9",
    "4": "2.9,0 2.9,6 0,1.8 4,1.8",
    "5": "3.5,6 0.6,6 0.3,3.1|~0.3,3.1 1,4 4,4.2 4,-0.4 0.7,-0.2 0,0.8",
    "6": "~3.4,5.3 2.6,6.1 0,6.2 0,3.6 0,2|o0,0 3.9,0 3.9,3.7 0,3.7",
    "7": "0,6 3.8,6 1.3,0",
    "8": "o0.3,3.2 3.6,3.2 3.6,6 0.3,6|o0,0 3.9,0 3.9,3.2 0,3.2",
    "9": "~0.4,0.7 1.2,-0.1 3.8,-0.2 3.8,2.4 3.8,4|o0,2.3 3.9,2.3 3.9,6 0,6",
    "A": "0,0 2.3,6 4.6,0|0.8,2 3.8,2",
    "I": "0,0 0,6",
    "a": "o0,0 3.8,0 3.8,4 0,4|3.8,4 3.8,0",
    "b": "0,6 0,0|o0,0 3.8,0 3.8,4 0,4",
    "c": "~3.7,3.2 3.1,4 0,4.3 0,-0.3 3.1,0 3.7,0.8",
    "d": "o0,0 3.8,0 3.8,4 0,4|3.8,6 3.8,0",
    "e": "0,2.1 3.8,2.1|~3.8,2.1 3.9,4 0,4.2 0,-0.2 3,-0.1 3.6,0.8",
    "f": "~0.9,0 0.9,4 0.9,6 2.5,6|0,4 2.2,4",
    "g": "o0,0 3.8,0 3.8,4 0,4|~3.8,4 3.8,0 3.8,-2.2 0.9,-2.1 0.2,-1.4",
    "h": "0,6 0,0|~0,2 0.1,4.2 3.7,4.2 3.7,2 3.7,0",
    "i": "0,4 0,0|.0,5.7",
    "j": "~1,4 1,0 1,-2 -0.2,-2|.1,5.7",
    "k": "0,6 0,0|3.3,4 0,1.3|1.3,2.4 3.5,0",
    "l": "0,6 0,0",
    "m": "0,4 0,0|~0,2 0.1,4.2 2.9,4.2 2.9,2 2.9,0|~2.9,2 3,4.2 5.8,4.2 5.8,2 5.8,0",
    "n": "0,4 0,0|~0,2 0.1,4.2 3.7,4.2 3.7,2 3.7,0",
    "o": "o0,0 3.8,0 3.8,4 0,4",
    "p": "0,4 0,-2|o0,0 3.8,0 3.8,4 0,4",
    "q": "3.8,4 3.8,-2|o0,0 3.8,0 3.8,4 0,4",
    "r": "0,4 0,0|~0,2 0.2,4 2.2,4",
    "s": "~3.2,3.2 2.7,4 0.1,4.3 0,2.1 3.4,2.1 3.4,-0.3 0.5,0 0,0.8",
    "t": "~1,5.5 1,1 1,0 2.5,0|0,4 2.3,4",
    "u": "~0,4 0,2 0,-0.2 3.6,-0.2 3.6,2|3.6,4 3.6,0",
    "v": "0,4 1.8,0 3.6,4",
    "w": "0,4 1.3,0 2.7,4 4.1,0 5.4,4",
    "x": "0,0 3.4,4|0,4 3.4,0",
    "y": "0,4 1.8,0|3.6,4 1.1,-2 0,-2",
    "z": "0,4 3.4,4 0,0 3.4,0",
}
_ASCENT, _DESCENT = 6.6, 2.6
_STROKE = 0.78
_GAP = 1.75
_SPACE = 2.4


@lru_cache(maxsize=512)
def text(line: str, height: int) -> NDArray[np.float32]:
    """Coverage 0…1 of `line` (lower case, digits, `A`, `I`, `-.:/%`), [height, W]; height runs from ascender to descender."""
    scale = height / (_ASCENT + _DESCENT)
    segments, width = _layout(line)
    columns = int(np.ceil((width + _STROKE) * scale))
    x = np.asarray((np.arange(columns) + 0.5) / scale - _STROKE / 2)
    y = np.asarray(_ASCENT - (np.arange(height) + 0.5) / scale)
    if not len(segments):
        return np.zeros((height, columns), np.float32)
    distance = np.full((height, columns), np.inf)
    for start, stop in segments:
        np.minimum(distance, _distance(x[None, :], y[:, None], start, stop), out=distance)
    coverage = np.clip(0.5 + (_STROKE / 2 - distance) * scale, 0.0, 1.0).astype(np.float32)
    coverage.flags.writeable = False
    return coverage


def _layout(line: str) -> tuple[list[NDArray[np.float64]], float]:
    segments: list[NDArray[np.float64]] = []
    pen = 0.0
    for character in line:
        lines = [_line(stroke) for stroke in _GLYPHS[character].split("|") if stroke]
        segments += [pair + np.array([pen, 0.0]) for points in lines for pair in np.stack([points[:-1], points[1:]], axis=1)]
        right = max((float(points[:, 0].max()) for points in lines), default=_SPACE - _GAP)
        pen += right + _GAP
    return segments, max(pen - _GAP, 0.0)


def _line(stroke: str) -> NDArray[np.float64]:
    kind = stroke[0] if stroke[0] in "~o." else ""
    points = np.array([[float(number) for number in pair.split(",")] for pair in stroke[len(kind) :].split()])
    if kind == ".":
        return np.concatenate([points, points])
    for _ in range(3 if kind else 0):
        points = _cut_corners(points, closed=kind == "o")
    return np.concatenate([points, points[:1]]) if kind == "o" else points


def _cut_corners(points: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
    """One round of Chaikin's corner cutting; an open line keeps its ends."""
    after = np.roll(points, -1, axis=0) if closed else points[1:]
    before = points if closed else points[:-1]
    cut = np.stack([0.75 * before + 0.25 * after, 0.25 * before + 0.75 * after], axis=1).reshape(-1, 2)
    return cut if closed else np.concatenate([points[:1], cut, points[-1:]])


def _distance(
    x: NDArray[np.float64], y: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance of every grid point to the segment from a to b."""
    along = b - a
    length = float(along @ along)
    share = np.clip(((x - a[0]) * along[0] + (y - a[1]) * along[1]) / length, 0.0, 1.0) if length else 0.0
    return np.asarray(np.hypot(x - a[0] - share * along[0], y - a[1] - share * along[1]))
