"""How far the whole Job is: steps have weights, a step's parts have weights, a part's stages share what it has."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

UNKNOWN_STAGE = 0.5
"""Of what its part has left, a stage that nobody announced takes this much: so another may follow."""

LONGEST = 30 * 24 * 3600.0
"""Seconds; what would take longer is not worth telling apart."""


@dataclass(frozen=True)
class Part:
    """A stretch of a step: fetching, one command, uploading. `stages`: weights of the stages that its program goes through."""

    name: str
    weight: float
    stages: Mapping[str, float] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    """Stages that the program may leave out, because there is nothing for it to do: those after them have their share."""


def span(weights: Mapping[str, float], steps: Sequence[str], step: str) -> tuple[float, float]:
    """Where `step` begins and ends on the Job's way from 0 to 1; a step without a weight counts 1."""
    sizes = [weights.get(name, 1.0) for name in steps]
    at = steps.index(step)
    return sum(sizes[:at]) / sum(sizes), sum(sizes[: at + 1]) / sum(sizes)


class Progress:
    """Progress of one step within its Job. Never falls. The caller keeps threads apart."""

    def __init__(self, begin: float, end: float, parts: Sequence[Part], clock: Callable[[], float] = time.monotonic) -> None:
        total = sum(part.weight for part in parts)
        self._clock = clock
        self._end = end
        self._parts: dict[str, tuple[Part, float, float]] = {}
        at = begin
        for part in parts:
            to = at + (end - begin) * part.weight / total
            self._parts[part.name] = (part, at, to)
            at = to
        self.value = begin
        self._part = parts[0].name
        self._stage: str | None = None
        self._seen: set[str] = set()
        """This part's stages so far."""
        self._stage_from = begin
        self._stage_to = begin
        self._paced: tuple[float, float] | None = None
        """When this part's first stride was heard of, and how far the step was: a training that resumes starts high."""

    def enter(self, part: str) -> None:
        """A part begins, and the one before it is done."""
        self._part = part
        self._stage = None
        self._seen = set()
        self._paced = None
        self._raise(self._parts[part][1])

    def advance(self, stage: str, done: float, total: float) -> None:
        """`done` of `total` units of `stage`, in the present part."""
        if stage != self._stage:
            self._stage = stage
            self._seen.add(stage)
            self._stage_from, self._stage_to = self._bounds(stage)
        share = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
        self._raise(self._stage_from + (self._stage_to - self._stage_from) * share)
        if self._paced is None:
            self._paced = self._clock(), self.value

    def finish(self) -> None:
        """The step is done."""
        self._raise(self._end)

    def eta_seconds(self, stage_eta: float | None = None) -> float | None:
        """Seconds to the Job's end at this part's pace; at least the stage's own estimate. None before the first stride."""
        if self._paced is None or self.value <= self._paced[1]:
            return None if stage_eta is None else min(max(stage_eta, 0.0), LONGEST)
        pace = (self._clock() - self._paced[0]) / (self.value - self._paced[1])
        return min(max(pace * (1.0 - self.value), stage_eta or 0.0), LONGEST)

    def _bounds(self, stage: str) -> tuple[float, float]:
        part, at, to = self._parts[self._part]
        if stage not in part.stages:
            start = max(self.value, at)
            return start, start + (to - start) * UNKNOWN_STAGE
        names = list(part.stages)
        left_out = part.optional.intersection(names[: names.index(stage)]) - self._seen
        weights = {name: weight for name, weight in part.stages.items() if name not in left_out}
        start, end = span(weights, list(weights), stage)
        return at + (to - at) * start, at + (to - at) * end

    def _raise(self, value: float) -> None:
        self.value = round(min(max(self.value, value), self._end), 4)
