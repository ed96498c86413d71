"""`make demo` on a running platform: what it shows, and what it leaves in its folder."""

import io
import json
from pathlib import Path

import httpx
from rich.console import Console
from running import Up

from local import demo
from local.client import Client

MOUTH = {"psnr": 25.0, "aperture_r": 0.8, "aperture_amplitude": 0.9}
WHOLE = {"psnr": 30.0, "ssim": 0.9, "niqe": 5.0, "fid": 12.5, "lpips": 0.125, "lse_c": 6.5, "lse_d": 7.5}


def shown(scores: demo.Json) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(demo._scores(scores))
    return console.file.getvalue()


def test_the_demo_from_upload_to_report(shared_up: Up, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=400)
    demo.run(Client(shared_up.url), console, tmp_path, None, None)
    told, folder = console.file.getvalue(), tmp_path / "sample-talker"
    names = ("video.mp4", "contact_sheet.png", "report.html", "metrics.csv", "report.json")
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for name in names:
        assert str(folder / name) in told
    assert (folder / "report.html").read_text() == "<!doctype html>predicted.mp4 beside predicted.truth.mp4"
    assert (folder / "metrics.csv").read_text().startswith("frame,seconds")
    report = json.loads((folder / "report.json").read_text())
    assert report["scores"]["lpips"] == 0.125
    assert "NIQE" in told and "5.25" in told and "LPIPS" in told
    assert "Not measured: FID (weights_missing); LSE-C, LSE-D (no_audio)" in told
    events = httpx.get(f"{shared_up.url}/v1/requests/{report['evaluation']}/events").json()["items"]
    six = {"niqe": 5.25, "psnr": 30.0, "ssim": 0.9, "fid": None, "lse_c": None, "lse_d": None}
    assert events[-1]["data"]["scores"] == six


def test_every_figure_that_there_is_stands_in_the_table() -> None:
    scores = {**WHOLE, "mouth": MOUTH, "constant_mouth": MOUTH, "errors": {}}
    for name, (label, digits) in demo.WHOLE_FRAME.items():
        assert f"{label} " in shown(scores) and f" {WHOLE[name]:.{digits}f} " in shown(scores)
    assert demo._missing(scores) == ""
    without = {**scores, "lse_c": None, "lse_d": None, "fid": None, "errors": {"lse_c": "a", "lse_d": "a", "fid": "b"}}
    assert "LSE" not in shown(without) and "FID" not in shown(without) and "LPIPS" in shown(without)
    assert demo._missing(without) == "FID (b); LSE-C, LSE-D (a)"
