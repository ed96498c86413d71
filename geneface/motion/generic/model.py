"""GeneFace's audio-to-motion (Ye et al. 2023): a variational autoencoder of motion whose prior is a normalising flow, conditioned
on what is heard. Anybody's motion comes out: *generic coefficients* [T, K] (corpus.py says of what).
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 4
"""Video frames for each step of the latent."""


@dataclass(frozen=True)
class GenericDims:
    """What the network's shapes depend on; kept with the name of the audio features."""

    audio: str
    audio_dim: int
    components: int
    hidden: int = 96
    condition: int = 96
    latent: int = 16
    flows: int = 4


class Ear(nn.Module):
    """Audio features [B, dim, 2T] to the condition [B, outside, T]: half the rate, then dilated residual convolutions that hear
    0.6 s to either side.
    """

    def __init__(self, dim: int, outside: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv1d(dim, outside, 4, 2, 1), nn.GELU(), nn.Dropout(0.1))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv1d(outside, outside, 5, padding=2 * dilation, dilation=dilation), nn.GELU(), nn.Dropout(0.1))
            for dilation in (1, 2, 4)
        )

    def forward(self, audio: Tensor) -> Tensor:
        """[B, dim, 2T] to [B, outside, T]."""
        x = self.enter(audio)
        for layer in self.layers:
            x = x + layer(x)
        return x


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
        self.cut = latent // 2
        self.shift = WaveNet(self.cut, latent - self.cut, 48, condition, 2)
        nn.init.zeros_(self.shift.leave.weight)
        nn.init.zeros_(self.shift.leave.get_parameter("bias"))

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """[B, latent, T] to the same."""
        kept, moved = z[:, : self.cut], z[:, self.cut :]
        return torch.cat([kept, moved + self.shift(kept, condition)], 1).flip(1)

    def inverse(self, z: Tensor, condition: Tensor) -> Tensor:
        """Undoes `forward`."""
        z = z.flip(1)
        kept, moved = z[:, : self.cut], z[:, self.cut :]
        return torch.cat([kept, moved - self.shift(kept, condition)], 1)


class Generic(nn.Module):
    """Audio features to generic coefficients."""

    def __init__(self, dims: GenericDims) -> None:
        super().__init__()
        self.dims = dims
        k, condition = dims.components, dims.condition
        self.listen = Ear(dims.audio_dim, condition)
        self.pool = nn.Conv1d(condition, condition, STRIDE, STRIDE)
        self.enter = nn.Conv1d(k, dims.hidden, STRIDE, STRIDE)
        self.encoder = WaveNet(dims.hidden, 2 * dims.latent, dims.hidden, condition, 4)
        self.flow = nn.ModuleList(Coupling(dims.latent, condition) for _ in range(dims.flows))
        self.grow = nn.ConvTranspose1d(dims.latent, dims.hidden, STRIDE, STRIDE)
        self.decoder = WaveNet(dims.hidden, k, dims.hidden, condition, 3)

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        """Latent [B, latent, T/4] to coefficients [B, T, K]."""
        return self.decoder(self.grow(z), condition).transpose(1, 2)

    def training_terms(self, audio: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(posterior's reconstruction, prior mode's prediction, KL of one sample in nats a number); audio [B, 2T, dim], truth
        [B, T, K], T a multiple of 4.
        """
        condition = self.listen(audio.transpose(1, 2))
        pooled = self.pool(condition)
        mean, log_std = self.encoder(self.enter(truth.transpose(1, 2)), pooled).chunk(2, 1)
        log_std = log_std.clamp(-5, 3)
        noise = torch.randn_like(mean)
        z = mean + log_std.exp() * noise
        prior = z
        for layer in self.flow:
            prior = layer(prior, pooled)
        kl = (0.5 * prior.square() - 0.5 * noise.square() - log_std).mean()
        return self.decode(z, condition), self.decode(self._prior(torch.zeros_like(z), pooled), condition), kl

    def forward(self, audio: Tensor, latent: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Audio [B, 2T, dim] to coefficients [B, T, K] and the condition that they were drawn under [B, T, condition]; the flow
        begins at `latent` [B, latent, ceil(T / 4)] or its mode.
        """
        frames = audio.shape[1] // 2
        condition = self.listen(functional.pad(audio, (0, 0, 0, 2 * (-frames % STRIDE))).transpose(1, 2))
        pooled = self.pool(condition)
        start = pooled.new_zeros(len(audio), self.dims.latent, pooled.shape[2]) if latent is None else latent
        drawn = self.decode(self._prior(start, pooled), condition)
        return drawn[:, :frames], condition.transpose(1, 2)[:, :frames]

    def _prior(self, z: Tensor, pooled: Tensor) -> Tensor:
        for layer in reversed(self.flow):
            z = cast(Coupling, layer).inverse(z, pooled)
        return z
