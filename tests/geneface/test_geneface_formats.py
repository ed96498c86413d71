"""Files as cameras, phones and browsers write them: a few seconds of the sample talker, preprocessed end to end."""

import io
import subprocess

import numpy as np
import pytest

from geneface import preprocess
from geneface.dataset import FILES, Dataset
from geneface.face.geometry import from_the_front
from media import audio, ffmpeg, mouth
from media.probe import probe
from samples.talker import truth
from steps.progress import Reporter

SECONDS = 5
H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-pix_fmt", "yuv420p")
FILES_OF_PEOPLE = {
    "24": ("a.mp4", "-vf", "fps=24", *H264),
    "30": ("a.mov", "-vf", "fps=30000/1001", *H264),
    "50": ("a.mkv", "-vf", "fps=50", *H264),
    "60": ("a.mp4", "-vf", "fps=60", *H264),
    "uneven": ("a.mkv", "-vf", "select='not(eq(mod(n,11),5))'", "-fps_mode", "vfr", *H264),
    "hevc": (
        "a.mp4",
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-crf",
        "18",
        "-tag:v",
        "hvc1",
        "-x265-params",
        "log-level=none",
    ),
    "vp9": ("a.webm", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M", "-c:a", "libopus"),
    "av1": ("a.mp4", "-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-crf", "25", "-b:v", "0"),
    "half body": ("a.mp4", "-vf", "scale=384:384,pad=720:1280:168:200:gray", *H264),
}


QUICK = ("24", "60", "uneven", "hevc", "half body")
"""Decoding the others is tests/media's, on every run; here they come at full length."""


@pytest.mark.parametrize(
    "kind", ["turned", *(kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in FILES_OF_PEOPLE)]
)
def test_any_file_becomes_the_same_dataset(kind, talker_film, tmp_path):
    path = written(talker_film, tmp_path, kind)
    account = preprocess.preprocess(path, tmp_path / "data", Reporter(io.StringIO()))
    data = Dataset.load(tmp_path / "data")
    assert {file.name for file in data.folder.iterdir()} == {*FILES, "report.json"}
    assert abs(len(data) - SECONDS * 25) <= 1 and account["frames"] == len(data)
    for packed, side in ((data.frames, 512), (data.layers, 256)):
        stream = probe(packed).video
        assert (stream.frames, stream.width, stream.height, stream.fps) == (len(data), side, side, 25)
    assert data.plate().shape == (512, 512, 3)
    assert len(data.sound()) == len(data) * 640
    assert np.corrcoef(audio.loudness(data.sound())[:120], audio.loudness(audio.read(talker_film))[:120])[0, 1] > 0.95
    assert data.points.shape == (len(data), 478, 3) and data.eyes.shape == (len(data), 2)
    assert data.trainable.shape == (len(data),) and data.trainable.mean() > 0.9
    gap = mouth.aperture(from_the_front(data.points))
    real = truth.read(talker_film.with_suffix(".landmarks.npz"))[2][: len(gap)]
    # 24: one picture in 25 was thrown away to make the file, and another stands in for it.
    assert np.corrcoef(gap, real)[0, 1] >= (0.94 if kind == "24" else 0.95)


def written(source, folder, kind):
    """The talker's first seconds as such a file."""
    base = [ffmpeg.binary(), "-nostdin", "-loglevel", "error", "-y"]
    if kind == "turned":
        lying = folder / "lying.mp4"
        cut = ("-t", str(SECONDS), "-vf", "transpose=2", *H264, "-c:a", "copy")
        subprocess.run([*base, "-i", str(source), *cut, str(lying)], check=True, timeout=120)
        turned = folder / "turned.mov"
        subprocess.run([*base, "-display_rotation", "-90", "-i", str(lying), "-c", "copy", str(turned)], check=True, timeout=60)
        assert probe(turned).video.rotation == 90
        return turned
    name, *arguments = FILES_OF_PEOPLE[kind]
    command = [*base, "-i", str(source), "-t", str(SECONDS), *arguments, str(folder / name)]
    subprocess.run(command, check=True, timeout=120)
    return folder / name
