"""Eyes: how far they are open, and the blinks. Pure numpy."""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media.clock import FPS
from media.mesh import runs

Array = NDArray[np.floating]

LIDS = (((160, 144), (159, 145), (158, 153)), ((385, 380), (386, 374), (387, 373)))
"""Upper and lower lid points of the mesh, of the eye on the picture's left and of the other."""
CORNERS = ((33, 133), (362, 263))
WINDOW = 3 * FPS
"""Frames over which the open eye's level is taken: longer than any blink, shorter than a change of mood."""
OPEN_QUANTILE = 70.0
SHUT = 0.62
"""Share of the open level under which the lids must come in a blink."""
EDGE = 0.85
"""Share of the open level at which a blink begins and ends."""
LONGEST = round(0.8 * FPS)
"""Frames of the longest blink; what lasts longer is a closed or lowered eye."""

_AROUND = 5


@dataclass(frozen=True)
class Blink:
    """One blink: frames `start` to `stop` - 1 under the edge; `depth` the smallest aperture over the open level there."""

    start: int
    stop: int
    depth: float


@dataclass(frozen=True)
class Blinks:
    """A person's blinking: events, how many a minute, their mean length in seconds, the mean share of the open level left at
    the deepest point, the open level itself (lid gap over eye width). Without blinks length and depth are 0."""

    count: int
    per_minute: float
    seconds: float
    closed: float
    open: float
    starts: tuple[int, ...]

    def described(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def aperture(front: Array) -> Array:
    """Lid gap over eye width of each eye [T, 2] (picture's left first) from pose-free points [T, 478, 3]: the mean of three
    columns, as in the eye aspect ratio (Soukupová and Čech, CVWW 2016), but seen from the front.
    """
    front = front[..., :2]
    eyes = []
    for lids, (outer, inner) in zip(LIDS, CORNERS, strict=True):
        gap = np.mean([np.linalg.norm(front[:, upper] - front[:, lower], axis=-1) for upper, lower in lids], axis=0)
        eyes.append(gap / np.maximum(np.linalg.norm(front[:, outer] - front[:, inner], axis=-1), 1e-6))
    return np.stack(eyes, -1).astype(np.float32)


def open_level(signal: Array) -> Array:
    """The open eye's level [T] around each frame of an aperture [T]: a high quantile over three seconds."""
    half = WINDOW // 2
    padded = np.pad(signal, half, mode="reflect" if len(signal) > half else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    return np.percentile(windows, OPEN_QUANTILE, axis=1).astype(np.float32)


def find(eyes: Array) -> list[Blink]:
    """The blinks in apertures [T, 2]: both eyes go well under their open level and come back within 0.8 s. One
    that the clip's ends cut off does not count."""
    both = np.maximum(*(eyes[:, eye] / np.maximum(open_level(eyes[:, eye]), 1e-6) for eye in (0, 1)))
    gap, events = eyes.mean(1), []
    for start, stop in runs(both < EDGE):
        for first, last in _valleys(both, start, stop):
            depth = float(both[first:last].min())
            whole = first > 0 and last < len(both)
            if depth < SHUT and last - first <= LONGEST and whole and _comes_back(gap, first, last):
                events.append(Blink(first, last, depth))
    return events


def statistics(eyes: Array) -> Blinks:
    """How this person blinks, from apertures [T, 2]."""
    events = find(eyes)
    level = float(np.median(open_level(eyes.mean(1))))
    seconds = float(np.mean([event.stop - event.start for event in events])) / FPS if events else 0.0
    depth = float(np.mean([event.depth for event in events])) if events else 0.0
    rate = len(events) / (len(eyes) / FPS / 60)
    starts = tuple(event.start for event in events)
    return Blinks(len(events), round(rate, 2), round(seconds, 3), round(depth, 3), round(level, 4), starts)


def _comes_back(gap: Array, first: int, last: int) -> bool:
    """Whether the eye is about as wide after as before: a lowered eye is not, though its open level follows in time."""
    before, after = gap[max(0, first - _AROUND) : first].max(), gap[last : last + _AROUND].max()
    return bool(min(before, after) > SHUT * max(before, after))


def _valleys(signal: NDArray[np.floating], start: int, stop: int) -> list[tuple[int, int]]:
    """Parts a stretch at ridges where the eyes opened halfway again between two deep points: a double blink."""
    deep = runs(signal[start:stop] < SHUT)
    cuts = [start]
    for (_, left), (right, _) in pairwise(deep):
        ridge = start + left + int(signal[start + left : start + right].argmax())
        if signal[ridge] > (SHUT + EDGE) / 2:
            cuts.append(ridge)
    return list(zip(cuts, [*cuts[1:], stop], strict=True))
