import re
import shutil
import struct
import time
from pathlib import Path

import pytest

from media.describe import describe, read_tags
from media.limits import Limits
from media.probe import probe
from steps.errors import InputError

PICTURE = ("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=2")
TONE = ("-f", "lavfi", "-i", "sine=440:d=2")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def code_of(path: Path, limits: Limits = Limits()) -> str:  # noqa: B008 - frozen
    with pytest.raises(InputError) as refused:
        probe(path, limits)
    assert str(path.name) in refused.value.message
    assert str(path.parent) not in refused.value.message
    return refused.value.code


def test_a_plain_clip(clip):
    info = probe(clip)
    assert (info.format, info.video.width, info.video.height, info.video.codec) == ("mov", 320, 240, "h264")
    assert info.video.fps == pytest.approx(25)
    assert info.video.frames == 50
    assert info.seconds == pytest.approx(2.0, abs=0.03)
    assert (info.audio.codec, info.audio.rate, info.audio.channels) == ("aac", 44100, 1)
    assert not info.video.vfr
    assert info.video.rotation == 0


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("a.mkv", (*PICTURE, *TONE, *H264), "matroska"),
        ("a.webm", (*PICTURE, *TONE, "-c:v", "libvpx", "-deadline", "realtime", "-s", "96x72"), "matroska"),
        ("a.avi", (*PICTURE, *TONE), "avi"),
        ("a.ts", (*PICTURE, *TONE, *H264), "mpegts"),
        ("a.mov", (*PICTURE, *TONE, "-c:v", "mjpeg"), "mov"),
        ("a.wav", TONE, "wav"),
        ("a.mp3", TONE, "mp3"),
        ("a.flac", TONE, "flac"),
        ("a.ogg", (*TONE, "-c:a", "libvorbis"), "ogg"),
        ("a.m4a", TONE, "mov"),
    ],
)
def test_every_container_is_known_by_its_content(make, name, arguments, kind):
    made = make(name, *arguments)
    renamed = made.rename(made.with_name("upload.txt"))
    info = probe(renamed)
    assert info.format == kind
    assert info.seconds == pytest.approx(2.0, abs=0.1)
    assert info.audio is not None
    assert (info.video is not None) == (len(arguments) > 6 and PICTURE[3] in arguments)


def test_missing_empty_and_folders(tmp_path):
    assert code_of(tmp_path / "none.mp4") == "file_missing"
    (tmp_path / "zero.mp4").touch()
    assert code_of(tmp_path / "zero.mp4") == "file_empty"
    (tmp_path / "folder.mp4").mkdir()
    assert code_of(tmp_path / "folder.mp4") == "unsupported_media"


@pytest.mark.parametrize(
    "content", [b"hello, this is text\n" * 50, bytes(range(256)) * 40, b"\x00\x00\x00\x20ftypisom" + bytes(20)]
)
def test_not_a_video(tmp_path, content):
    path = tmp_path / "名 字.mp4"
    path.write_bytes(content)
    assert code_of(path) in ("unsupported_media", "media_truncated")


def test_a_picture_file_is_no_video(make):
    png = make("a.png", *PICTURE, "-frames:v", 1)
    assert code_of(png.rename(png.with_name("a.mp4"))) == "unsupported_media"


def test_playlists_named_mp4_are_refused(clip, tmp_path):
    hls = tmp_path / "hls.mp4"
    hls.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nfile://{clip}\n#EXT-X-ENDLIST\n")
    concat = tmp_path / "concat.mp4"
    concat.write_text(f"ffconcat version 1.0\nfile '{clip.name}'\n")
    sdp = tmp_path / "sdp.mp4"
    sdp.write_text("v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n")
    assert {code_of(hls), code_of(concat), code_of(sdp)} == {"unsupported_media"}


