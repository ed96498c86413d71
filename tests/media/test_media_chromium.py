"""What we write plays in a real browser."""

import functools
import http.server
import os
import shutil
import subprocess
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from media import audio, video

PAGE = """<video id=v muted autoplay src=talk.mp4></video><script>
const say = what => fetch('/said?' + new URLSearchParams(what))
v.onerror = () => say({error: v.error.message})
v.ontimeupdate = () => v.currentTime > 0.5 && say({seconds: v.duration, width: v.videoWidth, time: v.currentTime,
    decoded: v.getVideoPlaybackQuality().totalVideoFrames, sound: v.webkitAudioDecodedByteCount})
</script>"""


def test_a_written_video_plays_in_chromium(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing: apt-get install chromium")
        pytest.skip("needs Chromium")
    sound = np.sin(np.arange(2 * audio.SAMPLE_RATE) / 20).astype(np.float32) / 4
    audio.write_wav(tmp_path / "talk.wav", sound, audio.SAMPLE_RATE)
    with video.Writer(tmp_path / "talk.mp4", 128, 96, audio=tmp_path / "talk.wav", label=True) as writer:
        for shade in range(50):
            writer.write(np.full((96, 128, 3), shade * 4, np.uint8))
    (tmp_path / "page.html").write_text(PAGE)
    said = heard(chromium, tmp_path)
    assert "error" not in said, said
    assert float(said["seconds"]) == pytest.approx(2.0, abs=0.05)
    assert said["width"] == "128"
    assert int(said["decoded"]) > 5
    assert int(said["sound"]) > 0


def heard(chromium: str, folder: Path) -> dict[str, str]:
    """Opens folder/page.html and returns the first thing that it says."""
    said: dict[str, str] = {}
    done = threading.Event()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/said") and not done.is_set():
                said.update({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})
                done.set()
            super().do_GET()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
    command += [
        f"--user-data-dir={folder / 'profile'}",
        "--remote-debugging-port=0",
        f"http://127.0.0.1:{server.server_port}/page.html",
    ]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        assert done.wait(60), "Chromium said nothing"
    finally:
        browser.kill()
        browser.wait()
        server.shutdown()
    return said
