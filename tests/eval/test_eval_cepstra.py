import numpy as np
import pytest

from eval.cepstra import cepstra


@pytest.mark.parametrize("samples", [1, 399, 400, 401, 16_000, 200_000])
def test_equal_to_python_speech_features(reference, samples):
    from python_speech_features import mfcc

    sound = np.random.default_rng(0).normal(0, 3_000, samples).astype(np.int16)
    assert np.abs(cepstra(sound) - mfcc(sound, 16_000)).max() < 1e-9


def test_silence_is_finite(reference):
    from python_speech_features import mfcc

    silence = np.zeros(16_000, np.int16)
    assert np.abs(cepstra(silence) - mfcc(silence, 16_000)).max() < 1e-9


def test_sound_scaled_to_one_is_heard_otherwise():
    sound = np.random.default_rng(0).normal(0, 3_000, 16_000).astype(np.int16)
    assert np.abs(cepstra(sound) - cepstra(sound / 32_768)).max() > 1
