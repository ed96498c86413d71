"""Reads what ffmpeg says about an input (`Input #0, …`), and its `ffmetadata`. Pure text work.

Lines look like these (7.0.2; older ones lack the parts in brackets)::

    Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'input':
      Duration: 00:00:20.08, start: 0.000000, bitrate: 706 kb/s
      Stream #0:0[0x1](und): Video: hevc (Main), yuv420p(tv, bt709, progressive), 1080x1920 [SAR 1:1 DAR 9:16], 25 fps, …
          displaymatrix: rotation of -90.00 degrees
      Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, stereo, fltp, 128 kb/s (default)
"""

import re
from dataclasses import dataclass, replace

_INPUT = re.compile(r"^Input #0, (?P<format>\S+), from ", re.MULTILINE)
_END = re.compile(r"^(Stream mapping|Output #0|At least one output)", re.MULTILINE)
_DURATION = re.compile(r"^  Duration: (?:(\d+):(\d+):(\d+\.\d+)|N/A)(?:, start: (-?\d+\.\d+))?", re.MULTILINE)
_STREAM = re.compile(r"^  Stream #0:(\d+)(?:\[0x[0-9a-f]+\])?(?:\([^()]*\))?: (\w+)(?:: (.*))?$")
_ROTATION = re.compile(r"^\s+displaymatrix: rotation of (-?\d+\.\d+) degrees")
_SIZE = re.compile(r"^(\d+)x(\d+)\b")
_ASPECT = re.compile(r"\bSAR (\d+):(\d+)")
_RATE = re.compile(r"^(\d+(?:\.\d+)?)(k?) fps\b")
_FORMAT = re.compile(r"^(\w+)(?:\((.*)\))?$")
_COMMA = re.compile(r", (?![^(]*\))(?![^\[]*\])")
_OVERSIZED = re.compile(
    r"Picture size \S+ (is invalid|exceeds)|exceeds specified max pixel count|Image area exceeds", re.IGNORECASE
)
_CHANNELS = {"mono": 1, "stereo": 2, "downmix": 2, "quad": 4, "hexagonal": 6, "octagonal": 8}
_MATRICES = {"bt709", "smpte170m", "bt470bg", "fcc", "smpte240m", "bt2020nc", "bt2020c", "ycgco", "gbr"}


@dataclass(frozen=True)
class VideoLine:
    """A picture track as described; sizes as shown (upright, square pixels)."""

    index: int
    codec: str
    width: int
    height: int
    fps: float | None
    rotation: int
    pixel_format: str
    matrix: str | None
    transfer: str | None
    interlaced: bool
    square: bool


@dataclass(frozen=True)
class AudioLine:
    """A sound track as described."""

    index: int
    codec: str
    rate: int
    channels: int


@dataclass(frozen=True)
class Description:
    """An input as ffmpeg describes it: the first picture and the first sound track that it can decode."""

    format: str
    seconds: float | None
    start: float | None
    streams: int
    video: VideoLine | None
    audio: AudioLine | None
    oversized: bool


def describe(stderr: str) -> Description | None:
    """Parses ffmpeg's words on one input; None when it opened none."""
    opened = _INPUT.search(stderr)
    if not opened:
        return None
    end = _END.search(stderr, opened.end())
    block = stderr[opened.start() : end.start() if end else None]
    duration = _DURATION.search(block)
    seconds, start = None, None
    if duration and duration[1]:
        seconds = int(duration[1]) * 3600 + int(duration[2]) * 60 + float(duration[3])
    if duration and duration[4]:
        start = float(duration[4])
    streams = _streams(block)
    videos = (_video(*text) for kind, text in streams if kind == "Video")
    audios = (_audio(*text) for kind, text in streams if kind == "Audio")
    return Description(
        format=opened["format"].split(",")[0],
        seconds=seconds,
        start=start,
        streams=len(streams),
        video=next((line for line in videos if line), None),
        audio=next((line for line in audios if line), None),
        oversized=bool(_OVERSIZED.search(stderr)),
    )


