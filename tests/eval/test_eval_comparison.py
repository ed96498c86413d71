import json

import pytest

from eval import __main__ as command
from eval import comparison

VIDEO = {"frames": 50, "fps": 25.0, "width": 512, "height": 512}


def run(path, psnr, lag=0, **details):
    described = {"gt_video": VIDEO, "pred_video": VIDEO, "lse_mode": "none", "weights": {}} | details
    mouth = {"aperture_amplitude": 0.8, "aperture_lag": lag}
    figures = {"niqe": 5.0, "psnr": psnr, "ssim": 0.9, "fid": None, "lpips": 0.1, "lse_c": None, "lse_d": None}
    path.write_text(json.dumps(figures | {"face": {}, "mouth": mouth, "errors": {}, "details": described}))
    return path


def test_the_best_of_each_figure(tmp_path, capsys):
    paths = [run(tmp_path / "a.json", 30.0, lag=-1), run(tmp_path / "b.json", 31.0, lag=2), run(tmp_path / "c.json", None)]
    out = tmp_path / "new" / "table.json"
    assert command.main(["--compare", *map(str, paths), "--out_json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert json.loads(capsys.readouterr().out) == found
    assert [entry["name"] for entry in found["runs"]] == ["a", "b", "c"]
    assert (found["best"]["psnr"], found["best"]["mouth.aperture_lag"]) == ("b", "c") and "fid" not in found["best"]
    assert found["warnings"] == []
    comparison.show(found, comparison.Console(width=120))
    shown = capsys.readouterr().out
    assert "psnr ↑" in shown and "31.000" in shown and "fid" not in shown


def test_an_identical_video_is_the_best_of_all(tmp_path):
    same = run(tmp_path / "same.json", None)
    same.write_text(same.read_text().replace('"errors": {}', '"errors": {"psnr": "identical"}'))
    found = comparison.compare([run(tmp_path / "a.json", 40.0), same])
    assert found["best"]["psnr"] == "same" and found["runs"][1]["psnr"] is None


def test_one_without_a_true_video(tmp_path):
    described = {"gt_video": None}
    found = comparison.compare([run(tmp_path / "a.json", 40.0), run(tmp_path / "b.json", None, **described)])
    assert len(found["warnings"]) == 1 and "b: none" in found["warnings"][0]


def test_what_does_not_compare_is_said(tmp_path):
    other = {"pred_video": VIDEO | {"frames": 20}, "lse_mode": "track", "weights": {"x": {"sha256": "1"}}}
    found = comparison.compare([run(tmp_path / "a.json", 30.0), run(tmp_path / "b.json", 30.0, **other)])
    assert len(found["warnings"]) == 3 and "a: 50 of 512×512" in found["warnings"][0]


def test_runs_of_one_name_keep_their_folders(tmp_path):
    paths = []
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        paths.append(run(tmp_path / folder / "scores.json", 30.0))
    assert [entry["name"] for entry in comparison.compare(paths)["runs"]] == [str(path.with_suffix("")) for path in paths]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"psnr": 1}'])
def test_another_file_is_refused(tmp_path, capsys, content):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)
    assert command.main(["--compare", str(path)]) != 0
    assert "scores_unreadable" in capsys.readouterr().err


def test_what_is_missing_is_named(capsys, monkeypatch):
    with pytest.raises(SystemExit):
        command.main(["--gt_video", "a"])
    assert "--pred_video and --out_json are needed" in capsys.readouterr().err
    monkeypatch.setenv("EVAL_LSE_CROP", "face")
    with pytest.raises(SystemExit):
        command.main(["--gt_video", "a", "--pred_video", "b", "--out_json", "c"])
    assert "EVAL_LSE_CROP is 'face'" in capsys.readouterr().err
