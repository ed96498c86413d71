"""Stands in for geneface: the same words and files, no work. `FAKE` names what goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FAKE = os.environ.get("FAKE", "")
ARGS = {name: value for name, value in zip(sys.argv[2:], sys.argv[3:], strict=False) if name.startswith("--")}
stopping = []


def line(**fields):
    print(json.dumps({"time": "2026-01-01T00:00:00.000+00:00", "level": "info", **fields}), file=sys.stderr, flush=True)


def write(path, content):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def checkpoint(step):
    folder = Path(ARGS["--out"]) / "checkpoints" / f"motion-{step:07d}"
    write(folder / "state.json", json.dumps({"step": step}).encode())
    write(folder / "net.safetensors", os.urandom(1000))
    line(checkpoint=str(folder))


def preprocess():
    if "--describe" in sys.argv:
        return {"version": 7, "options": {"profile": ARGS.get("--profile")}, "options_hash": "abcd"}
    assert Path(ARGS["--video"]).read_bytes()
    for done in range(4):
        line(stage="survey", done=done, total=3)
    for done in range(4):
        line(stage="landmarks", done=done, total=3)
    for name in ("frames.mp4", "audio.wav", "landmarks.npz", "dataset.json", "report.json"):
        write(Path(ARGS["--data"]) / name, f"{name} of the dataset".encode())
    write(Path(ARGS["--data"]) / ".frames.part", b"left over")
    return {"frames": 100}


def train():
    assert (Path(ARGS["--data"]) / "dataset.json").is_file()
    checkpoints = Path(ARGS["--out"]) / "checkpoints"
    found = sorted(path.name for path in checkpoints.glob("*")) if checkpoints.is_dir() else []
    line(message=f"resumed: {found}", argv=sys.argv[1:])
    trouble()
    done = 0
    while done < 20 or (FAKE == "long" and not stopping):
        done += 1
        line(stage="train motion", done=min(done, 20), total=20, loss=1 / done, lr="1e-3")
        if done % 5 == 0:
            checkpoint(done)
        time.sleep(0.05 if FAKE == "long" else float(os.environ.get("FAKE_STEP", "0.01")))
    if stopping:
        checkpoint(done + 1000)
        line(level="error", code="stopped", message="stopped; the checkpoint is on disk")
        sys.exit(143)
    for path in sorted(checkpoints.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    checkpoints.rmdir()
    for name in ("model.json", "net/motion.safetensors", "report.json"):
        write(Path(ARGS["--out"]) / name, f"{name} of the model".encode())
    return {"loss": 0.05}


def trouble():
    if FAKE == "input":
        line(level="error", code="no_face_detected", message="no face was found in the video")
        sys.exit(64)
    if FAKE == "crash":
        raise ValueError("the sky has fallen")
    if FAKE == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if FAKE == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        line(message="deaf")
        time.sleep(60)
    if FAKE == "family":
        grandchild = subprocess.Popen(["sleep", "60"])
        line(message="family", pids=[os.getpid(), grandchild.pid])
        time.sleep(60)
    if FAKE == "noise":
        noise()


def noise():
    err = sys.stderr.buffer
    for i in range(5000):
        err.write(json.dumps({"time": "t", "level": "info", "message": f"ours {i}"}).encode() + b"\n")
    err.write(b"  10%|#   | 1/10\r 20%|##  | 2/10\r\n")
    err.write(b"not utf-8: \xff\xfe, a zero: \0, half a pair: \n")
    err.write(b'{"time": "t", "level": "info", "message": "\\ud800", "loss": NaN, "big": 1e999}\n')
    err.write(b"{not json\n[1, 2]\n" + b"x" * 200_000 + b"\nno line feed at the end")
    err.flush()
    print("on stdout")


def render():
    assert (Path(ARGS["--model"]) / "model.json").is_file()
    out = Path(ARGS["--out"])
    line(stage="render", done=1, total=2)
    line(stage="render", done=2, total=2)
    write(out, f"video {out.name}".encode())
    if "--motion" in ARGS:
        write(out.with_suffix(".truth.mp4"), b"truth")
        if ARGS["--motion"] == "swap":
            write(out.with_suffix(".driver.mp4"), b"driver")
    else:
        burnt = b", with " + Path(ARGS["--subtitles"]).read_bytes() if "--subtitles" in ARGS else b""
        write(out, f"video {out.name} of ".encode() + Path(ARGS["--audio"]).read_bytes() + burnt)
        write(ARGS["--contact_sheet"], b"png")
        write(out.with_suffix(".report.json"), b"{}")
    return {"frames": 50}


def on_sigterm(_number, _frame):
    stopping.append(True)


assert "GENEFACE_ATTEMPT_TOKEN" not in os.environ
signal.signal(signal.SIGTERM, on_sigterm)
print(json.dumps({"preprocess": preprocess, "train": train, "render": render}[sys.argv[1]]()))