def _streams(block: str) -> list[tuple[str, tuple[int, str, float]]]:
    """(kind, (index, details, turn in degrees)) of every stream."""
    found: list[tuple[str, tuple[int, str, float]]] = []
    for line in block.splitlines():
        stream = _STREAM.match(line)
        if stream:
            found.append((stream[2], (int(stream[1]), stream[3] or "", 0.0)))
        elif found and (rotation := _ROTATION.match(line)):
            kind, (index, details, _) = found[-1]
            found[-1] = (kind, (index, details, float(rotation[1])))
    return found


def _video(index: int, details: str, turn: float) -> VideoLine | None:
    fields = _COMMA.split(details)
    size = next((match for field in fields if (match := _SIZE.match(field))), None)
    codec = fields[0].split(" ")[0]
    if "(attached pic)" in details or codec in ("none", "unknown") or size is None or len(fields) < 2:
        return None
    pixel = _FORMAT.match(fields[1])
    colours = (pixel[2] or "").split(", ") if pixel else []
    spaces = next((colour.split("/") for colour in colours if colour.split("/")[0] in {*_MATRICES, "unknown"}), ["unknown"])
    rate = next((match for field in fields if (match := _RATE.match(field))), None)
    line = VideoLine(
        index=index,
        codec=codec,
        width=int(size[1]),
        height=int(size[2]),
        fps=float(rate[1]) * (1000 if rate[2] else 1) if rate else None,
        rotation=round(-turn) % 360,
        pixel_format=pixel[1] if pixel else "",
        matrix=_known(spaces[0]),
        transfer=_known(spaces[2]) if len(spaces) == 3 else None,
        interlaced=any(colour.endswith("first") for colour in colours),
        square=True,
    )
    return _shown(line, _ASPECT.findall(details))


def _known(word: str) -> str | None:
    return None if word == "unknown" else word


def _shown(line: VideoLine, aspects: list[tuple[str, str]]) -> VideoLine:
    """Size of the picture with square pixels, turned upright. The last aspect said is the container's, which counts."""
    width, height, square = line.width, line.height, True
    if aspects:
        across, down = int(aspects[-1][0]), int(aspects[-1][1])
        if across > 0 and down > 0 and across != down:
            width, square = max(1, round(width * across / down)), False
    if min(line.rotation % 180, 180 - line.rotation % 180) >= 89:
        width, height = height, width
    return replace(line, width=width, height=height, square=square)


def _audio(index: int, details: str, _turn: float) -> AudioLine | None:
    fields = _COMMA.split(details)
    codec = fields[0].split(" ")[0]
    rate = next((int(field.split(" ")[0]) for field in fields if field.endswith(" Hz")), 0)
    if codec in ("none", "unknown") or not rate:
        return None
    place = next(number for number, field in enumerate(fields) if field.endswith(" Hz"))
    return AudioLine(index, codec, rate, _channels(fields[place + 1] if len(fields) > place + 1 else ""))


def _channels(layout: str) -> int:
    if layout in _CHANNELS:
        return _CHANNELS[layout]
    counted = re.match(r"(\d+) channels", layout)
    if counted:
        return int(counted[1])
    dotted = re.match(r"(\d+)\.(\d+)", layout)
    return int(dotted[1]) + int(dotted[2]) if dotted else 2


def read_tags(metadata: str) -> dict[str, str]:
    """The container's own tags from ffmetadata: `key=value` lines before the first section, with backslash escapes."""
    head = re.split(r"^\[(?:CHAPTER|STREAM)\]", metadata, maxsplit=1, flags=re.MULTILINE)[0]
    lines = re.findall(r"(?:[^\\\n]|\\.|\\\n)+", head)
    tags = {}
    for line in lines:
        pair = re.match(r"((?:[^\\=]|\\.|\\\n)+)=(.*)", line, re.DOTALL)
        if pair and not line.startswith(";"):
            tags[_plain(pair[1])] = _plain(pair[2])
    return tags


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
