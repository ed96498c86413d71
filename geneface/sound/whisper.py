"""The encoder of Whisper (Radford et al. 2022) as a source of speech features: forward pass only, from weights that lie on disk.

A feature is the mean of what the blocks after the first leave, each number in units of its own deviation over speech
(`whisper_levels.npz`): the middle blocks tell lips apart better than the encoder's last word, which belongs to the text.

Reads openai's own checkpoint layout: `base.pt` ({"dims", "model_state_dict"}, loaded with weights_only) or the same tensors
under the same names as `base.safetensors`, in `GENEFACE_WEIGHTS_DIR/whisper-base/`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from geneface.face.geometry import Array
from geneface.sound.features import Reader, chunked
from media.clock import frame_count
from steps import weights
from steps.errors import InputError

HOP, FFT, BANDS = 160, 400, 80
ROW = 2 * HOP
"""Samples from one of the encoder's rows to the next."""
CHUNK, STRIDE = 30 * 16_000, 25 * 16_000
"""Samples that the encoder sees at once, and by which it moves on: chunks overlap by 5 s, whose edges are dropped."""
HEAD = 64
"""Channels of an attention head in every size of Whisper."""
LEVELS = Path(__file__).with_name("whisper_levels.npz")


@dataclass(frozen=True)
class Levels:
    """Mean and deviation [blocks - 1, state] of what the blocks of Whisper-base after the first leave, over speech."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def shipped(cls) -> Self:
        """Measured on the synthetic speakers of samples/corpus.py by `python -m geneface prior levels`."""
        with np.load(LEVELS, allow_pickle=False) as arrays:
            return cls(*(torch.from_numpy(arrays[name].astype(np.float32)) for name in ("mean", "deviation")))


@dataclass(frozen=True)
class EncoderDims:
    """Read off the weights themselves."""

    bands: int
    context: int
    state: int
    layers: int

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> Self:
        """The dimensions of an encoder in openai's layout; KeyError when it is none."""
        layers = {int(key.split(".")[2]) for key in tensors if key.startswith("encoder.blocks.")}
        context, state = tensors["encoder.positional_embedding"].shape
        return cls(tensors["encoder.conv1.weight"].shape[1], context, state, len(layers))


class Attention(nn.Module):
    """Multi-head self-attention; the key projection has no bias."""

    def __init__(self, state: int) -> None:
        super().__init__()
        self.query, self.value, self.out = nn.Linear(state, state), nn.Linear(state, state), nn.Linear(state, state)
        self.key = nn.Linear(state, state, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, state] to the same."""
        batch, length, state = x.shape
        heads = max(1, state // HEAD)
        q, k, v = (part(x).view(batch, length, heads, -1).transpose(1, 2) for part in (self.query, self.key, self.value))
        return self.out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, state))


class Block(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, state: int) -> None:
        super().__init__()
        self.attn, self.attn_ln = Attention(state), nn.LayerNorm(state)
        self.mlp = nn.Sequential(nn.Linear(state, 4 * state), nn.GELU(), nn.Linear(4 * state, state))
        self.mlp_ln = nn.LayerNorm(state)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, state] to the same."""
        x = x + self.attn(self.attn_ln(x))
        return x + self.mlp(self.mlp_ln(x))


class Encoder(nn.Module):
    """Log-mel at 100 Hz in, states at 50 Hz out."""

    positional_embedding: Tensor

    def __init__(self, dims: EncoderDims) -> None:
        super().__init__()
        self.dims = dims
        self.conv1 = nn.Conv1d(dims.bands, dims.state, 3, padding=1)
        self.conv2 = nn.Conv1d(dims.state, dims.state, 3, stride=2, padding=1)
        self.register_buffer("positional_embedding", torch.zeros(dims.context, dims.state))
        self.blocks = nn.ModuleList(Block(dims.state) for _ in range(dims.layers))
        self.ln_post = nn.LayerNorm(dims.state)  # in the file; what comes after it is not used here

    def forward(self, mel: Tensor) -> Tensor:
        """mel [B, bands, 2 * T] (T at most `context`) to what each block after the first leaves, [blocks - 1, B, T, state]."""
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.positional_embedding[: x.shape[1]]
        left = []
        for block in self.blocks:
            x = block(x)
            left.append(x)
        return torch.stack(left[1:])


