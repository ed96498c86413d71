"""One row of the table that `platform_speed.py` prints, and what its cells are made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row of the table; `reached`: None where no goal is set."""

    what: str
    measured: str
    baseline: str
    ratio: str
    goal: str = ""
    reached: bool | None = None

    def __str__(self) -> str:
        verdict = {None: "–", True: "reached", False: "**missed**"}[self.reached]
        return f"| {self.what} | {self.measured} | {self.baseline} | {self.ratio} | {self.goal or '–'} | {verdict} |"


def percentile(times: list[float], part: float) -> float:
    """Seconds; `part` of 1."""
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


def spread(times: list[float]) -> str:
    return f"p50 {1000 * percentile(times, 0.5):.0f} ms, p99 {1000 * percentile(times, 0.99):.0f} ms"
