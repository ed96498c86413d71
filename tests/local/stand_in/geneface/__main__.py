"""Stands in for the method in tests of the platform: the same commands, files and progress lines in seconds.

STAND_IN_SECONDS: how long a command works, in ten steps; training makes a checkpoint at each. What is in a video can make
preprocessing fail: `no face`, `much memory` (2 GiB), `many lines` (50 a second until it is killed); or, `which weights`, say
what lies in GENEFACE_WEIGHTS_DIR.
"""

import argparse
import hashlib
import itertools
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from steps import program
from steps.errors import InputError, StoppedError

SECONDS = float(os.environ.get("STAND_IN_SECONDS", "1"))
STEPS = 10
OPTIONS = {"profile": "quick"}


def work(stage, reporter, first=0, after=lambda step: None):
    for step in range(first + 1, STEPS + 1):
        time.sleep(SECONDS / STEPS)
        reporter.progress(stage, step, STEPS)
        after(step)
        if program.stop_requested():
            raise StoppedError


def preprocess(arguments, reporter):
    digest = hashlib.sha256(json.dumps(OPTIONS).encode()).hexdigest()
    if arguments.describe:
        return {"version": 1, "options": OPTIONS, "options_hash": digest}
    content = arguments.video.read_bytes()
    if b"no face" in content:
        raise InputError("no_face_detected", "There is no face in the video.")
    if b"much memory" in content:
        return {"hog": len([os.urandom(1 << 24) for _ in range(128)])}
    if b"many lines" in content:
        talk()
    if b"which weights" in content:
        folder = Path(os.environ["GENEFACE_WEIGHTS_DIR"])
        reporter.message(f"weights: {sorted(str(one.relative_to(folder)) for one in folder.rglob('*') if one.is_file())}")
        reporter.message(f"writable: {os.access(folder, os.W_OK)}")
    work("preprocess", reporter)
    arguments.data.mkdir(parents=True, exist_ok=True)
    (arguments.data / "frames.mp4").write_bytes(content[:1000])
    (arguments.data / "dataset.json").write_text("{}")
    return {"data": str(arguments.data)}


def talk():
    for number in itertools.count():
        print(f"line {number}.", file=sys.stderr, flush=True)
        time.sleep(0.02)


def train(arguments, reporter):
    assert (arguments.data / "frames.mp4").exists()
    folder = arguments.out / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    newest = max((int(one.name.removeprefix("train-")) for one in folder.glob("train-*")), default=0)

    def keep(step):
        new = folder / f"new-{step}"
        new.mkdir(exist_ok=True)
        (new / "state").write_text(str(step))
        new.rename(folder / f"train-{step}")
        reporter.checkpoint(str(folder / f"train-{step}"))

    work("train", reporter, newest, keep)
    (arguments.out / "model.json").write_text(json.dumps({"resumed_from": newest}))
    (arguments.out / "weights.safetensors").write_bytes(os.urandom(200_000))
    (arguments.out / "report.json").write_text(json.dumps({"resumed_from": newest}))
    shutil.rmtree(folder)
    return {"resumed_from": newest}


def render(arguments, reporter):
    assert (arguments.model / "model.json").exists()
    work("render", reporter)
    names = [arguments.out, arguments.out.with_suffix(".report.json")]
    if arguments.split:
        names.append(arguments.out.with_suffix(".truth.mp4"))
    if arguments.motion == "swap":
        names.append(arguments.out.with_suffix(".driver.mp4"))
    if arguments.contact_sheet:
        names.append(arguments.contact_sheet)
    for name in names:
        name.write_text(f"{name.name}")
    return {"video": str(arguments.out)}


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("--describe", action="store_true")
    for name in ("video", "data", "out", "model", "audio", "contact_sheet", "subtitles"):
        parser.add_argument(f"--{name}", type=Path)
    for name in ("profile", "epochs", "device", "seed", "split", "motion"):
        parser.add_argument(f"--{name}")
    arguments = parser.parse_args()
    command = {"preprocess": preprocess, "train": train, "render": render}[arguments.command]
    return program.run(lambda reporter: command(arguments, reporter))


if __name__ == "__main__":
    sys.exit(main())
