"""Several evaluations beside each other: which of the runs is best at what, and what makes them hard to compare."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from eval.page import ARROWS, BETTER
from steps.errors import InputError


def compare(paths: Sequence[Path]) -> dict[str, Any]:
    """The JSON files of some evaluations to `runs` (name and figures of each), `best` (the name of the best run by figure) and
    `warnings`. Raises InputError `scores_unreadable`.
    """
    results = [_read(path) for path in paths]
    names = _names(paths)
    figures = [_figures(result) for result in results]
    best = {}
    for figure, better in BETTER.items():
        known = [
            (_shortfall(value, better), name)
            for name, result, one in zip(names, results, figures, strict=True)
            if (value := math.inf if result["errors"].get(figure) == "identical" else one[figure]) is not None
        ]
        if len(known) > 1:
            best[figure] = min(known)[1]
    runs = [{"name": name, **one} for name, one in zip(names, figures, strict=True)]
    return {"runs": runs, "best": best, "warnings": _warnings(names, results)}


def show(comparison: dict[str, Any], console: Console) -> None:
    """As a table for people: a line a figure, the best in bold."""
    table = Table()
    table.add_column("")
    for run in comparison["runs"]:
        table.add_column(run["name"], justify="right")
    for figure, better in BETTER.items():
        values = [run[figure] for run in comparison["runs"]]
        if any(value is not None for value in values):
            cells = []
            for run, value in zip(comparison["runs"], values, strict=True):
                shown = "–" if value is None else f"{value:.3f}"
                cells.append(f"[bold]{shown}[/bold]" if comparison["best"].get(figure) == run["name"] else shown)
            table.add_row(f"{figure.replace('_', ' ')} {ARROWS.get(better, f'→ {better}')}", *cells)
    console.print(table)
    for warning in comparison["warnings"]:
        console.print(warning, style="yellow", highlight=False, markup=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        result = json.loads(path.read_text("utf-8"))
        if not isinstance(result, dict) or not {"psnr", "niqe", "details"} <= set(result):
            raise ValueError("no evaluation")
    except (OSError, ValueError) as error:
        raise InputError("scores_unreadable", f"{path} is no JSON of an evaluation: {error}") from None
    return result


def _names(paths: Sequence[Path]) -> list[str]:
    """File names without ending; with their folders where they are not enough."""
    stems = [path.stem for path in paths]
    return stems if len(set(stems)) == len(stems) else [str(path.with_suffix("")) for path in paths]


def _figures(result: dict[str, Any]) -> dict[str, float | None]:
    found = {}
    for figure in BETTER:
        block, _, name = figure.rpartition(".")
        found[figure] = (result.get(block, {}) if block else result).get(name)
    return found


def _shortfall(value: float, better: str) -> float:
    """How far a value is from the best there is; smaller is better."""
    return -value if better == "up" else value if better == "down" else abs(value - float(better))


def _described(video: dict[str, Any] | None) -> str:
    """What of a video must be the same for FID, NIQE and LSE to mean the same."""
    return "{frames} of {width}×{height} at {fps:g}".format(**video) if video else "none"


def _warnings(names: Sequence[str], results: Sequence[dict[str, Any]]) -> list[str]:
    said = []
    for role, title in (("gt_video", "the true videos"), ("pred_video", "the predictions")):
        described = [_described(result["details"].get(role)) for result in results]
        if len(set(described)) > 1:
            told = "; ".join(f"{name}: {one}" for name, one in zip(names, described, strict=True))
            said.append(f"{title} differ in frames, size or rate ({told}): FID, NIQE and LSE do not compare")
    if len({result["details"]["lse_mode"] for result in results}) > 1:
        said.append("LSE was taken of whole frames in some and of followed faces in others: it does not compare")
    if len({json.dumps(result["details"]["weights"], sort_keys=True) for result in results}) > 1:
        said.append("the pretrained weights are not the same: FID, LPIPS and LSE do not compare")
    return said
