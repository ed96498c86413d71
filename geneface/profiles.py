"""How much work each profile does. Training is budgeted in steps, never in minutes: the same profile gives the same model on
a busy machine.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from steps.errors import InputError

MAX_EPOCHS = 100_000
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
class RendererTraining:
    """Motion to pixels."""

    steps: int
    size: int
    """Side of the region of interest in pixels, a multiple of 16."""
    widths: tuple[int, ...]
    batch: int = 8
    learning_rate: float = 3e-3


@dataclass(frozen=True)
class Profile:
    """One row of the table below."""

    name: str
    audio: str
    """`mel`, or `best`: Whisper's encoder when its weights are there, otherwise mel."""
    motion: MotionTraining
    renderer: RendererTraining

    def with_epochs(self, epochs: int | None, frames: int) -> "Profile":
        """The same with the renderer trained for `epochs` passes over `frames` frames. Raises InputError `epochs_invalid`."""
        if epochs is None:
            return self
        if not 1 <= epochs <= MAX_EPOCHS:
            raise InputError("epochs_invalid", f"epochs must be 1 to {MAX_EPOCHS:,}, not {epochs}.")
        steps = epochs * -(-frames // self.renderer.batch)
        return replace(self, renderer=replace(self.renderer, steps=steps))

    def described(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("quick", "mel", MotionTraining(150), RendererTraining(600, 128, (24, 48, 96, 128))),
        Profile("cpu", "best", MotionTraining(150), RendererTraining(1800, 160, (32, 64, 96, 128))),
        Profile(
            "gpu", "best", MotionTraining(300), RendererTraining(12_000, 256, (64, 96, 128, 192), batch=16, learning_rate=2e-3)
        ),
    )
}
