"""LSE-D and LSE-C (Prajwal et al. 2020): how well sound and lips agree to SyncNet, and how much better than at other offsets.

The whole road of the published scripts, losses and all: 25 frames a second, 200 kb/s JPEG, BGR, 16-bit sound, silence around it.
"""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from eval.cepstra import cepstra
from eval.clips import Clip
from eval.s3fd import S3FD
from eval.syncnet import COLUMNS, FRAMES, SIDE, WIDTH, SyncNet
from eval.tracks import Boxes, Cuts, Square, Track, tracks
from media import ffmpeg
from media.clock import FPS, SAMPLES_PER_FRAME
from media.frames import Frame
from steps.program import check_stop
from steps.progress import Reporter

Crop = Literal["track", "none"]
"""`track`: the faces that S3FD finds, as run_pipeline.py cuts them out; `none`: the whole frame, as for LRS2 and LRS3 crops."""

SHIFT = 15
"""Frames to either side that the sound is moved by."""
BATCH = 20
COLUMNS_PER_FRAME = 4
LOOKED_AT = {"cpu": 1, "cuda": 8}
"""Frames in which faces are sought at once; on a CPU one by one is the fastest (the maps of one still fit its cache)."""
SHORT_SIDE, LEAST_SCALE = 480, 0.25
"""Pixels of the shorter side at which faces are sought, and the smallest share of the frame's own size."""
RESAMPLED = "aresample=async=1:min_hard_comp=0.100000:first_pts=0"
"""What ffmpeg's deprecated `-async 1` stands for."""

Samples = NDArray[np.int16]


@dataclass(frozen=True)
class Sync:
    """One face's agreement with the sound."""

    curve: tuple[float, ...]
    """Mean distance with the sound moved by 15 frames … -15."""
    windows: int

    @property
    def distance(self) -> float:
        """LSE-D: the smallest mean distance."""
        return min(self.curve)

    @property
    def confidence(self) -> float:
        """LSE-C: the median of the mean distances less the smallest."""
        return sorted(self.curve)[len(self.curve) // 2] - self.distance

    @property
    def offset(self) -> int:
        """Frames by which the sound comes early (negative: late)."""
        return SHIFT - self.curve.index(self.distance)


def sound(clip: Clip, stream: int) -> Samples:
    """The clip's sound, mono, 16 kHz, 16 bit, as SyncNet's script takes it out."""
    options = ["-map", f"0:{stream}", "-af", RESAMPLED, "-ac", "1", "-ar", "16000", "-f", "s16le", "-"]
    parts = ffmpeg.chunks([*ffmpeg.source(clip.path), "-loglevel", "error", *options], 1 << 18)
    return np.frombuffer(b"".join(bytes(part) for part in parts), np.int16)


def pictures(path: Path, quality: Sequence[str] = ()) -> Iterator[Frame]:
    """The video's frames at 25 a second, BGR, each through JPEG at ffmpeg's own idea of quality: SyncNet's script never asks for
    another, and its scores depend on it. `quality`: options that ask for one.
    """
    options = ["-map", "0:V:0", "-r", str(FPS), *quality, "-threads", "1", "-c:v", "mjpeg", "-f", "image2pipe", "-"]
    for picture in _pictures(ffmpeg.chunks([*ffmpeg.source(path), "-loglevel", "error", *options], 1 << 18)):
        check_stop()
        yield np.asarray(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR))


