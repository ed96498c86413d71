"""Sound and picture: how far apart they are, and what is done about it."""

import io
import json

import numpy as np
import pytest
from geneface_clips import film, frames

from geneface import preprocess
from geneface.dataset import Dataset
from geneface.face.geometry import from_the_front
from geneface.sound import offset
from media import audio, faces, video
from media.errors import AudioSilent
from steps.errors import InputError
from steps.progress import Reporter

SECONDS = 20


@pytest.fixture(scope="module")
def spoken(talker_film):
    """Her pose-free points and voice for 20 s."""
    points = faces.landmarks(video.frames(talker_film, seconds=SECONDS)).points
    return from_the_front(points), audio.read(talker_film)[: SECONDS * 16_000]


def measured(motion, sound):
    return offset.measure(motion, sound, np.ones(len(motion), bool))


def late(sound, by):
    """The sound `by` frames later (earlier when negative)."""
    return preprocess.fitted(sound, -by, len(sound) // 640 - by)


@pytest.mark.parametrize("by", [-14, -8, -3, 3, 6, 12])
def test_an_offset_is_found_and_removed(spoken, by):
    motion, sound = spoken
    found = measured(motion, late(sound, by))
    assert found.sure and abs(found.frames - by) <= 1.25
    again = measured(motion, late(late(sound, by), -offset.to_remove(found)))
    assert abs(again.frames) <= 1.25


def test_a_good_clip_is_left_alone_whole_and_in_parts(spoken):
    motion, sound = spoken
    parts = [(start, start + 250) for start in range(0, len(motion) - 249, 125)]
    for first, last in ((0, len(motion)), *parts):
        found = measured(motion[first:last], sound[first * 640 : last * 640])
        assert offset.to_remove(found) == 0 and abs(found.frames) < 1.5


def test_sound_of_something_else_is_never_sure(spoken):
    motion, sound = spoken
    time = np.arange(len(sound)) / 16_000
    music = sum(0.1 * np.sin(2 * np.pi * pitch * time) * (1 + np.sin(2 * np.pi * beat * time)) for pitch, beat in
                ((220, 2.0), (277, 1.0), (330, 4.0), (440, 0.5)))  # fmt: skip
    noise = np.random.default_rng(0).normal(0, 0.1, len(sound))
    for other in (sound[::-1].copy(), music, noise, np.roll(sound, 7 * 16_000)):
        found = measured(motion, other.astype(np.float32))
        assert not found.sure and offset.to_remove(found) == 0


def test_too_little_to_tell():
    motion = np.random.default_rng(0).normal(size=(150, 478, 3)).astype(np.float32)
    assert measured(motion, np.zeros(150 * 640, np.float32)) is None
    assert offset.to_remove(None) == 0


@pytest.fixture(scope="module")
def talker(talker_film):
    return frames(talker_film, 10), audio.read(talker_film)


@pytest.fixture
def made(tmp_path):
    def make(pictures, sound, rate=16_000):
        path = film(tmp_path / "clip.mp4", pictures, sound, rate)
        preprocess.preprocess(path, tmp_path / "data", Reporter(io.StringIO()))
        return Dataset.load(tmp_path / "data"), json.loads((tmp_path / "data" / "report.json").read_text())

    return make


def test_late_sound_comes_out_in_time(made, talker):
    pictures, sound = talker
    data, report = made(pictures, late(sound[: 10 * 16_000], 8))
    assert report["audio_moved_frames"] in (8, 9) and report["warnings"] == []
    assert not data.trainable[-8:].any(), "no sound is left for them"
    real, heard = (audio.loudness(one)[:240] for one in (sound, data.sound()))
    assert max(range(-4, 5), key=lambda by: np.corrcoef(real[10:230], np.roll(heard, by)[10:230])[0, 1]) in (0, 1)


def test_sound_far_off_is_refused(made, talker):
    pictures, sound = talker
    with pytest.raises(InputError) as raised:
        made(pictures, late(sound[: 10 * 16_000], 20))
    assert raised.value.code == "audio_out_of_sync" and "after the lips" in str(raised.value)


def test_one_dead_channel_costs_nothing(made, talker):
    pictures, sound = talker
    high = np.interp(np.arange(5 * 48_000) / 48_000, np.arange(len(sound)) / 16_000, sound).astype(np.float32)
    data, _ = made(pictures[:125], np.stack([np.zeros_like(high), high], 1), 48_000)
    level = 20 * np.log10(data.sound()[:80_000].std() / sound[:80_000].std())
    assert abs(level) < 1.0


def test_whispering_passes_and_music_is_warned_of(made, talker, tmp_path):
    pictures, sound = talker
    envelope = np.convolve(np.abs(sound[:80_000]), np.ones(400) / 400, mode="same")
    whisper = 0.1 * envelope * np.random.default_rng(0).normal(size=80_000)
    data, _ = made(pictures[:125], whisper.astype(np.float32))
    assert len(data) == 125
    chord = 0.2 * np.sin(2 * np.pi * 220 * np.arange(80_000) / 16_000) + 0.1 * np.sin(
        2 * np.pi * 330 * np.arange(80_000) / 16_000
    )
    _, report = made(pictures[:125], chord.astype(np.float32))
    assert report["warnings"] == [preprocess.OFFSET_UNKNOWN]
    with pytest.raises(AudioSilent):
        made(pictures[:125], 1e-4 * sound[:80_000])
