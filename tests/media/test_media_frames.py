import random
import struct
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import pytest

from media import audio, video
from media.errors import MediaError
from media.frames import filter_chain
from media.limits import Limits
from media.probe import probe
from steps.errors import InputError

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p")
LOSSLESS = ("-c:v", "libx264rgb", "-preset", "ultrafast", "-qp", "0")


def clock(rate="25", seconds=2, size="64x48"):
    """A picture whose brightness tells its time: 100 levels a second, from 20 on."""
    return ("-f", "lavfi", "-i", f"color=black:s={size}:r={rate}:d={seconds},format=gray,geq=lum='20+100*T'")


def times(path: Path, **arguments):
    """What the clock's frames say, in seconds."""
    return np.array([(frame.mean() - 20) / 100 for frame in video.frames(path, **arguments)])


@pytest.mark.parametrize("rate", ["25", "10", "24", "30000/1001", "50", "60"])
def test_any_rate_comes_out_at_25_on_the_same_clock(make, rate):
    path = make("a.mkv", *clock(rate), "-c:v", "ffv1")
    said = times(path)
    assert abs(len(said) - 50) <= 1
    age = np.arange(len(said)) / 25 - said
    assert age.min() >= -0.032
    assert age.max() < max(1 / eval(rate), 1 / 25)  # noqa: S307 - written above


def test_uneven_rates_keep_the_clock(make):
    chosen = "select='not(mod(n,3))+not(mod(n,7))+eq(n,49)'"
    path = make("vfr.mkv", *clock(), "-vf", chosen, "-fps_mode", "vfr", "-c:v", "ffv1")
    assert probe(path).video.vfr
    said = times(path)
    assert len(said) == 50
    age = np.arange(50) / 25 - said
    assert age.min() >= -0.02
    assert age.max() <= 0.1
    assert said[49] == pytest.approx(1.96, abs=0.01)


def test_a_late_picture_waits_for_its_time(make):
    tone = ("-f", "lavfi", "-i", "sine=440:d=2")
    whole = make("a.mkv", *clock(), *tone, "-c:v", "ffv1", "-c:a", "pcm_s16le")
    late = make("late.mkv", "-itsoffset", 0.4, "-i", whole, "-i", whole, "-map", "0:v", "-map", "1:a", "-c", "copy")
    said = times(late)
    assert len(said) == 60
    assert np.allclose(said[:10], 0, atol=0.01)
    assert np.abs(said[10:] - np.arange(50) / 25).max() < 0.02


def test_late_sound_is_padded_and_gaps_are_filled(make):
    tone = ("-f", "lavfi", "-i", "sine=440:d=2:r=48000")
    whole = make("a.mkv", *clock(), *tone, "-c:v", "ffv1", "-c:a", "pcm_s16le")
    late = make("late.mkv", "-i", whole, "-itsoffset", 0.5, "-i", whole, "-map", "0:v", "-map", "1:a", "-c", "copy")
    samples = audio.read(late)
    assert len(samples) == pytest.approx(2.5 * 16000, abs=40)
    assert np.abs(samples[:7900]).max() < 1e-3
    assert np.abs(samples[8100:]).max() > 0.1


@pytest.mark.parametrize("container", ["mp4", "ts", "mkv", "avi"])
def test_flash_and_click_stay_together(make, container):
    """Picture and sound of the 1.0 s mark, in containers that start their clock anywhere."""
    flash = ("-f", "lavfi", "-i", "color=black:s=64x48:r=25:d=2,format=gray,geq=lum='if(between(T,0.999,1.2),235,16)'")
    click = ("-f", "lavfi", "-i", "aevalsrc='if(between(t,1,1.2),0.8*sin(2*PI*1000*t),0)':s=44100:d=2")
    path = make(f"a.{container}", *flash, *click, *H264)
    bright = np.array([frame.mean() for frame in video.frames(path)]) > 128
    loud = audio.loudness(audio.read(path)) > -30
    assert abs(int(bright.argmax()) - 25) <= 1
    assert abs(int(bright.argmax()) - int(loud.argmax())) <= 1


def test_seeking_gives_the_same_frames(make):
    path = make("a.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=30:d=6", *H264, "-g", 50)
    every = list(video.frames(path))
    for start, seconds in ((0.0, 0.4), (1.2, 0.4), (4.04, 1.0), (5.6, 9.0)):
        part = list(video.frames(path, start=start, seconds=seconds))
        first = round(start * 25)
        assert len(part) == min(round(seconds * 25), len(every) - first)
        assert all(np.array_equal(a, b) for a, b in zip(part, every[first:], strict=False))


