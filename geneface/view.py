"""What of a clip's picture becomes the frames: one square for all of it, or, when the speaker wanders, one that follows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from geneface.face.framing import SIDE, SMALLEST_FACE, crop_of, face_width, followed, wanders
from geneface.face.geometry import Array
from media import faces, video
from media.clock import FPS
from media.errors import FaceTooSmall, VideoMissing
from media.faces import Survey
from media.frames import Box, Frame
from media.probe import VideoStream, probe


@dataclass(frozen=True)
class View:
    """Where the frames are cut out of the picture of `source`.

    stream: its picture track. survey: where the face was seen. path: float32 [T, 3], each frame's square (x, y, side in pixels
    of the picture as shown). crop: that square when it is the same in all frames.
    """

    source: Path
    stream: VideoStream
    survey: Survey
    path: Array
    crop: Box | None

    @property
    def face_width(self) -> float:
        """Median width of the face in pixels of the source."""
        return face_width(self.survey)

    def pictures(self) -> Iterator[Frame]:
        """The frames, uint8 [512, 512, 3], 25 a second; a file may hold a few more or less than its length tells."""
        if self.crop:
            return video.frames(self.source, (SIDE, SIDE), self.crop)
        return _along(self.source, self.stream, self.path)

    def squares(self, frames: int) -> Array:
        """The path of as many frames as there were, float32 [frames, 3]."""
        return self.path[np.minimum(np.arange(frames), len(self.path) - 1)]

    def others(self, frames: int) -> NDArray[np.bool_]:
        """Frames [frames] about which the survey saw another face."""
        near, reach = np.zeros(frames, bool), self.survey.step / 2
        for time in self.survey.second_times:
            near[max(0, round((time - reach) * FPS)) : round((time + reach) * FPS) + 1] = True
        return near


def view_of(source: Path) -> View:
    """Looks for the speaker. Raises what `media.faces.survey` raises and MediaError `face_too_small`."""
    stream = probe(source).video
    if stream is None:
        raise VideoMissing(source.name)
    expected = max(1, round(stream.seconds * FPS))
    survey = faces.survey(source)
    follow = wanders(survey)
    if follow:
        survey = faces.survey(source, samples=expected)
    width = face_width(survey)
    if width < SMALLEST_FACE:
        raise FaceTooSmall(source.name, width=width, limit=int(SMALLEST_FACE))
    if follow:
        return View(source, stream, survey, followed(survey, expected, stream.width, stream.height), None)
    crop = crop_of(survey, stream.width, stream.height)
    return View(source, stream, survey, np.repeat(np.array([crop[:3]], np.float32), expected, 0), crop)


def _along(source: Path, stream: VideoStream, path: Array) -> Iterator[Frame]:
    """Each frame's square of the path; frames beyond its end stay at the last one. Holds one frame at a time."""
    box = _around(path, stream.width, stream.height)
    share = min(1.0, SIDE / float(np.median(path[:, 2])))
    size = (max(2, round(box[2] * share)), max(2, round(box[3] * share)))
    across, down = size[0] / box[2], size[1] / box[3]
    for number, frame in enumerate(video.frames(source, size, box)):
        x, y, side = path[min(number, len(path) - 1)]
        step_x, step_y = side * across / SIDE, side * down / SIDE
        matrix = np.array([
            [step_x, 0, (x - box[0]) * across + (step_x - 1) / 2],
            [0, step_y, (y - box[1]) * down + (step_y - 1) / 2],
        ], np.float32)  # fmt: skip
        cut = cv2.warpAffine(
            frame, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        )
        yield np.asarray(cut, np.uint8)


def _around(path: Array, width: int, height: int) -> Box:
    """The even box that holds the whole path."""
    left, top = (max(0, int(np.floor(path[:, axis].min()))) // 2 * 2 for axis in (0, 1))
    right = min(width, int(np.ceil((path[:, 0] + path[:, 2]).max())) + 1)
    bottom = min(height, int(np.ceil((path[:, 1] + path[:, 2]).max())) + 1)
    return left, top, max(2, (right - left) // 2 * 2), max(2, (bottom - top) // 2 * 2)
