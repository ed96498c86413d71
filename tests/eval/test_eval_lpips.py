import numpy as np
import pytest
import torch

from eval.lpips import Lpips, Pairs


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    weights = {f"features.{name}": value for name, value in Lpips().features.state_dict().items()}
    return Lpips.of({**weights, "classifier.1.weight": torch.zeros(1)})


def pictures(seed, count=2, side=96):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, 3, side, side), dtype=np.uint8))


def test_equal_to_the_package_lpips(network, reference):
    from lpips import LPIPS

    theirs = LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False).eval()
    own = network.features.state_dict()
    for part in range(1, 6):
        for place, layer in getattr(theirs.net, f"slice{part}").named_children():
            if isinstance(layer, torch.nn.Conv2d):
                layer.load_state_dict({"weight": own[f"{place}.weight"], "bias": own[f"{place}.bias"]})
    first, second = pictures(0), pictures(1)
    with torch.inference_mode():
        expected = theirs(first / 255, second / 255, normalize=True).flatten()
        assert torch.allclose(network(first, second), expected, atol=1e-5)
        assert (network(first.flip(1), second.flip(1)) - expected).abs().max() > 1e-4, "red and blue exchanged"


def test_identical_frames_are_at_no_distance(network):
    with torch.inference_mode():
        assert network(pictures(0), pictures(0)).abs().max() == 0


def test_pairs_are_measured_in_batches(network):
    pairs = Pairs(network)
    first, second = (pictures(seed, 11).permute(0, 2, 3, 1).numpy() for seed in (0, 1))
    for one, other in zip(first, second, strict=True):
        pairs(one, other)
    with torch.inference_mode():
        alone = [float(network(pictures(0, 11)[at : at + 1], pictures(1, 11)[at : at + 1])) for at in range(11)]
    assert pairs.distances() == pytest.approx(alone, abs=1e-5)


def test_small_frames_have_none(network):
    pairs = Pairs(network)
    pairs(np.zeros((31, 60, 3), np.uint8), np.zeros((31, 60, 3), np.uint8))
    assert pairs.distances() == []
