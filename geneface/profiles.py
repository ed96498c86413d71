"""How much work each profile does. Training is budgeted in steps, never in minutes: the same profile gives the same model on
a busy machine.
"""

from dataclasses import dataclass

FEATURES = ("whisper", "hubert", "mel")
"""Audio features by their names, the best first: what was measured (benchmarks/RESULTS.md), then what GeneFace uses."""
MOTIONS = ("truth", "predicted", "constant", "swap")
"""What can drive a held-out rendering."""


@dataclass(frozen=True)
class MotionTraining:
    """Audio to motion."""

    steps: int
    batch: int = 16
    frames: int = 96
    """Length of a training sequence."""
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Profile:
    """One row of the table below; each renderer has a training of its own for it (renderers/*/renderer.py)."""

    name: str
    audio: str
    """`mel`, or `best`: the best features whose weights are there."""
    motion: MotionTraining


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("quick", "mel", MotionTraining(150)),
        Profile("cpu", "best", MotionTraining(150)),
        Profile("gpu", "best", MotionTraining(300)),
    )
}
