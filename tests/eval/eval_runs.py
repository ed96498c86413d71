"""`python -m eval` in this process, and what must be true of every run."""

import json
from pathlib import Path
from typing import Any

import pytest

from eval import __main__ as command

METRICS = {"niqe", "psnr", "ssim", "fid", "lpips", "lmd", "lse_c", "lse_d"}
OUT = "scores.json"

Capture = pytest.CaptureFixture[str]


def scores(folder: Path, capsys: Capture, *flags: str, **videos: Path) -> tuple[dict[str, Any], str]:
    """Of a run that must succeed: the JSON and stderr. stdout says the same; each figure is finite, or null with a reason."""
    code, result, said = _run(folder, capsys, flags, videos)
    assert code == 0, said
    printed, result = (json.loads(text, parse_constant=pytest.fail) for text in (result, (folder / OUT).read_text("utf-8")))
    assert printed == result
    assert {name for name in METRICS if result[name] is None} == METRICS & set(result["errors"])
    return result, said


def refusal(folder: Path, capsys: Capture, *flags: str, **videos: Path) -> str:
    """Of a run that must end with 64: the code in its last words. It writes and prints nothing."""
    code, result, said = _run(folder, capsys, flags, videos)
    assert (code, result) == (64, "")
    assert not (folder / OUT).exists() and not list(folder.glob(".*.partial"))
    last: dict[str, str] = json.loads(said.splitlines()[-1])
    assert last["level"] == "error" and len(last["message"]) < 300
    return last["code"]


def _run(folder: Path, capsys: Capture, flags: tuple[str, ...], videos: dict[str, Path]) -> tuple[int, str, str]:
    words = [word for role, path in videos.items() for word in (f"--{role}", str(path))]
    code = command.main([*words, *flags, "--out_json", str(folder / OUT)])
    return code, *capsys.readouterr()
