"""`python -m eval --gt_video A --pred_video B --out_json J`: scores of a rendered video beside the true one."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from eval import report
from eval.clips import Clip
from eval.measure import CONSTANT, DRIVER, GROUND_TRUTH, PREDICTION, SWAP, TRUTH_DRIVEN, measure
from steps.program import run
from steps.progress import Reporter

VIDEOS = {
    GROUND_TRUTH: "the true video",
    PREDICTION: "the rendered video",
    CONSTANT: "control: the same renderer with the mean mouth",
    TRUTH_DRIVEN: "the same renderer driven by the true motion",
    SWAP: "control: the same renderer driven by another stretch's motion",
    DRIVER: "the true video of that other stretch",
}


def evaluate(arguments: argparse.Namespace, reporter: Reporter) -> dict[str, Any]:
    """Compares the videos, writes the JSON and returns it. Raises MediaError for a file that cannot be read."""
    paths = {role: getattr(arguments, role) for role in VIDEOS}
    clips = {role: Clip.open(path) for role, path in paths.items() if path}
    arguments.out_json.parent.mkdir(parents=True, exist_ok=True)
    _warn(clips, reporter)
    result = report.report(measure(clips, reporter), clips)
    report.write(result, arguments.out_json)
    return result


def main(words: Sequence[str] | None = None) -> int:
    """The command."""
    arguments = _parser().parse_args(words)
    if (arguments.swap_video is None) != (arguments.driver_video is None):
        _parser().error("--swap_video and --driver_video come together")
    results: list[dict[str, Any]] = []

    def command(reporter: Reporter) -> dict[str, Any]:
        results.append(evaluate(arguments, reporter))
        return results[0]

    code = run(command)
    if results and sys.stderr.isatty():
        report.show(results[0], Console(stderr=True))
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval", description=__doc__)
    for role, what in VIDEOS.items():
        parser.add_argument(f"--{role}", type=Path, metavar="FILE", required=role in (GROUND_TRUTH, PREDICTION), help=what)
    parser.add_argument("--out_json", type=Path, metavar="FILE", required=True, help="where the scores go (stdout has them too)")
    return parser


def _warn(clips: dict[str, Clip], reporter: Reporter) -> None:
    """Says what makes a comparison weaker than it looks."""
    truth = clips[GROUND_TRUTH]
    for role, clip in clips.items():
        extra = abs(clip.video.frames / clip.fps - truth.video.frames / truth.fps) * truth.fps
        if role != DRIVER and extra > 1:
            text = f"{role} and {GROUND_TRUTH} differ by {extra:.0f} frames in length: what one has more of is not compared"
            reporter.message(text, level="warning")
        if clip.video.vfr:
            reporter.message(f"{role} has frames at uneven times; they are taken as even", level="warning")


if __name__ == "__main__":
    sys.exit(main())
