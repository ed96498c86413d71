"""Whether a clip's sound and mouth can be scored by SyncNet, and what came of it."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from eval import weights
from eval.clips import Clip
from eval.lse import Crop, Sync, followed, sound, whole_frame
from eval.s3fd import S3FD
from eval.syncnet import SyncNet
from eval.weights import UnmeasuredError, Weights
from media import ffmpeg
from steps.progress import Reporter

FFMPEGS = (4, 2), (7, 0)
"""First and last version whose JPEG rate control gives the published scores."""


@dataclass(frozen=True)
class Lips:
    """What SyncNet said: the faces it was asked about, or why it was not asked."""

    crop: Crop
    faces: tuple[Sync, ...] = ()
    reason: str = ""

    @property
    def distance(self) -> float | None:
        """LSE-D: mean over the faces."""
        return sum(face.distance for face in self.faces) / len(self.faces) if self.faces else None

    @property
    def confidence(self) -> float | None:
        """LSE-C: mean over the faces."""
        return sum(face.confidence for face in self.faces) / len(self.faces) if self.faces else None

    @property
    def longest(self) -> Sync | None:
        """The face that was seen longest."""
        return max(self.faces, key=lambda face: face.windows, default=None)


def listen(clip: Clip, crop: Crop, found: Weights, reporter: Reporter) -> Lips:
    """Scores the clip; every reason not to has a name."""
    try:
        faces = _faces(clip, crop, found, reporter)
    except UnmeasuredError as why:
        return Lips(crop, reason=str(why))
    except (ffmpeg.FfmpegError, ffmpeg.StalledError) as error:
        # Of the sound, perhaps: the pictures may do for all other figures.
        reporter.message(f"{clip.path.name}: no LSE, ffmpeg cannot read it ({error.reason})", level="warning")
        return Lips(crop, reason="unreadable")
    scored = tuple(face for face in faces if face)
    return Lips(crop, scored, "" if scored else "too_short")


def _faces(clip: Clip, crop: Crop, found: Weights, reporter: Reporter) -> list[Sync | None]:
    if not FFMPEGS[0] <= ffmpeg_version() <= FFMPEGS[1]:
        raise UnmeasuredError("ffmpeg_version")
    network = found.load(SyncNet, weights.SYNCNET)
    detector = found.load(S3FD, weights.S3FD) if crop == "track" else None
    if clip.sound is None:
        raise UnmeasuredError("no_audio")
    if detector is None:
        return [whole_frame(clip, sound(clip, clip.sound), network, reporter)]
    with TemporaryDirectory(prefix="eval-") as folder:
        faces = followed(clip, network, detector, Path(folder), reporter)
    if not faces:
        raise UnmeasuredError("no_face_track")
    return faces


@cache
def ffmpeg_version() -> tuple[int, int]:
    """Of the ffmpeg in use; (0, 0) for one that does not tell a release."""
    said = re.search(r"ffmpeg version n?(\d+)\.(\d+)", ffmpeg.run(["-version"]).stdout)
    return (int(said[1]), int(said[2])) if said else (0, 0)