def test_without_its_index(make):
    whole = make("a.mp4", *PICTURE, *TONE, *H264)
    cut = whole.with_name("cut.mp4")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert code_of(cut) == "media_truncated"


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_with_its_index_but_without_its_end(make, name, share):
    whole = make(name, *PICTURE, *TONE, *H264, *(("-movflags", "+faststart") if name == "a.mp4" else ()))
    cut = whole.with_name("cut.bin")
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    assert code_of(cut) == "media_truncated"
    with pytest.raises(InputError, match=r"of 2\.0 s"):
        probe(cut)


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a.wav", TONE),
        ("a.w64", TONE),
        ("a.avi", (*PICTURE, *TONE)),
        ("a.mp4", (*PICTURE, *TONE, *H264, "-movflags", "frag_keyframe+empty_moov")),
        ("a.mp4", (*PICTURE, *TONE, *H264, "-g", 5, "-movflags", "frag_keyframe+empty_moov")),
    ],
)
def test_containers_that_ffmpeg_reads_as_shorter_ones(make, name, arguments, share):
    whole = make(name, *arguments)
    assert probe(whole).seconds == pytest.approx(2.0, abs=0.1)
    cut = whole.with_name("cut.bin")
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    assert code_of(cut) == "media_truncated"


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0"])
def test_a_wav_from_a_pipe_does_not_know_its_length(make, size):
    data = make("a.wav", *TONE).read_bytes()
    start = data.index(b"data")
    piped = data[:4] + size + data[8 : start + 4] + size.replace(b"\0", b"\xff") + data[start + 8 :]
    path = make("b.wav", *TONE)
    path.write_bytes(piped)
    assert probe(path).seconds == pytest.approx(2.0, abs=0.1)


