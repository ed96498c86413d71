"""Who speaks, as a direction in 256 dimensions: the speaker encoder of Wan et al. 2018 (GE2E) with Resemblyzer's weights.

Pure numpy. Two embeddings of one voice point the same way, whatever is said.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from media.clock import SAMPLE_RATE
from steps import resemblyzer, weights
from steps.errors import InputError

NAME = "resemblyzer"
"""Of the entry in weights.toml."""
BANDS, WIDTH, LAYERS = 40, 256, 3
WINDOW, HOP = 400, 160
"""Samples: 25 and 10 ms."""
FRAMES = 160
"""Of a partial utterance: 1.6 s."""
STEP = 77
"""Frames from one partial utterance to the next: 1.3 a second, as Resemblyzer has it."""
LEAST_COVERED = 0.75
"""Share of the last partial utterance that must be sound, else it is left out."""
AT_ONCE, COLUMNS = 16, 64
"""Partial utterances and gates of one product in the recurrence: so few that BLAS shares none of the 480 steps out among its
threads. Waiting for each other there costs them 20 times the work on a busy machine.
"""
LOUDNESS_DB = -30.0
"""RMS below full scale to which quieter sound is raised."""

Embedding = NDArray[np.float32]
"""[256], of length 1, nowhere negative."""


class Embedder:
    """Tells voices apart."""

    def __init__(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self._tensors = tensors

    @classmethod
    def found(cls) -> Self | None:
        """With the weights that lie in the weights folder; None when they don't. Raises InputError `weights_invalid`."""
        path = weights.folder() / weights.table()[NAME].file
        return cls.read(path) if path.is_file() else None

    @classmethod
    def read(cls, path: Path) -> Self:
        """With the weights of that file. Raises InputError `weights_invalid`."""
        try:
            tensors = load_file(path)
        except SafetensorError as error:
            raise _invalid(path, str(error)) from None
        for name, shape in resemblyzer.SHAPES.items():
            if name not in tensors or tensors[name].shape != shape:
                raise _invalid(path, f"no {name} of {shape}")
        return cls(tensors)

    def embed(self, samples: NDArray[np.floating]) -> Embedding:
        """The voice in `samples` [N], 16 kHz; longer pauses belong cut out first (`activity.speech`)."""
        return _unit(self.partials(samples).mean(0))

    def partials(self, samples: NDArray[np.floating]) -> NDArray[np.float32]:
        """The voice in each 1.6 s of it, one every 0.77 s, [P, 256]; P is at least 1."""
        starts = slices(len(samples))
        samples = np.pad(louder(samples), (0, max(0, (starts[-1] + FRAMES) * HOP - len(samples))))
        bands = mel(samples)
        inputs = np.stack([bands[start : start + FRAMES] for start in starts])
        last = np.concatenate([self._last(inputs[first : first + AT_ONCE]) for first in range(0, len(inputs), AT_ONCE)])
        return _unit(np.maximum(last @ self._tensors["linear.weight"].T + self._tensors["linear.bias"], 0))

    def _last(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """The top layer's last hidden states [B, 256] over inputs [B, T, 40]."""
        for layer in range(LAYERS):
            states = self._lstm(states, layer)
        return states[:, -1]

    def _lstm(self, inputs: NDArray[np.float32], layer: int) -> NDArray[np.float32]:
        """A layer's hidden states [B, T, 256] over inputs [B, T, D]; gates stand in torch's order: in, forget, cell, out."""
        named = [self._tensors[f"lstm.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        from_input, bias = named[0].T, named[2] + named[3]
        from_hidden = np.ascontiguousarray(named[1].reshape(-1, COLUMNS, WIDTH).transpose(0, 2, 1))
        driven = (inputs.reshape(-1, inputs.shape[-1]) @ from_input + bias).reshape(*inputs.shape[:2], -1)
        hidden = np.zeros((len(inputs), WIDTH), np.float32)
        cell, states = hidden, np.empty((*inputs.shape[:2], WIDTH), np.float32)
        for time in range(inputs.shape[1]):
            gates = driven[:, time] + np.matmul(hidden, from_hidden).transpose(1, 0, 2).reshape(len(hidden), -1)
            enter, forget, _, leave = np.split(_sigmoid(gates), 4, axis=1)
            cell = forget * cell + enter * np.tanh(gates[:, 2 * WIDTH : 3 * WIDTH])
            hidden = leave * np.tanh(cell)
            states[:, time] = hidden
        return states


def similarity(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Cosine of the angle between two embeddings: 1 for the same voice."""
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def slices(samples: int) -> list[int]:
    """First frames of the partial utterances of so many samples; at least one, the last of which may reach beyond the end."""
    frames = -(-(samples + 1) // HOP)
    starts = list(range(0, max(1, frames - FRAMES + STEP + 1), STEP))
    covered = (samples - starts[-1] * HOP) / (FRAMES * HOP)
    return starts[:-1] if covered < LEAST_COVERED and len(starts) > 1 else starts


def louder(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    """Raised to −30 dB RMS when it is quieter."""
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
    target = 10.0 ** (LOUDNESS_DB / 20.0)
    return (samples * (target / level) if 0.0 < level < target else samples).astype(np.float32)


def mel(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    """Power in 40 mel bands every 10 ms, [1 + N // 160, 40]: Hann windows centred on their times, zeros beyond the ends."""
    padded = np.pad(samples, WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    power = np.square(np.abs(np.fft.rfft(windows * hann)))
    return (power @ filters().T).astype(np.float32)


@cache
def filters() -> NDArray[np.float64]:
    """Triangles on Slaney's mel scale (Auditory Toolbox, 1998), each of area 1, over the windows' frequencies, [40, 201]."""
    frequencies = np.arange(WINDOW // 2 + 1) * SAMPLE_RATE / WINDOW
    edges = _hertz(np.linspace(0.0, _mels(SAMPLE_RATE / 2), BANDS + 2))
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    triangles: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)
    return triangles


_LINEAR, _BREAK, _LOG = 200.0 / 3.0, 1000.0, np.log(6.4) / 27.0
"""Slaney's scale: 200/3 Hz a mel up to 1 kHz, from there a factor of 6.4 every 27 mels."""


def _mels(hertz: float) -> float:
    return hertz / _LINEAR if hertz < _BREAK else float(_BREAK / _LINEAR + np.log(hertz / _BREAK) / _LOG)


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    beyond = np.maximum(mels - _BREAK / _LINEAR, 0.0)
    return np.where(beyond > 0, _BREAK * np.exp(_LOG * beyond), mels * _LINEAR)


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(0.5 * np.tanh(0.5 * values) + 0.5, np.float32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brought to length 1; what is all zero stays so."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12), np.float32)


def _invalid(path: Path, why: str) -> InputError:
    return InputError(
        "weights_invalid", f"{path.name} in {path.parent} is no speaker encoder ({why}); `make weights {NAME}` brings it"
    )
