"""One person's motion from sound: a linear map of what is heard and of what anybody's mouth would do with it (the generic prior),
then a residual post-net.

With a minute of speech the linear part carries most. The post-net (GeneFace's third network, trained by moments instead of an
adversary) adds what is not linear, as far as it proved itself on speech that it was not trained on (`trust`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from geneface.motion.generic.model import STRIDE, Generic, GenericDims

CONTEXT, GENERIC_CONTEXT = 3, 2
"""Video frames on either side whose sound the linear part hears, and whose generic motion it sees."""
WIDE = 128
"""Features with more numbers than this are averaged to one a frame: they have a reach of their own."""


@dataclass(frozen=True)
class MotionDims:
    """What the shapes depend on; kept in the checkpoint with the name of the audio features."""

    audio: str
    audio_dim: int
    components: int
    prior: GenericDims | None = None
    hidden: int = 96

    @property
    def inputs(self) -> tuple[int, int]:
        """Numbers of a frame that the linear part sees: of the sound, of the generic motion and what that was drawn under."""
        heard = self.audio_dim if self.audio_dim > WIDE else 2 * self.audio_dim
        generic = (self.prior.components + self.prior.condition) * (2 * GENERIC_CONTEXT + 1) if self.prior else 0
        return (2 * CONTEXT + 1) * heard, generic


class PostNet(nn.Module):
    """A residual on coefficients [B, T, K]: convolutions over 0.6 s, beginning as nothing."""

    def __init__(self, components: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(components, hidden, 5, padding=2), nn.GELU(), nn.Dropout(0.2),
            nn.Conv1d(hidden, hidden, 5, padding=4, dilation=2), nn.GELU(), nn.Dropout(0.2),
            nn.Conv1d(hidden, components, 5, padding=2),
        )  # fmt: skip
        nn.init.zeros_(self.layers[-1].get_parameter("weight"))
        nn.init.zeros_(self.layers[-1].get_parameter("bias"))

    def forward(self, coefficients: Tensor) -> Tensor:
        """[B, T, K] to the same."""
        return coefficients + self.layers(coefficients.transpose(1, 2)).transpose(1, 2)


class AudioToMotion(nn.Module):
    """Audio features to one person's motion coefficients; what is fitted in closed form lies in buffers."""

    weight: Tensor
    bias: Tensor
    gain: Tensor
    trust: Tensor

    def __init__(self, dims: MotionDims) -> None:
        super().__init__()
        self.dims = dims
        self.generic = Generic(dims.prior) if dims.prior else None
        self.register_buffer("weight", torch.zeros(sum(dims.inputs), dims.components))
        self.register_buffer("bias", torch.zeros(dims.components))
        self.register_buffer("gain", torch.eye(dims.components))
        self.register_buffer("trust", torch.zeros(()))
        self.post = PostNet(dims.components, dims.hidden)

    def inputs(self, audio: Tensor, latent: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What the linear part sees of audio [B, 2T, dim]: sound [B, T, .] and generic motion [B, T, .]."""
        batch, double, dim = audio.shape
        frames = audio.view(batch, double // 2, 2, dim)
        frames = frames.mean(2) if dim > WIDE else frames.flatten(2)
        heard = windows(frames, CONTEXT)
        if self.generic is None:
            return heard, heard[..., :0]
        return heard, windows(torch.cat(self.generic(audio, latent), -1), GENERIC_CONTEXT)

    def latent(self, frames: int, temperature: float, seed: int) -> Tensor | None:
        """What sound leaves open, drawn for a whole recording: [1, latent, ceil(T / 4)]; None without a prior."""
        if self.generic is None:
            return None
        shape = (1, self.generic.dims.latent, -(-frames // STRIDE))
        return temperature * torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    def forward(self, audio: Tensor, latent: Tensor | None = None) -> Tensor:
        """Audio [B, 2T, dim] to coefficients [B, T, K], amplitude restored; `latent` as `latent()` draws it."""
        linear = torch.cat(self.inputs(audio, latent), -1) @ self.weight + self.bias
        return (linear + self.trust * (self.post(linear) - linear)) @ self.gain


def windows(frames: Tensor, context: int) -> Tensor:
    """[B, T, D] to [B, T, (2 * context + 1) * D]: each frame with its neighbours, ends repeated."""
    padded = functional.pad(frames.transpose(1, 2), (context, context), mode="replicate").unfold(2, 2 * context + 1, 1)
    return padded.permute(0, 2, 3, 1).flatten(2)