def test_a_huge_picture_is_refused_before_it_is_decoded(make):
    small = make("a.avi", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=1", "-c:v", "mjpeg")
    data = small.read_bytes()
    huge = re.sub(rb"\xff\xc0\x00\x11\x08\x00\x40\x00\x40", b"\xff\xc0\x00\x11\x08\x40\x00\x40\x00", data)
    assert huge != data
    coded = small.with_name("coded.avi")
    coded.write_bytes(huge.replace(struct.pack("<III", 40, 64, 64), struct.pack("<III", 40, 16384, 16384)))
    started = time.monotonic()
    assert code_of(coded) == "media_too_large"
    assert time.monotonic() - started < 5


def test_limits(clip):
    assert code_of(clip, Limits(max_pixels=320 * 240 - 1)) == "media_too_large"
    assert code_of(clip, Limits(max_seconds=1.5)) == "media_too_large"
    assert code_of(clip, Limits(max_packets=60)) == "media_too_large"
    assert code_of(clip, Limits(max_streams=1)) == "too_many_streams"
    assert probe(clip, Limits(max_streams=2)).video


def test_five_hundred_streams(make):
    tone = make("a.wav", *TONE)
    many = make("many.mp4", "-i", tone, *(("-map", "0") * 500), "-c", "copy", "-f", "mov")
    assert code_of(many) == "too_many_streams"


def test_sound_without_samples(make):
    tone = make("a.wav", *TONE)
    empty = tone.with_name("empty.wav")
    data = tone.read_bytes()
    start = data.index(b"data")
    empty.write_bytes(data[:start] + b"data" + struct.pack("<I", 0))
    assert code_of(empty) == "audio_empty"


def test_a_video_whose_sound_was_never_written_has_none(make):
    silent = make("a.mkv", *PICTURE, *TONE, *H264, "-af", "atrim=start=5", "-c:a", "aac")
    info = probe(silent)
    assert info.video and info.video.frames == 50
    assert info.audio is None


def test_cover_art_is_no_video(make):
    cover = make("cover.png", *PICTURE, "-frames:v", 1)
    song = make("song.mp3", *TONE, "-i", cover, "-map", 0, "-map", 1, "-c:v", "copy", "-disposition:v", "attached_pic")
    info = probe(song)
    assert info.video is None
    assert info.audio


@pytest.mark.parametrize(("degrees", "clockwise", "size"), [(90, 270, (240, 320)), (-90, 90, (240, 320)), (180, 180, (320, 240))])
def test_rotation(clip, make, degrees, clockwise, size):
    turned = probe(make("turned.mp4", "-display_rotation", degrees, "-i", clip, "-c", "copy")).video
    assert turned.rotation == clockwise
    assert (turned.width, turned.height) == size


def test_pixels_that_are_not_square(make):
    video = probe(make("wide.mp4", *PICTURE, *H264, "-vf", "setsar=4/3")).video
    assert (video.width, video.height, video.square) == (427, 240, False)
    tall = make("tall.mp4", "-display_rotation", 90, "-i", make("w.mp4", *PICTURE, *H264, "-vf", "setsar=4/3"), "-c", "copy")
    assert (probe(tall).video.width, probe(tall).video.height) == (240, 427)


def test_uneven_and_late_frames(make, clip):
    vfr = make("vfr.mkv", "-i", clip, "-vf", "select='not(mod(n,3))+not(mod(n,7))'", "-fps_mode", "vfr", *H264)
    assert probe(vfr).video.vfr
    late = make("late.mp4", "-itsoffset", 0.4, "-i", clip, "-i", clip, "-map", "0:v", "-map", "1:a", "-c", "copy")
    info = probe(late)
    assert info.video.start == pytest.approx(0.4, abs=0.01)
    assert info.audio.start == pytest.approx(0.0, abs=0.03)
    assert info.seconds == pytest.approx(2.4, abs=0.02)
    assert probe(make("ntsc.mkv", "-f", "lavfi", "-i", "testsrc2=r=30000/1001:d=2", *H264)).video.vfr is False


def test_colours_as_tagged(make):
    scale = "scale=out_color_matrix=bt709,setparams=color_primaries=bt709:color_trc=bt709"
    tagged = make("a.mp4", *PICTURE, *H264, "-vf", scale, "-colorspace", "bt709")
    assert (probe(tagged).video.matrix, probe(tagged).video.pixel_format) == ("bt709", "yuv420p")
    ten = make(
        "b.mkv", *PICTURE, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p10le"
    )
    assert (probe(ten).video.codec, probe(ten).video.pixel_format, probe(ten).video.matrix) == ("hevc", "yuv420p10le", None)


def test_tags_survive_whatever_they_hold(make):
    title = "x\n  Stream #0:0: Video: h264, yuv420p, 99999x99999, 25 fps = ; # \\"
    path = make("a.mp4", *PICTURE, *H264, "-metadata", f"title={title}", "-metadata", "comment=a=b;c")
    info = probe(path)
    assert info.tags["title"] == title
    assert info.tags["comment"] == "a=b;c"
    assert info.video.width == 320


def test_a_changed_file_is_looked_at_again(clip, make):
    assert probe(clip).video.width == 320
    other = make("b.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=1", *H264)
    shutil.copyfile(other, clip)
    assert probe(clip).video.width == 160


def test_describe_reads_older_and_odd_words():
    words = (
        "Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'input':\n"
        "  Duration: N/A, start: 1.400000, bitrate: N/A\n"
        "  Stream #0:0(eng): Video: h264 (High) (avc1 / 0x31637661), yuv420p10le(tv, bt2020nc/bt2020/arib-std-b67, top first), "
        "1920x1080 [SAR 1:1 DAR 16:9], SAR 4:3 DAR 64:27, 10 kb/s, 1k fps, 1k tbr, 90k tbn (default)\n"
        "      displaymatrix: rotation of -90.00 degrees\n"
        "  Stream #0:1: Audio: none, 0 channels\n"
        "  Stream #0:2: Audio: pcm_s16le, 48000 Hz, 5.1(side), s16\n"
        "  Stream #0:3: Data: none\n"
    )
    read = describe(words)
    assert (read.seconds, read.start, read.streams) == (None, 1.4, 4)
    assert (read.video.width, read.video.height, read.video.rotation) == (1080, 2560, 90)
    assert (read.video.matrix, read.video.transfer, read.video.interlaced, read.video.fps) == (
        "bt2020nc",
        "arib-std-b67",
        True,
        1000,
    )
    assert (read.audio.index, read.audio.channels) == (2, 6)
    assert describe("Error opening input file input.") is None
    assert read_tags(";FFMETADATA1\na=1\n[CHAPTER]\nb=2\n") == {"a": "1"}
