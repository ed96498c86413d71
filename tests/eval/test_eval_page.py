"""The page and the columns behind it, from the real command, in a real Chromium."""

import csv
import json
import os
import re
import shutil
import subprocess

import pytest
from eval_videos import opening, talking, worsened, write

from eval import __main__ as command

FRAMES = 12


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder with scores.json, page.html and metrics.csv of a small talking face whose frames grow worse."""
    folder = tmp_path_factory.mktemp("说话 page")
    truth = talking(opening(FRAMES))
    videos = [write(folder / "true.mp4", truth), write(folder / "own.mp4", worsened(truth, 3))]
    words = ["--gt_video", videos[0], "--pred_video", videos[1], "--out_json", folder / "scores.json"]
    words += ["--out_html", folder / "page.html", "--out_csv", folder / "metrics.csv"]
    assert command.main([*map(str, words)]) == 0
    return folder


def test_each_frame_has_a_line(written):
    with (written / "metrics.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    result = json.loads((written / "scores.json").read_text())
    assert [int(line["frame"]) for line in lines] == list(range(FRAMES))
    assert float(lines[5]["seconds"]) == pytest.approx(0.2)
    for name in ("psnr", "ssim", "niqe"):
        assert sum(float(line[name]) for line in lines) / FRAMES == pytest.approx(result[name], abs=1e-4)
    assert all(float(line["aperture"]) > 0 for line in lines)


def test_the_page_needs_no_network_and_hides_nothing(written):
    page = (written / "page.html").read_text("utf-8")
    assert all(place.startswith("data:") for place in re.findall(r"""(?:src|href)=["']([^"']*)""", page))
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert page.count("data:video/mp4;base64,") == 2 and page.count("data:image/jpeg;base64,") == 2 * 8
    assert "weights_missing" in page and "LSE-C" in page
    worst = [int(number) for number in re.findall(r'data-frame="(\d+)"', page)]
    assert worst[0] == FRAMES - 1, "the frames grow worse"


def test_a_file_name_is_no_markup(written, tmp_path):
    name = "<b>&\"'.mp4"
    shutil.copy(written / "own.mp4", tmp_path / name)
    words = ["--gt_video", written / "true.mp4", "--pred_video", tmp_path / name, "--out_json", tmp_path / "a.json"]
    assert command.main([*map(str, [*words, "--out_html", tmp_path / "a.html"])]) == 0
    assert "<b>" not in (tmp_path / "a.html").read_text("utf-8")


def test_chromium_steps_through_both_films(written, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing: apt-get install chromium")
        pytest.skip("no Chromium here")
    probe = """
      <script>
      addEventListener("load", () => setTimeout(() => {
        document.getElementById("on").click(); document.getElementById("on").click(); document.getElementById("on").click();
        setTimeout(() => {
          const told = { where: where.textContent, truth: truth.currentTime, own: own.currentTime, wide: own.videoWidth };
          told.curves = document.querySelectorAll("#curves svg").length;
          told.now = document.querySelector("line.now").getAttribute("x1");
          document.body.innerHTML = "<pre id=told></pre>"; document.getElementById("told").textContent = JSON.stringify(told);
        }, 1500);
      }, 1000));
      </script>"""
    page = tmp_path / "probed.html"
    page.write_text((written / "page.html").read_text("utf-8").replace("</html>", probe + "</html>"), "utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=20000",
    ]
    done = subprocess.run(
        [chromium, *options, "--dump-dom", f"file://{page}"], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout)
    assert found, done.stdout[-2000:]
    told = json.loads(found[1].replace("&amp;", "&"))
    assert told["where"].startswith(f"4 / {FRAMES}") and "PSNR" in told["where"]
    assert told["truth"] == told["own"] == pytest.approx(3.5 / 25)
    assert told["wide"] == 400 and told["curves"] == 4
    assert float(told["now"]) == pytest.approx(1000 * 3 / (FRAMES - 1), abs=1)
