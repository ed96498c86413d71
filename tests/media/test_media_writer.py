import json
import struct

import numpy as np
import psutil
import pytest

from media import audio, ffmpeg, provenance, video
from media.errors import DiskFull, Interrupted
from media.probe import probe
from steps.errors import InputError


def pictures(count, width=128, height=96, seed=0):
    """Soft moving colours: what a camera sees, not test patterns."""
    y, x = np.mgrid[:height, :width]
    for number in range(count):
        waves = [np.sin(x / 17 + number / 9 + seed), np.cos(y / 13 - number / 11), np.sin((x + y) / 29 + 1 + number / 17)]
        yield np.stack([(128 + 90 * wave) for wave in waves], axis=-1).astype(np.uint8)


def boxes(path):
    """Names of the file's outermost boxes, in order."""
    data, place, names = path.read_bytes(), 0, []
    while place < len(data):
        size, name = struct.unpack(">I4s", data[place : place + 8])
        names.append(name.decode())
        place += size
    return names


@pytest.fixture
def tone(tmp_path):
    """1.99 s at 16 kHz: not a whole number of frames."""
    path = tmp_path / "tone.wav"
    audio.write_wav(path, 0.3 * np.sin(2 * np.pi * 440 * np.arange(31_840) / 16_000))
    return path


def test_a_film_that_any_player_takes(tmp_path, tone):
    path = tmp_path / "名 字.mp4"
    count = video.frame_count(31_840)
    assert count == 50
    with video.Writer(path, 128, 96, audio=tone) as writer:
        for frame in pictures(count):
            writer.write(frame)
        assert not path.exists()
    info = probe(path)
    assert (info.video.codec, info.video.pixel_format, info.video.matrix, info.video.vfr) == ("h264", "yuv420p", "bt709", False)
    assert (info.video.frames, info.video.fps, info.video.start) == (50, 25.0, 0.0)
    assert (info.audio.codec, info.audio.rate, info.audio.channels) == ("aac", 48_000, 1)
    assert abs(info.video.seconds - info.audio.seconds) <= 1 / 25
    assert info.audio.seconds == pytest.approx(1.99, abs=0.001)
    assert boxes(path)[:2] == ["ftyp", "moov"]
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []
    heard, spoken = audio.read(path), audio.read(tone)
    assert len(heard) == len(spoken)
    assert np.corrcoef(heard, spoken)[0, 1] > 0.99


def test_provenance(tmp_path):
    for generated in (True, False):
        path = tmp_path / f"{generated}.mp4"
        with video.Writer(path, 64, 48, generated=generated, tags={"pasted_back": "true"}) as writer:
            writer.write(np.zeros((48, 64, 3), np.uint8))
        tags = probe(path).tags
        assert provenance.is_generated(tags) == generated
        assert tags["pasted_back"] == "true"
        assert (b"compositeWithTrainedAlgorithmicMedia" in path.read_bytes()) == generated
        assert ("uuid" in boxes(path)) == generated
        if generated:
            assert tags["comment"].startswith("AI-generated")
            assert json.loads(tags["AIGC"])["Label"] == "1"


def test_colours_stay_where_they_are(tmp_path):
    """Decode → encode → decode, twice over: no shift of the mean, no drift."""
    frames = list(pictures(6))
    for turn in range(2):
        path = tmp_path / f"{turn}.mp4"
        with video.Writer(path, 128, 96, crf=4) as writer:
            for frame in frames:
                writer.write(frame)
        again = list(video.frames(path))
        difference = np.stack(again).astype(float) - np.stack(frames)
        assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 0.35
        assert np.abs(difference).mean() < 1.2
        frames = again


def test_quality_at_the_default(tmp_path):
    frames = list(pictures(10))
    path = tmp_path / "a.mp4"
    with video.Writer(path, 128, 96) as writer:
        for frame in frames:
            writer.write(frame)
    error = np.square(np.stack(list(video.frames(path))).astype(float) - np.stack(frames)).mean()
    assert 10 * np.log10(255**2 / error) > 40


def test_a_pack_is_nearly_lossless_and_random_access_is_cheap(tmp_path):
    path = tmp_path / "frames.mp4"
    frames = list(pictures(60, 127, 95))
    with video.pack(path, 127, 95) as writer:
        for frame in frames:
            writer.write(frame)
    info = probe(path)
    assert (info.video.pixel_format, info.video.width, info.audio) == ("yuvj444p", 127, None)
    assert not provenance.is_generated(info.tags)
    error = np.square(np.stack(list(video.frames(path))).astype(float) - np.stack(frames)).mean()
    assert 10 * np.log10(255**2 / error) > 46


def test_the_same_frames_make_the_same_file(tmp_path, tone):
    for name in ("a.mp4", "b.mp4"):
        with video.Writer(tmp_path / name, 128, 96, audio=tone, label=True) as writer:
            for frame in pictures(50):
                writer.write(frame)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_what_goes_wrong_leaves_nothing(tmp_path, tone):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"the film before")
    with pytest.raises(ZeroDivisionError), video.Writer(path, 64, 48) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
        raise ZeroDivisionError
    with pytest.raises(ValueError, match="not uint8"), video.Writer(path, 64, 48) as writer:
        writer.write(np.zeros((48, 63, 3), np.uint8))
    with pytest.raises(ValueError, match="no frame"), video.Writer(path, 64, 48):
        pass
    with pytest.raises(ValueError, match=r"0\.12 s of frames for 1\.99 s"), video.Writer(path, 64, 48, audio=tone) as writer:
        for _ in range(3):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="even"):
        video.Writer(path, 63, 48)
    assert path.read_bytes() == b"the film before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.mp4", "tone.wav"]


def test_sound_that_is_none(tmp_path, make):
    mute = make("mute.mp4", "-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.2")
    with pytest.raises(InputError) as refused:
        video.Writer(tmp_path / "a.mp4", 64, 48, audio=mute)
    assert refused.value.code == "audio_missing"


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("head -c 100000 >/dev/null; echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 228", DiskFull),
        ("echo 'Unknown encoder libx264' >&2; exit 8", ffmpeg.FfmpegError),
        ("kill -9 $$", Interrupted),
    ],
)
def test_ffmpeg_fails(tmp_path, monkeypatch, script, error):
    fake = tmp_path / "ffmpeg"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(ffmpeg, "binary", lambda: str(fake))
    with pytest.raises(error) as failed, video.Writer(tmp_path / "a.mp4", 640, 480) as writer:
        for _ in range(20):
            writer.write(np.zeros((480, 640, 3), np.uint8))
    if error is DiskFull:
        assert (failed.value.code, failed.value.exit_code) == ("disk_full", 75)
    if error is ffmpeg.FfmpegError:
        assert "Unknown encoder libx264" in str(failed.value)
    assert [file.name for file in tmp_path.iterdir()] == ["ffmpeg"]


def test_ffmpeg_is_ended_from_outside(tmp_path):
    """SIGTERM to the whole group of a step: not the input's fault."""
    with pytest.raises(Interrupted), video.Writer(tmp_path / "a.mp4", 64, 48) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
        for child in psutil.Process().children():  # the session's servers are children, too
            if "ffmpeg" in child.name():
                child.terminate()
        for _ in range(500):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_a_wav(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wave.open", full)
    with pytest.raises(DiskFull):
        audio.write_wav(tmp_path / "a.wav", np.zeros(100))
    assert list(tmp_path.iterdir()) == []
