"""Stands in for the evaluation in tests of the platform."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from steps import program

MOUTH = {"psnr": 25.0, "aperture_r": 0.8, "aperture_amplitude": 0.9}
SCORES = {
    "niqe": 5.25, "psnr": 30.0, "ssim": 0.9, "fid": None, "lpips": 0.125, "lse_c": None, "lse_d": None, "mouth": MOUTH,
    "constant_mouth": MOUTH, "errors": {"fid": "weights_missing", "lse_c": "no_audio", "lse_d": "no_audio"},
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    for name in ("gt_video", "pred_video", "out_json", "out_html", "out_csv"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--compare", nargs="+", type=Path)
    arguments, _controls = parser.parse_known_args()

    def command(reporter):
        if arguments.compare:
            result = {"runs": [{"name": path.stem, **json.loads(path.read_text())} for path in arguments.compare]}
        else:
            work(reporter)
            result = SCORES
            arguments.out_html.write_text(f"<!doctype html>{arguments.pred_video.name} beside {arguments.gt_video.name}")
            arguments.out_csv.write_text("frame,seconds,psnr\n0,0.0,30.0\n")
        arguments.out_json.write_text(json.dumps(result))
        return result

    return program.run(command)


def work(reporter):
    for step in range(1, 11):
        time.sleep(float(os.environ.get("STAND_IN_SECONDS", "1")) / 10)
        reporter.progress("compare", step, 10)


if __name__ == "__main__":
    sys.exit(main())
