"""SyncNet, S3FD and the scores, beside syncnet-python on weights of the published layout that are made here."""

import shutil

import cv2
import numpy as np
import pytest
import torch
from eval_networks import save_syncnet, syncnet_pythons
from scipy.io import wavfile

from eval import lse
from eval.clips import Clip
from eval.s3fd import S3FD
from eval.sync import listen
from eval.syncnet import SyncNet
from eval.weights import Weights
from media import ffmpeg
from steps.progress import Reporter

FRAMES = 60


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with syncnet_v2.model as published: 88 entries, in torch's old format."""
    folder = save_syncnet(tmp_path_factory.mktemp("weights"))
    assert len(torch.load(folder / "syncnet_v2.model", weights_only=True)) == 88
    return folder


@pytest.fixture(scope="module")
def network(weights):
    return Weights((weights,)).load(SyncNet, "syncnet_v2.model")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A moving picture of 224 px with changing noise, 2.4 s."""
    path = tmp_path_factory.mktemp("clip") / "脸 face.mp4"
    picture = f"testsrc2=size=224x224:rate=25:duration={FRAMES / 25}"
    sound = f"aevalsrc='0.3*sin(2*PI*(200+300*t)*t)*random(0)':s=44100:d={FRAMES / 25}"
    codecs = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2"]
    made = ffmpeg.run(["-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *codecs, str(path)])
    assert made.code == 0, made.stderr
    return Clip.open(path)


def test_the_file_has_the_size_of_the_published_one(weights):
    assert abs((weights / "syncnet_v2.model").stat().st_size - 54_573_114) < 1_000


def test_both_branches_are_syncnet_pythons(network, reference):
    from SyncNetModel import S

    other = S(num_layers_in_fc_layers=1024)
    other.load_state_dict(network.state_dict())
    other.eval()
    frames, sound = torch.rand(7, 3, 224, 224) * 255, torch.randn(3, 13, 20)
    windows = torch.stack([frames[at : at + 5].transpose(0, 1) for at in range(3)])
    with torch.inference_mode():
        assert torch.allclose(network.lips(frames), other.forward_lip(windows), atol=1e-4)
        assert torch.allclose(network.sounds(sound), other.forward_aud(sound[:, None]), atol=1e-5)


def test_scores_are_syncnet_pythons(network, clip, reference, tmp_path):
    """Its own way: JPEG files by ffmpeg, wav by -async 1, then SyncNetInstance.evaluate."""
    expected = syncnet_pythons(clip.path, network, tmp_path)
    samples = lse.sound(clip, clip.sound)
    assert np.array_equal(samples, wavfile.read(tmp_path / "audio.wav")[1])
    ours = lse.score(lse.pictures(clip.path), samples, network)
    assert ours.windows == FRAMES - 5
    assert (ours.offset, ours.confidence, ours.distance) == pytest.approx(expected, abs=1e-4)


def test_pictures_are_the_files_that_ffmpeg_writes(clip, tmp_path):
    ffmpeg.run(["-y", "-i", str(clip.path), "-threads", "1", "-f", "image2", str(tmp_path / "%06d.jpg")])
    files = sorted(tmp_path.glob("*.jpg"))
    assert len(files) == FRAMES
    for file, seen in zip(files, lse.pictures(clip.path), strict=True):
        assert np.array_equal(cv2.imread(str(file)), seen)


def test_every_rule_of_the_protocol_counts(network, clip):
    samples = lse.sound(clip, clip.sound)
    frames = list(lse.pictures(clip.path))
    right = lse.score(iter(frames), samples, network)
    clean = [frame[..., ::-1].copy() for frame in clip.frames()]
    wrong = {
        "no JPEG": lse.score(iter(clean), samples, network),
        "RGB": lse.score((frame[..., ::-1].copy() for frame in frames), samples, network),
        "sound scaled to 1": lse.score(iter(frames), (samples / 32_768).astype(np.float32), network),
        "one frame later": lse.score(iter(frames[1:]), samples, network),
    }
    for rule, other in wrong.items():
        assert abs(other.distance - right.distance) > 1e-3, rule


def test_silence_around_the_sound_counts():
    torch.manual_seed(0)
    lips, sounds = torch.randn(12, 1024), torch.randn(12, 1024)
    curve = lse.curve(lips, sounds)
    assert len(curve) == 31
    padded = torch.cat([torch.zeros(15, 1024), sounds, torch.zeros(15, 1024)])
    expected = [torch.nn.functional.pairwise_distance(lips, padded[shift : shift + 12]).mean() for shift in range(31)]
    assert curve == pytest.approx([float(value) for value in expected], abs=1e-5)
    assert curve[0] != pytest.approx(float(torch.nn.functional.pairwise_distance(lips, sounds).mean()), abs=1)


@pytest.mark.parametrize(("late", "offset"), [(5, -5), (-3, 3), (0, 0)])
def test_late_sound_has_a_negative_offset(late, offset):
    torch.manual_seed(0)
    lips = torch.randn(60, 1024)
    found = lse.Sync(lse.curve(lips, lips.roll(late, 0)), 60)
    assert found.offset == offset and found.confidence > 1


def test_too_short_has_no_score(network, clip):
    frames, samples = list(lse.pictures(clip.path)), lse.sound(clip, clip.sound)
    assert lse.score(iter(frames[:5]), samples, network) is None
    assert lse.score(iter(frames[:6]), samples, network).windows == 1
    assert lse.score(iter(frames), samples[: 5 * 640], network) is None
    assert lse.score(iter([]), samples, network) is None


def test_reasons_have_names(weights, clip, tmp_path, monkeypatch):
    def reason(clip, crop, folder):
        return listen(clip, crop, Weights((folder,)), Reporter()).reason

    silent = Clip(clip.path, clip.video)
    assert reason(clip, "none", tmp_path) == "weights_missing"
    assert reason(clip, "track", weights) == "weights_missing", "S3FD's"
    assert reason(silent, "none", weights) == "no_audio"
    shutil.copy(weights / "syncnet_v2.model", tmp_path / "sfd_face.pth")
    (tmp_path / "syncnet_v2.model").write_bytes(b"nothing")
    assert reason(clip, "none", tmp_path) == "weights_unreadable"
    assert reason(clip, "none", weights) == ""
    monkeypatch.setattr("eval.sync.ffmpeg_version", lambda: (8, 0))
    assert reason(clip, "none", weights) == "ffmpeg_version"


@pytest.fixture(scope="module")
def detector():
    """S3FD with random weights that sees something, here and there."""
    torch.manual_seed(3)
    made = S3FD()
    for layer in made.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
            torch.nn.init.normal_(layer.bias, 0, 0.1)
    for head in made.conf:
        head.weight.data *= 0.3
    for head in made.loc:
        head.weight.data *= 0.05
    return made.eval()


def test_faces_are_syncnet_pythons(detector, reference):
    from detectors.s3fd import S3FD as Theirs
    from detectors.s3fd.nets import S3FDNet

    other = S3FDNet(device="cpu")
    other.load_state_dict(detector.state_dict())
    theirs = Theirs.__new__(Theirs)
    theirs.net, theirs.device = other.eval(), "cpu"
    rng, seen = np.random.default_rng(0), 0
    for size in ((180, 240), (200, 200), (151, 301)):
        frame = cv2.GaussianBlur(rng.integers(0, 256, (*size, 3), dtype=np.uint8), (0, 0), 3)
        expected = np.array(theirs.detect_faces(frame, conf_th=0.9, scales=[0.5])).reshape(-1, 5)
        _, found = detector.faces([np.full_like(frame, 128), frame], 0.5)
        assert found.shape == expected.shape
        assert np.allclose(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)], atol=1e-2)
        seen += len(found)
    assert seen


def test_a_clip_is_followed_cut_and_scored(clip, network, tmp_path):
    """A detector that always sees the same face stands in for S3FD's weights; the rest is the real road."""
    published = tmp_path / "published.avi"
    ffmpeg.run(["-y", "-i", str(clip.path), "-qscale:v", "2", "-async", "1", "-r", "25", str(published)])
    expected = list(lse.pictures(published, ("-qscale:v", "2")))
    seen = []

    class Steady:
        def faces(self, frames, scale):
            assert scale == 1.0
            seen.extend(frames)
            return [np.array([[40.0, 50.0, 160.0, 180.0, 0.99]])] * len(frames)

    (scored,) = lse.followed(clip, network, Steady(), tmp_path, Reporter())
    assert np.array_equal(np.stack(seen)[..., ::-1], np.stack(expected))
    assert scored.windows == len(expected) - 5
    again = Clip.open(tmp_path / "face-0.avi")
    assert (again.size, again.video.frames) == ((224, 224), len(expected))
