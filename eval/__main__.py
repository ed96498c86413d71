"""`python -m eval --gt_video A --pred_video B --out_json J`: scores of a rendered video beside the true one, or by itself."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from eval import comparison, page, report
from eval.clips import Clip
from eval.lse import Crop
from eval.measure import CONSTANT, DRIVER, GROUND_TRUTH, PREDICTION, SWAP, TRUTH_DRIVEN, measure
from eval.sync import listen
from eval.timeline import Timeline
from eval.weights import Weights
from steps.errors import InputError
from steps.program import run
from steps.progress import Reporter

CROPS: tuple[Crop, ...] = ("track", "none")
VIDEOS = {
    GROUND_TRUTH: "the true video; without it, what the rendered one tells by itself",
    PREDICTION: "the rendered video",
    CONSTANT: "control: the same renderer with the mean mouth",
    TRUTH_DRIVEN: "the same renderer driven by the true motion",
    SWAP: "control: the same renderer driven by another stretch's motion",
    DRIVER: "the true video of that other stretch",
}


def evaluate(arguments: argparse.Namespace, reporter: Reporter) -> dict[str, Any]:
    """Scores the videos, writes the JSON and returns it. Raises MediaError for a file that cannot be read."""
    paths = {role: getattr(arguments, role) for role in VIDEOS}
    clips = {role: Clip.open(path) for role, path in paths.items() if path}
    for path in (arguments.out_json, arguments.out_html, arguments.out_csv):
        if path:
            _prepare(path)
    _warn(clips, reporter)
    weights = Weights.found()
    lips = listen(clips[PREDICTION], arguments.lse_crop, weights, reporter)
    measured = measure(clips, weights, reporter)
    result = report.report(measured, lips, weights, clips)
    timeline = Timeline.of(measured)
    if arguments.out_csv:
        timeline.write(arguments.out_csv, clips[PREDICTION].fps)
    if arguments.out_html:
        reporter.progress("write the report", 0, 1)
        page.write(arguments.out_html, result, timeline, measured.worst, clips)
        reporter.progress("write the report", 1, 1)
    report.write(result, arguments.out_json)  # last: who finds it finds the others too
    return result


def main(words: Sequence[str] | None = None) -> int:
    """The command."""
    arguments = _arguments(words)
    results: list[dict[str, Any]] = []

    def command(reporter: Reporter) -> dict[str, Any]:
        results.append(compare(arguments) if arguments.compare else evaluate(arguments, reporter))
        return results[0]

    code = run(command)
    if results and sys.stderr.isatty():
        (comparison if arguments.compare else report).show(results[0], Console(stderr=True))
    return code


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Lays evaluations beside each other, writes the JSON if one was asked for and returns it."""
    result = comparison.compare(arguments.compare)
    if arguments.out_json:
        _prepare(arguments.out_json)
        report.write(result, arguments.out_json)
    return result


def _prepare(path: Path) -> None:
    """Makes the folder of a file that is to be written. Raises InputError `output_unwritable` before any work is done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
    except OSError as error:
        raise InputError("output_unwritable", f"{path} cannot be written: {error.strerror or error}") from None


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    arguments = parser.parse_args(words)
    needed = () if arguments.compare else (PREDICTION, "out_json")
    if missing := [name for name in needed if getattr(arguments, name) is None]:
        parser.error(f"--{' and --'.join(missing)} are needed" if len(missing) > 1 else f"--{missing[0]} is needed")
    if (arguments.swap_video is None) != (arguments.driver_video is None):
        parser.error("--swap_video and --driver_video come together")
    controls = [role for role in VIDEOS if role not in (GROUND_TRUTH, PREDICTION) and getattr(arguments, role)]
    if controls and arguments.gt_video is None:
        parser.error(f"--{controls[0]} needs --{GROUND_TRUTH}")
    if arguments.lse_crop not in CROPS:
        parser.error(f"EVAL_LSE_CROP is {arguments.lse_crop!r}: it may be {' or '.join(CROPS)}")
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval", description=__doc__)
    for role, what in VIDEOS.items():
        parser.add_argument(f"--{role}", type=Path, metavar="FILE", help=what)
    parser.add_argument("--compare", nargs="+", type=Path, metavar="JSON", help="instead: a table over the JSON of several runs")
    parser.add_argument(
        "--lse_crop", choices=CROPS, default=os.environ.get("EVAL_LSE_CROP", CROPS[0]),
        help="LSE of the faces that are found and followed, or of the whole frame (EVAL_LSE_CROP)",
    )  # fmt: skip
    parser.add_argument("--out_html", type=Path, metavar="FILE", help="a page with both videos, their curves and the figures")
    parser.add_argument("--out_csv", type=Path, metavar="FILE", help="the figures of each frame")
    parser.add_argument("--out_json", type=Path, metavar="FILE", help="where the scores go (stdout has them too)")
    return parser


def _warn(clips: dict[str, Clip], reporter: Reporter) -> None:
    """Says what makes a comparison weaker than it looks."""
    truth = clips.get(GROUND_TRUTH)
    for role, clip in clips.items():
        extra = abs(clip.video.frames / clip.fps - truth.video.frames / truth.fps) * truth.fps if truth else 0
        if role != DRIVER and extra > 1:
            text = f"{role} and {GROUND_TRUTH} differ by {extra:.0f} frames in length: what one has more of is not compared"
            reporter.message(text, level="warning")
        if clip.video.vfr:
            reporter.message(f"{role} has frames at uneven times; they are taken as even", level="warning")


if __name__ == "__main__":
    sys.exit(main())