class Whisper:
    """`AudioFeatures` of Whisper's encoder."""

    name = "whisper"

    def __init__(self, encoder: Encoder, levels: Levels) -> None:
        self.encoder, self.levels = encoder.eval().requires_grad_(False), levels
        self.dim = encoder.dims.state
        self.filters = torch.from_numpy(slaney_filters(encoder.dims.bands))

    @classmethod
    def load(cls) -> Self:
        """From GENEFACE_WEIGHTS_DIR. Raises InputError `weights_missing` or `weights_invalid`."""
        return cls.read(weights.path("whisper-base"), Levels.shipped())

    @classmethod
    def read(cls, path: Path, levels: Levels | None) -> Self:
        """From a file in openai's layout, or the folder it lies in; without `levels` the blocks' own units. Raises InputError
        `weights_invalid`.
        """
        if path.is_dir():
            path = next((path / name for name in ("base.safetensors", "base.pt") if (path / name).exists()), path / "base.pt")
        try:
            if path.suffix == ".safetensors":
                tensors = load_file(path)
            else:
                tensors = torch.load(path, map_location="cpu", weights_only=True)["model_state_dict"]
            encoder = Encoder(EncoderDims.of(tensors))
            encoder.load_state_dict({key[8:]: value.float() for key, value in tensors.items() if key.startswith("encoder.")})
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise InputError("weights_invalid", f"{path} holds no Whisper encoder in openai's layout: {error}") from error
        shape = (encoder.dims.layers - 1, encoder.dims.state)
        levels = levels or Levels(torch.zeros(shape), torch.ones(shape))
        if levels.mean.shape != shape:
            raise InputError("weights_invalid", f"{path} is not Whisper base: its blocks after the first leave {shape} numbers.")
        return cls(encoder, levels)

    def reader(self, samples: Array) -> Reader:
        """See AudioFeatures."""
        starts = _starts(len(samples))

        def rows(number: int) -> Array:
            states = self._states(samples, starts[number])
            heard = (states - self.levels.mean[:, None]) / self.levels.deviation[:, None]
            return np.asarray(heard.mean(0).numpy())

        return chunked([_first_row(start) for start in starts], rows)

    def __call__(self, samples: Array) -> Array:
        return self.reader(samples)(0, frame_count(len(samples)))

    def states(self, samples: Array) -> Iterator[tuple[int, Tensor]]:
        """What the blocks leave, chunk by chunk: (first row, [blocks - 1, rows, state]); of what two chunks both see, the first
        half comes from the one before.
        """
        return ((_first_row(start), self._states(samples, start)) for start in _starts(len(samples)))

    @torch.inference_mode()
    def _states(self, samples: Array, start: int) -> Tensor:
        """[blocks - 1, rows, state] of the chunk that begins at this sample, from its first row on."""
        chunk = np.zeros(CHUNK, np.float32)
        piece = samples[start : start + CHUNK]
        chunk[: len(piece)] = piece
        return self.encoder(self._mel(torch.from_numpy(chunk))[None])[:, 0, _first_row(start) - start // ROW :]

    def _mel(self, chunk: Tensor) -> Tensor:
        """Whisper's own log-mel of one chunk, [bands, frames at 100 Hz] (openai/whisper, audio.py: floor 8 decades under the
        peak, then (x + 4) / 4).
        """
        spectrum = torch.stft(chunk, FFT, HOP, window=torch.hann_window(FFT), return_complex=True)[:, :-1].abs().square()
        mel = (self.filters @ spectrum).clamp_min(1e-10).log10()
        mel = (torch.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0
        return mel[:, : 2 * self.encoder.dims.context]


def _starts(count: int) -> list[int]:
    """First samples of the chunks of a recording."""
    return list(range(0, max(1, count - (CHUNK - STRIDE)), STRIDE))


def _first_row(start: int) -> int:
    """The row from which on the chunk that begins at this sample counts."""
    return (start + (CHUNK - STRIDE) // 2 * bool(start)) // ROW


def slaney_filters(bands: int) -> Array:
    """Mel triangles [bands, 201] on Slaney's scale with Slaney's area norm, 0-8,000 Hz: what Whisper was trained on
    (librosa.filters.mel's default).
    """
    step, knee, log_step = 200 / 3, 1000.0, np.log(6.4) / 27
    top = knee / step + np.log(8000 / knee) / log_step
    mels = np.linspace(0, top, bands + 2)
    edges = np.where(mels < knee / step, mels * step, knee * np.exp(log_step * (mels - knee / step)))
    bins = np.linspace(0, 8000, FFT // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return triangles.astype(np.float32)
