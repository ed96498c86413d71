"""Audio to motion: a person's linear predictor, and around it a small variational network with a flow prior (GeneFace's
audio2motion, research 1.2).

With a minute of speech the linear part carries most; the network adds what is not linear and what sound leaves open (its
latent), as far as it proved itself on speech that it was not trained on (`trust`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 4
"""Video frames for each step of the latent."""


@dataclass(frozen=True)
class MotionDims:
    """What the network's shapes depend on; kept in the checkpoint with the name of the audio features."""

    audio: str
    audio_dim: int
    context: int
    """Video frames on either side that the linear part hears."""
    components: int
    hidden: int = 96
    condition: int = 64
    latent: int = 16
    flows: int = 4


class WaveNet(nn.Module):
    """Gated convolutions with skips, conditioned at every layer; [B, inside, T] to [B, outside, T]."""

    def __init__(self, inside: int, outside: int, hidden: int, condition: int, layers: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Conv1d(inside, hidden, 1), nn.Conv1d(hidden, outside, 1)
        self.gates = nn.ModuleList(nn.Conv1d(hidden, 2 * hidden, 5, padding=2) for _ in range(layers))
        self.conditions = nn.ModuleList(nn.Conv1d(condition, 2 * hidden, 1) for _ in range(layers))
        self.mixes = nn.ModuleList(nn.Conv1d(hidden, 2 * hidden, 1) for _ in range(layers))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x [B, inside, T], condition [B, condition, T]."""
        x = self.enter(x)
        total = torch.zeros_like(x)
        for gate, given, mix in zip(self.gates, self.conditions, self.mixes, strict=True):
            a, b = (gate(x) + given(condition)).chunk(2, 1)
            residual, skip = mix(torch.tanh(a) * torch.sigmoid(b)).chunk(2, 1)
            x, total = x + residual, total + skip
        return self.leave(functional.gelu(total))


class Coupling(nn.Module):
    """Mean-only affine coupling, then the channels in reverse; volume preserving, so that log-densities need no determinant."""

    def __init__(self, latent: int, condition: int) -> None:
        super().__init__()
        self.half = latent // 2
        self.shift = WaveNet(self.half, latent - self.half, 48, condition, 2)
        nn.init.zeros_(self.shift.leave.weight)
        nn.init.zeros_(self.shift.leave.bias)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """[B, latent, T] to the same."""
        kept, moved = z[:, : self.half], z[:, self.half :]
        return torch.cat([kept, moved + self.shift(kept, condition)], 1).flip(1)

    def inverse(self, z: Tensor, condition: Tensor) -> Tensor:
        """Undoes `forward`."""
        z = z.flip(1)
        kept, moved = z[:, : self.half], z[:, self.half :]
        return torch.cat([kept, moved - self.shift(kept, condition)], 1)


class AudioToMotion(nn.Module):
    """Audio features to motion coefficients; the fitted linear part, gain and trust are buffers."""

    linear_weight: Tensor
    linear_bias: Tensor
    gain: Tensor
    trust: Tensor

    def __init__(self, dims: MotionDims) -> None:
        super().__init__()
        self.dims = dims
        k, condition = dims.components, dims.condition
        self.register_buffer("linear_weight", torch.zeros((2 * dims.context + 1) * 2 * dims.audio_dim, k))
        self.register_buffer("linear_bias", torch.zeros(k))
        self.register_buffer("gain", torch.ones(k))
        self.register_buffer("trust", torch.ones(()))
        self.listen = nn.Sequential(
            nn.Conv1d(dims.audio_dim, condition, 4, 2, 1),
            nn.GELU(),
            nn.Dropout(0.2),
            nn.Conv1d(condition, condition, 5, padding=2),
        )
        self.join = nn.Conv1d(condition + k, condition, 3, padding=1)
        self.pool = nn.Conv1d(condition, condition, STRIDE, STRIDE)
        self.enter = nn.Conv1d(k, dims.hidden, STRIDE, STRIDE)
        self.encoder = WaveNet(dims.hidden, 2 * dims.latent, dims.hidden, condition, 4)
        self.flow = nn.ModuleList(Coupling(dims.latent, condition) for _ in range(dims.flows))
        self.grow = nn.ConvTranspose1d(dims.latent, dims.hidden, STRIDE, STRIDE)
        self.decoder = WaveNet(dims.hidden, k, dims.hidden, condition, 3)
        nn.init.zeros_(self.decoder.leave.weight)
        nn.init.zeros_(self.decoder.leave.bias)

    def linear(self, audio: Tensor) -> Tensor:
        """The linear part alone: audio [B, 2T, dim] to coefficients [B, T, K]."""
        return stacked(audio, self.dims.context) @ self.linear_weight + self.linear_bias

    def hear(self, audio: Tensor, linear: Tensor) -> Tensor:
        """The condition [B, condition, T] from audio [B, 2T, dim] and the linear part's answer [B, T, K]."""
        heard = self.listen(audio.transpose(1, 2))
        return functional.gelu(self.join(torch.cat([heard, linear.transpose(1, 2)], 1)))

    def decode(self, z: Tensor, condition: Tensor, linear: Tensor) -> Tensor:
        """Latent [B, latent, T/4] to coefficients [B, T, K]."""
        return linear + self.decoder(self.grow(z), condition).transpose(1, 2)

    def training_terms(self, audio: Tensor, linear: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(posterior's reconstruction, prior mean's prediction, KL of one sample in nats a number); truth [B, T, K], T a
        multiple of 4.
        """
        condition = self.hear(audio, linear)
        pooled = self.pool(condition)
        mean, log_std = self.encoder(self.enter(truth.transpose(1, 2)), pooled).chunk(2, 1)
        log_std = log_std.clamp(-5, 3)
        noise = torch.randn_like(mean)
        z = mean + log_std.exp() * noise
        prior = z
        for layer in self.flow:
            prior = layer(prior, pooled)
        kl = (0.5 * prior.square() - 0.5 * noise.square() - log_std).mean()
        return self.decode(z, condition, linear), self.decode(self._prior(torch.zeros_like(z), pooled), condition, linear), kl

    def predict(self, audio: Tensor, temperature: float = 0.0) -> Tensor:
        """Audio [B, 2T, dim] to coefficients [B, T, K], amplitude restored. Draws from torch's generator when temperature > 0."""
        linear = self.linear(audio)
        return (linear + self.trust * (self.refine(audio, linear, temperature) - linear)) * self.gain

    def refine(self, audio: Tensor, linear: Tensor, temperature: float = 0.0) -> Tensor:
        """The network's answer [B, T, K] to audio [B, 2T, dim], given that of the linear part [B, T, K]."""
        length = linear.shape[1]
        extra = -length % STRIDE
        linear = functional.pad(linear, (0, 0, 0, extra))
        condition = self.hear(functional.pad(audio, (0, 0, 0, 2 * extra)), linear)
        pooled = self.pool(condition)
        start = temperature * torch.randn(len(audio), self.dims.latent, pooled.shape[2]).to(audio.device)
        return self.decode(self._prior(start, pooled), condition, linear)[:, :length]

    def _prior(self, z: Tensor, pooled: Tensor) -> Tensor:
        for layer in reversed(self.flow):
            z = layer.inverse(z, pooled)
        return z


def stacked(audio: Tensor, context: int) -> Tensor:
    """[B, 2T, dim] to [B, T, (2 * context + 1) * 2 * dim]: each frame's features with its neighbours', ends repeated."""
    batch, double, dim = audio.shape
    frames = audio.reshape(batch, double // 2, 2 * dim).transpose(1, 2)
    windows = functional.pad(frames, (context, context), mode="replicate").unfold(2, 2 * context + 1, 1)
    return windows.permute(0, 2, 3, 1).reshape(batch, double // 2, -1)
