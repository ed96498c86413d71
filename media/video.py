"""Moving pictures in and out; the two halves are `media.frames` and `media.writer`."""

from media.clock import FPS, frame_count
from media.frames import Frame, frames
from media.writer import Writer, pack

__all__ = ["FPS", "Frame", "Writer", "frame_count", "frames", "pack"]
