"""The two rates that everything is brought to, and how they meet."""

FPS = 25
"""Frames a second."""

SAMPLE_RATE = 16_000
"""Samples a second of sound for analysis."""

SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
"""Of that sound."""


def frame_count(samples: int, rate: int = SAMPLE_RATE, fps: int = FPS) -> int:
    """Frames that cover `samples` of sound at `rate`: no sound is left over, and less than one frame outlasts it."""
    return -(-samples * fps // rate)
