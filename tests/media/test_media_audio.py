import numpy as np
import pytest

from media import audio, clock
from media.errors import AudioSilent, MediaTruncated
from media.probe import probe

SINE = "sine=1000:d=1.5:r={rate}"


def pitch(samples, rate=16_000):
    """The strongest frequency, Hz."""
    return np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)


@pytest.mark.parametrize(
    ("name", "rate", "arguments"),
    [
        ("a.wav", 48_000, ("-ac", 2)),
        ("a.wav", 8_000, ()),
        ("a.wav", 96_000, ("-c:a", "pcm_s24le", "-ac", 6)),
        ("a.wav", 11_025, ("-c:a", "pcm_u8")),
        ("a.mp3", 44_100, ("-ac", 2)),
        ("a.flac", 192_000, ()),
        ("a.ogg", 48_000, ("-c:a", "libopus")),
        ("a.m4a", 44_100, ("-ac", 2)),
        ("a.mkv", 48_000, ("-c:a", "libmp3lame")),
    ],
)
def test_any_rate_and_channels(make, name, rate, arguments):
    path = make(name, "-f", "lavfi", "-i", SINE.format(rate=rate), *arguments)
    samples = audio.read(path)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(24_000, abs=800 if name in ("a.mp3", "a.mkv") else 160)
    assert pitch(samples[:16_000]) == pytest.approx(1000, abs=2)
    assert np.abs(samples).max() <= 1.0


def test_mono_is_the_mean_of_the_channels(make):
    both = make(
        "both.wav", "-f", "lavfi", "-i", "aevalsrc='0.5*sin(2*PI*500*t)|0.5*sin(2*PI*500*t)':d=1:s=16000", "-c:a", "pcm_f32le"
    )
    one = make(
        "one.wav", "-f", "lavfi", "-i", "aevalsrc='0.5*sin(2*PI*500*t)|0.1*sin(2*PI*500*t)':d=1:s=16000", "-c:a", "pcm_f32le"
    )
    assert np.abs(audio.read(both)).max() == pytest.approx(0.5, abs=0.005)
    assert np.abs(audio.read(one)).max() == pytest.approx(0.3, abs=0.005)


@pytest.mark.parametrize("dead", ["0|0.5*sin(2*PI*500*t)", "0.5*sin(2*PI*500*t)|0.0001*sin(2*PI*50*t)"])
def test_of_a_pair_with_a_dead_channel_the_other_is_heard(make, dead):
    one = make("one.mov", "-f", "lavfi", "-i", f"aevalsrc='{dead}':d=1:s=48000", "-c:a", "pcm_s16le")
    assert np.abs(audio.read(one)).max() == pytest.approx(0.5, abs=0.02)
    silent = make("silent.wav", "-f", "lavfi", "-i", "aevalsrc='0|0':d=1:s=48000")
    assert audio.is_silent(audio.read(silent))


def test_sound_that_cannot_be_decoded_to_its_end(make):
    """The container speaks of two seconds, the coded sound of the second one is garbage."""
    path = make("a.m4a", "-f", "lavfi", "-i", "sine=440:d=2", "-movflags", "+faststart")
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    middle = (start + len(data)) // 2
    data[middle:] = b"\xff" * (len(data) - middle)
    path.write_bytes(data)
    with pytest.raises(MediaTruncated, match=r"of 2\.0 s of sound"):
        audio.read(path)


def test_the_length_is_the_tracks(make):
    path = make("a.mp3", "-f", "lavfi", "-i", "sine=440:d=2:r=44100")
    assert len(audio.read(path)) == round(probe(path).audio.seconds * 16_000)


def test_wav_there_and_back(tmp_path):
    samples = (0.8 * np.sin(np.arange(5000) / 7)).astype(np.float32)
    audio.write_wav(tmp_path / "a.wav", samples)
    assert np.abs(audio.read(tmp_path / "a.wav") - samples).max() < 1e-4
    audio.write_wav(tmp_path / "b.wav", samples * 3, 22_050)
    assert np.abs(audio.read(tmp_path / "b.wav", 22_050)).max() <= 1.0


def test_loudness_is_per_frame():
    samples = np.concatenate([np.zeros(6400), 0.5 * np.ones(6400), np.zeros(100)])
    decibels = audio.loudness(samples)
    assert decibels.shape == (21,)
    assert np.allclose(decibels[:10], -120)
    assert np.allclose(decibels[10:20], -6.02, atol=0.01)
    assert audio.loudness(np.zeros(0)).shape == (0,)


@pytest.mark.parametrize(("level", "silent"), [(0.0, True), (1e-4, True), (0.01, False)])
def test_silence(tmp_path, level, silent):
    noise = level * np.random.default_rng(0).standard_normal(32_000)
    assert audio.is_silent(noise) == silent
    if silent:
        with pytest.raises(AudioSilent) as refused:
            audio.require_sound(tmp_path / "a.wav", noise)
        assert refused.value.code == "audio_silent"
    else:
        audio.require_sound(tmp_path / "a.wav", noise)


def test_a_word_in_a_minute_of_silence_is_sound():
    samples = np.zeros(60 * 16_000)
    samples[:32_000] = 0.1 * np.sin(np.arange(32_000) / 5)
    assert not audio.is_silent(samples)
    assert audio.is_silent(np.zeros(0))


@pytest.mark.parametrize(
    ("samples", "rate", "frames"),
    [(0, 16_000, 0), (1, 16_000, 1), (640, 16_000, 1), (641, 16_000, 2), (44_100, 44_100, 25)],
)
def test_frames_cover_the_sound(samples, rate, frames):
    assert clock.frame_count(samples, rate) == frames