def whole_frame(clip: Clip, samples: Samples, network: SyncNet, reporter: Reporter) -> Sync | None:
    """The whole frame is the face. None when there are too few frames or too little sound."""
    wanted = min(_frames(clip), len(samples) // SAMPLES_PER_FRAME)
    return score(reporter.track(pictures(clip.path), "watch the lips", wanted), samples, network)


def score(frames: Iterator[Frame], samples: Samples, network: SyncNet) -> Sync | None:
    """A face's BGR frames, 25 a second, and its sound; None when they have 5 frames or fewer in common."""
    device = next(network.parameters()).device
    faces = (frame if frame.shape[:2] == (SIDE, SIDE) else cv2.resize(frame, (SIDE, SIDE)) for frame in frames)
    lips, common = _lips(islice(faces, len(samples) // SAMPLES_PER_FRAME), network, device)
    if common <= FRAMES:
        return None
    windows = common - FRAMES
    return Sync(curve(lips[:windows], _sounds(samples, windows, network, device)), windows)


def curve(lips: Tensor, sounds: Tensor) -> tuple[float, ...]:
    """Mean distance of lip windows [N, 1024] from sound windows [N, 1024] at each shift; beyond the ends the sound is zero, and
    counts.
    """
    padded = functional.pad(sounds, (0, 0, SHIFT, SHIFT))
    shifts = (padded[shift : shift + len(lips)] for shift in range(2 * SHIFT + 1))
    return tuple(float(functional.pairwise_distance(lips, moved).mean()) for moved in shifts)


def _lips(frames: Iterator[Frame], network: SyncNet, device: torch.device) -> tuple[Tensor, int]:
    """Embeddings of all windows of five frames, [T - 4, 1024], and T."""
    embedded, held = [torch.empty(0, WIDTH)], list(islice(frames, FRAMES - 1))
    count = len(held)
    while following := list(islice(frames, BATCH)):
        row = torch.from_numpy(np.stack([*held, *following])).to(device).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            embedded.append(network.lips(row).cpu())
        held = [*held, *following][1 - FRAMES :]
        count += len(following)
    return torch.cat(embedded), count


def _sounds(samples: Samples, windows: int, network: SyncNet, device: torch.device) -> Tensor:
    """Embeddings of the sound of each window, [windows, 1024]."""
    heard = torch.from_numpy(cepstra(samples).astype(np.float32))
    cut = heard.unfold(0, COLUMNS, COLUMNS_PER_FRAME)[:windows]
    with torch.inference_mode():
        return torch.cat([network.sounds(part.to(device)).cpu() for part in torch.split(cut, BATCH)])


def followed(clip: Clip, network: SyncNet, detector: S3FD, folder: Path, reporter: Reporter) -> list[Sync | None]:
    """The scores of the faces that S3FD finds and follows; `folder` takes what lies in between."""
    video = folder / "video.avi"
    _ffmpeg([*ffmpeg.source(clip.path), "-qscale:v", "2", "-af", RESAMPLED, "-r", str(FPS), str(video)])
    again = Clip.open(video)
    heard = sound(again, again.sound) if again.sound is not None else np.empty(0, np.int16)
    faces, cuts = list[Boxes](), Cuts()
    frames = iter(reporter.track(_whole(video), "find the faces", _frames(again)))
    at_once = LOOKED_AT[next(network.parameters()).device.type]
    while some := list(islice(frames, at_once)):
        for frame in some:
            cuts.add(frame)
        faces += detector.faces(some, min(1.0, max(LEAST_SCALE, SHORT_SIDE / min(again.size))))
    found = tracks(faces, cuts.shots())
    crops = _cropped(video, found, folder)
    scores, before, every = [], 0, sum(map(len, found))
    for track, crop in zip(found, crops, strict=True):
        part = heard[track.first * SAMPLES_PER_FRAME : (track.last + 1) * SAMPLES_PER_FRAME]
        scores.append(score(_reported(pictures(crop), reporter, before, every), part, network))
        before += len(track)
    return scores


def _reported(frames: Iterator[Frame], reporter: Reporter, before: int, every: int) -> Iterator[Frame]:
    """Those of one face, when `before` frames of other faces have been watched."""
    for done, frame in enumerate(frames, before + 1):
        yield frame
        reporter.progress("watch the lips", done, every)


def _frames(clip: Clip) -> int:
    """How many frames the clip has at 25 a second, about."""
    return max(1, round(clip.video.seconds * FPS))


def _whole(video: Path) -> Iterator[Frame]:
    """RGB frames as run_pipeline.py sees them."""
    return (cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for frame in pictures(video, ("-qscale:v", "2")))


def _cropped(video: Path, found: Sequence[Track], folder: Path) -> list[Path]:
    """The faces as clips of their own, 224x224, in the codec of the published scripts (XVID)."""
    paths = [folder / f"face-{number}.avi" for number in range(len(found))]
    squares = [Square(track) for track in found]
    writers = [cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), FPS, (SIDE, SIDE)) for path in paths]
    try:
        for number, frame in enumerate(pictures(video, ("-qscale:v", "2"))):
            for track, square, writer in zip(found, squares, writers, strict=True):
                if track.first <= number <= track.last:
                    writer.write(square.cut(frame, number - track.first))
    finally:
        for writer in writers:
            writer.release()
    return paths


def _pictures(chunks: Iterator[bytearray]) -> Iterator[bytes]:
    """A stream of JPEG files, one by one: each begins with FF D8 and ends with FF D9."""
    held = bytearray()
    for chunk in chunks:
        searched = max(0, len(held) - 3)
        held += chunk
        while (end := held.find(b"\xff\xd9\xff\xd8", searched)) >= 0:
            yield bytes(held[: end + 2])
            del held[: end + 2]
            searched = 0
    if held:
        yield bytes(held)


def _ffmpeg(arguments: Sequence[str]) -> None:
    with ffmpeg.Process(["-y", "-loglevel", "error", *arguments], stdout=subprocess.DEVNULL) as process:
        process.finish(timeout=3_600)
