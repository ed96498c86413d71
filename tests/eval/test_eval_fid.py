import os

import cv2
import numpy as np
import pytest
import torch
from eval_networks import inception_weights
from eval_videos import TALKER

from eval.fid import Seen, Spread, distance
from eval.inception import Inception
from eval.weights import INCEPTION, UnmeasuredError, Weights
from media import video
from steps.inception import CONVOLUTIONS


def features(count, width, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(width, width)) / np.sqrt(width)
    return (rng.normal(size=(count, width)) @ mixing * scale + 0.1 * seed).astype(np.float32)


def spread(rows, at_once):
    found = Spread(rows.shape[1])
    for start in range(0, len(rows), at_once):
        found.add(rows[start : start + at_once])
    return found


@pytest.mark.parametrize(("first", "second", "width"), [(100, 90, 64), (5_000, 700, 96), (60, 60, 256)])
def test_equal_to_pytorch_fid(reference, first, second, width):
    """With many frames, and with fewer than the features are wide."""
    from scipy import linalg

    a, b = features(first, width, 0), features(second, width, 1, 1.1)
    ours = distance(spread(a, 37), spread(b, 50))
    mean = [rows.mean(0, dtype=np.float64) for rows in (a, b)]
    covariance = [np.cov(rows.astype(np.float64), rowvar=False) for rows in (a, b)]
    root = linalg.sqrtm(covariance[0] @ covariance[1])
    expected = np.square(mean[0] - mean[1]).sum() + np.trace(covariance[0] + covariance[1] - 2 * root.real)
    assert ours == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_identical_clips_are_at_no_distance():
    a = features(50, 128, 0)
    assert abs(distance(spread(a, 16), spread(a, 7))) < 1e-9


def test_only_the_triangle_is_kept():
    found = Spread(32)
    for seed in range(40):
        found.add(features(20, 32, seed))
    assert found.count == 800 and sum(len(rows) for rows in found._rows) < 100


def test_one_frame_has_no_spread():
    assert distance(spread(features(1, 8, 0), 1), spread(features(9, 8, 1), 3)) is None


@pytest.fixture(scope="module")
def weights():
    return inception_weights()


@pytest.fixture(scope="module")
def network(weights):
    return Inception.of(weights)


def test_the_network_is_pytorch_fids(network, weights, reference):
    from pytorch_fid import inception as theirs

    other = theirs._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    other.Mixed_5b, other.Mixed_5c, other.Mixed_5d = (theirs.FIDInceptionA(c, p) for c, p in ((192, 32), (256, 64), (288, 64)))
    other.Mixed_6b, other.Mixed_6c, other.Mixed_6d, other.Mixed_6e = (
        theirs.FIDInceptionC(768, channels_7x7=narrow) for narrow in (128, 160, 160, 192)
    )
    other.Mixed_7b, other.Mixed_7c = theirs.FIDInceptionE_1(1280), theirs.FIDInceptionE_2(2048)
    other.load_state_dict(weights)
    assert len(other.state_dict()) == 566, "the published file has as many"
    other.eval()
    frames = torch.randint(0, 256, (2, 3, 120, 200), dtype=torch.uint8)
    x = 2 * torch.nn.functional.interpolate(frames / 255, size=(299, 299), mode="bilinear", align_corners=False) - 1
    names = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"]
    names += [f"Mixed_{block}" for block in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")]
    with torch.inference_mode():
        for name in names:
            x = getattr(other, name)(x)
        assert torch.allclose(network(frames), x.mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_red_and_blue_and_a_smoother_resize_make_a_difference(network):
    frames = torch.randint(0, 256, (1, 3, 400, 400), dtype=torch.uint8)
    with torch.inference_mode():
        right = network(frames)
        smooth = torch.nn.functional.interpolate(frames.float(), size=(299, 299), mode="bilinear", antialias=True)
        for other in (frames.flip(1), smooth.round().byte()):
            assert (network(other) - right).abs().max() > 1e-2 * right.abs().max()


def test_frames_are_embedded_in_batches(network):
    frames = np.random.default_rng(0).integers(0, 256, (18, 40, 50, 3), dtype=np.uint8)
    seen = Seen(network)
    for frame in frames:
        seen(frame)
    assert seen.spread().count == 18
    with torch.inference_mode():
        alone = network(torch.from_numpy(frames[:1]).permute(0, 3, 1, 2))[0].numpy()
    assert np.allclose(seen.spread().parts()[0].shape, alone.shape)


def test_other_files_are_not_taken_for_the_network(tmp_path):
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    for name, why in (("other.pth", "unreadable"), ("broken.pth", "unreadable"), ("none.pth", "missing")):
        with pytest.raises(UnmeasuredError, match=f"weights_{why}"):
            Weights((tmp_path,)).load(Inception, name)


def test_the_weights_that_can_be_fetched_have_the_networks_names():
    names = {name.removesuffix(".conv.weight") for name in Inception().state_dict() if name.endswith(".conv.weight")}
    assert sorted(CONVOLUTIONS) == sorted(names)
    assert list(CONVOLUTIONS) == [name for name, part in Inception().named_modules() if hasattr(part, "bn")]


def test_the_published_weights_beside_pytorch_fid(reference, monkeypatch):
    """Ours and pytorch-fid's own statistics and distance, on frames of the sample talker."""
    from pytorch_fid import fid_score
    from pytorch_fid import inception as theirs
    from scipy import linalg

    monkeypatch.delenv("EVAL_WEIGHTS_DIR")
    file = Weights.found().path(INCEPTION)
    if file is None:
        if os.environ.get("CI"):
            pytest.fail(f"{INCEPTION} is missing: make weights inception")
        pytest.skip("make weights inception")
    frames = [cv2.resize(frame, (256, 256)) for frame in video.frames(TALKER, seconds=0.96)]
    halves = frames[:12], frames[12:]
    network, spreads = Weights((file.parent,)).load(Inception, INCEPTION), []
    for half in halves:
        seen = Seen(network)
        for frame in half:
            seen(frame)
        spreads.append(seen.spread())
    classifier = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    published = classifier | torch.load(file, weights_only=True)
    monkeypatch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: published)
    model, activations = theirs.InceptionV3([3]).eval(), []
    for half in halves:
        batch = torch.from_numpy(np.stack(half)).permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            activations.append(model(batch)[0].flatten(1).numpy())
    (mean1, one), (mean2, two) = ((rows.mean(0), np.cov(rows, rowvar=False)) for rows in activations)
    # their function gives scipy an argument that 1.18 took away
    root = linalg.sqrtm
    monkeypatch.setattr(fid_score.linalg, "sqrtm", lambda product, disp: (root(product), 0.0))
    expected = fid_score.calculate_frechet_distance(mean1, one, mean2, two)
    assert distance(*spreads) == pytest.approx(expected, rel=2e-3)
    assert 1 < expected < 200, "moments of one face"