def quarters(make, name, *arguments):
    """Red, green / blue, white quarters of 64×48."""
    parts = ";".join(f"color={name}:s=32x24[{name}]" for name in ("red", "lime", "blue", "white"))
    graph = f"{parts};[red][lime]hstack[up];[blue][white]hstack[down];[up][down]vstack"
    return make(name, "-f", "lavfi", "-i", graph, "-frames:v", 5, *arguments)


COLOURS = {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "w": (255, 255, 255)}


def corners(frame):
    places = [(row, column) for row in (1, 3) for column in (1, 3)]
    points = [frame[frame.shape[0] * row // 4, frame.shape[1] * column // 4].astype(int) for row, column in places]
    return "".join(min(COLOURS, key=lambda name: np.abs(point - COLOURS[name]).sum()) for point in points)


@pytest.mark.parametrize(("degrees", "order"), [(0, "rgbw"), (90, "gwrb"), (-90, "brwg"), (180, "wbgr")])
def test_pictures_are_upright(make, degrees, order):
    lying = quarters(make, "a.mp4", *H264)
    turned = make("turned.mp4", "-display_rotation", degrees, "-i", lying, "-c", "copy")
    frame = next(video.frames(turned))
    assert frame.shape == ((64, 48, 3) if degrees in (90, -90) else (48, 64, 3))
    assert corners(frame) == order


def test_pixels_come_out_square(make):
    frame = next(video.frames(quarters(make, "a.mp4", *H264, "-vf", "setsar=2/1")))
    assert frame.shape == (48, 128, 3)
    assert corners(frame) == "rgbw"
    part = next(video.frames(quarters(make, "b.mp4", *H264, "-vf", "setsar=2/1"), crop=(65, 1, 61, 45)))
    assert part.shape == (45, 61, 3)


@pytest.mark.parametrize(
    "arguments",
    [
        ("a.mp4", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p"),
        ("a.mkv", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-pix_fmt", "yuv422p10le"),
        ("a.mp4", "-c:v", "libx264", "-pix_fmt", "yuv444p"),
        ("a.webm", "-c:v", "libvpx-vp9", "-deadline", "realtime"),
        ("a.webm", "-c:v", "libvpx", "-auto-alt-ref", 0, "-pix_fmt", "yuva420p"),
        ("a.avi", "-c:v", "mpeg4"),
        ("a.mov", "-c:v", "prores_ks"),
        ("a.mkv", "-c:v", "libx264", "-pix_fmt", "yuv444p", "-vf", "scale=63:47:flags=neighbor"),
        ("a.mov", "-c:v", "qtrle", "-pix_fmt", "gray"),
        ("a.ts", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-flags", "+ildct+ilme", "-x264-params", "tff=1"),
    ],
)
def test_codecs_and_formats(make, arguments):
    path = quarters(make, *arguments)
    shown = list(video.frames(path))
    assert len(shown) == 5
    assert shown[0].shape == ((47, 63, 3) if "scale=63:47:flags=neighbor" in arguments else (48, 64, 3))
    if "gray" not in arguments:
        assert corners(shown[0]) == "rgbw"
    assert shown[0].flags.writeable


@pytest.mark.parametrize("size", ["64x48", "1280x720"])
@pytest.mark.parametrize(
    ("matrix", "extra"),
    [
        ("bt709", ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")),
        ("bt601", ("-colorspace", "smpte170m", "-color_primaries", "smpte170m", "-color_trc", "smpte170m")),
        ("bt709", ("-colorspace", "bt709", "-color_range", "pc")),
        ("guess", ()),
    ],
)
def test_colours_by_their_tag(make, size, matrix, extra):
    encoded = {"guess": "bt709" if size == "1280x720" else "bt601"}.get(matrix, matrix)
    span = "full" if "pc" in extra else "tv"
    source = ("-f", "lavfi", "-i", f"color=0xC86432:s={size}:r=25:d=0.12,format=rgb24")
    untag = "" if extra else ",setparams=colorspace=unknown:range=unknown"
    chain = f"scale=out_color_matrix={encoded}:out_range={span},format=yuv420p{untag}"
    path = make("a.mp4", *source, "-vf", chain, *H264[:6], *extra)
    assert (probe(path).video.matrix is None) == (matrix == "guess")
    frame = next(video.frames(path))
    assert np.abs(frame.reshape(-1, 3).mean(axis=0) - (0xC8, 0x64, 0x32)).max() <= 2.5


def test_hdr_is_brought_to_the_screen(make):
    said = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
    hlg = "zscale=t=arib-std-b67:p=bt2020:m=bt2020nc:npl=203,format=yuv420p10le"
    tags = ("-colorspace", "bt2020nc", "-color_primaries", "bt2020", "-color_trc", "arib-std-b67")
    source = ("-f", "lavfi", "-i", "color=0x808080:s=64x48:r=25:d=0.2,format=yuv444p")
    x265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
    path = make("a.mp4", *source, "-vf", f"{said},zscale=t=linear:npl=203,format=gbrpf32le,{hlg}", *x265, *tags)
    assert probe(path).video.transfer == "arib-std-b67"
    grey = next(video.frames(path)).reshape(-1, 3).mean(axis=0)
    assert np.ptp(grey) < 6
    assert 95 < grey.mean() < 160


def test_crops(make):
    path = make("a.mp4", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=0.2", *H264)
    whole = next(video.frames(path)).astype(int)
    for x, y, width, height in ((32, 20, 100, 80), (33, 21, 101, 79), (219, 139, 101, 101)):
        part = next(video.frames(path, crop=(x, y, width, height))).astype(int)
        assert part.shape == (height, width, 3)
        inner = np.abs(part - whole[y : y + height, x : x + width])[2:-2, 2:-2]
        assert inner.mean() < 1.0
    assert next(video.frames(path, crop=(0, 0, 100, 100), size=(50, 40))).shape == (40, 50, 3)
    with pytest.raises(ValueError, match="not inside"):
        video.frames(path, crop=(300, 0, 100, 100))


def test_no_picture_and_no_sound(make, clip):
    tone = make("a.wav", "-f", "lavfi", "-i", "sine=d=1")
    with pytest.raises(InputError, match="no picture track") as refused:
        video.frames(tone)
    assert refused.value.code == "video_missing"
    silent_film = make("mute.mp4", "-i", clip, "-an", "-c", "copy")
    with pytest.raises(InputError, match="no sound track") as refused:
        audio.read(silent_film)
    assert refused.value.code == "audio_missing"


def test_a_damaged_middle_neither_hangs_nor_crashes(clip):
    data = bytearray(clip.read_bytes())
    chance = random.Random(1)  # noqa: S311 - not for secrets
    body = data.index(b"mdat") + 8
    for _ in range(400):
        data[chance.randrange(body, len(data))] = chance.randrange(256)
    broken = clip.with_name("broken.mp4")
    broken.write_bytes(data)
    try:
        shown = list(video.frames(broken))
    except MediaError as error:
        assert error.code in ("unsupported_media", "media_truncated")
    else:
        assert abs(len(shown) - 50) <= 1


def test_frames_that_cannot_be_decoded(clip):
    data = bytearray(clip.read_bytes())
    body = data.index(b"mdat") + 8
    data[body:] = bytes(len(data) - body)
    blank = clip.with_name("blank.mp4")
    blank.write_bytes(data)
    with pytest.raises(MediaError) as refused:
        list(video.frames(blank))
    assert refused.value.code in ("unsupported_media", "media_truncated")


def test_a_picture_that_grows_while_decoding_is_stopped(make):
    small = make("a.avi", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=1", "-c:v", "mjpeg")
    mark, huge = b"\xff\xc0\x00\x11\x08\x00\x40\x00\x40", b"\xff\xc0\x00\x11\x08\x3e\x80\x3e\x80"
    data = small.read_bytes()
    place = [at for at in range(len(data)) if data.startswith(mark, at)][10]
    late = small.with_name("late.avi")
    late.write_bytes(data[:place] + data[place:].replace(mark, huge))
    with pytest.raises(MediaError, match="10 of 25") as refused:
        list(video.frames(late))
    assert refused.value.code == "media_truncated"


def test_leaving_early_leaves_no_process(clip):
    stream = video.frames(clip)
    assert len(list(islice(stream, 3))) == 3
    stream.close()
    assert not [child for child in psutil.Process().children() if "ffmpeg" in child.name()]


def test_a_stalled_ffmpeg_is_ended(clip, tmp_path, monkeypatch):
    from media import ffmpeg

    info = probe(clip)
    assert info.video
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(ffmpeg, "binary", lambda: str(sleeper))
    with pytest.raises(ffmpeg.StalledError):
        list(ffmpeg.chunks([], 100, stall_seconds=0.2))
    with pytest.raises(ffmpeg.StalledError):
        ffmpeg.run([], timeout=0.2)
    assert not [child for child in psutil.Process().children() if "sleep" in child.name()]


def test_filters_are_the_least_that_is_needed(clip):
    chain = filter_chain(probe(clip, Limits()).video, (320, 240), None, 25, 0)
    assert chain.count("scale=") == 1
    assert "yadif" not in chain
    assert "trim" not in chain


def test_a_file_that_lies_about_its_length(make):
    """A movie header that says ten hours, over two seconds of frames."""
    path = make("a.mp4", *clock(), *H264)
    data = bytearray(path.read_bytes())
    place = data.index(b"mvhd") + 4 + 12
    scale, _ = struct.unpack(">II", data[place : place + 8])
    data[place + 4 : place + 8] = struct.pack(">I", scale * 36000)
    path.write_bytes(data)
    assert probe(path).seconds == pytest.approx(2.0)
