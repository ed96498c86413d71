"""SyncNet (Chung & Zisserman 2016): five frames of a mouth and 0.2 s of sound to 1,024 numbers each, close where they fit.

Layers and names are those of the published checkpoint `syncnet_v2.model`, which loads as it is.
"""

from collections.abc import Mapping

from torch import Tensor, nn

FRAMES, SIDE = 5, 224
"""Frames of a window, and pixels of their sides."""
COEFFICIENTS, COLUMNS = 13, 20
"""Cepstral coefficients of the sound, and 10 ms steps of a window."""
WIDTH = 1024


class SyncNet(nn.Module):
    """Both branches; embeddings are not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_plane(1, 64, 3, padding=1), nn.MaxPool2d(1, 1),
            *_plane(64, 192, 3, padding=1), nn.MaxPool2d(3, (1, 2)),
            *_plane(192, 384, 3, padding=1), *_plane(384, 256, 3, padding=1),
            *_plane(256, 256, 3, padding=1), nn.MaxPool2d(3, 2),
            *_plane(256, 512, (5, 4)),
        )  # fmt: skip
        self.netcnnlip = nn.Sequential(
            *_volume(3, 96, (5, 7, 7), (1, 2, 2)), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_volume(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_volume(256, 256, (1, 3, 3), padding=(0, 1, 1)), *_volume(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_volume(256, 256, (1, 3, 3), padding=(0, 1, 1)), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_volume(256, 512, (1, 6, 6)),
        )  # fmt: skip
        self.netfcaud, self.netfclip = _head(), _head()

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> "SyncNet":
        """From a state dict; the published one has no counters of batch normalisation (they play no part)."""
        network = cls()
        network.load_state_dict(weights)
        return network.eval().requires_grad_(False)

    def lips(self, frames: Tensor) -> Tensor:
        """Frames in a row, BGR 0-255, [T, 3, 224, 224] float, to the embeddings of their windows [T - 4, 1024].

        Only the first layer reaches over time, so windows that overlap share nothing and cost nothing twice.
        """
        volume = self.netcnnlip(frames.transpose(0, 1)[None])
        return self.netfclip(volume[0, :, :, 0, 0].T)

    def sounds(self, windows: Tensor) -> Tensor:
        """Windows of cepstra [B, 13, 20] float to [B, 1024]."""
        return self.netfcaud(self.netcnnaud(windows[:, None]).flatten(1))


def _plane(channels: int, out: int, kernel: int | tuple[int, int], padding: int = 0) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, out, kernel, padding=padding), nn.BatchNorm2d(out), nn.ReLU(inplace=True)


def _volume(
    channels: int, out: int, kernel: tuple[int, int, int], stride: tuple[int, int, int] = (1, 1, 1),
    padding: tuple[int, int, int] = (0, 0, 0),
) -> tuple[nn.Module, ...]:  # fmt: skip
    return nn.Conv3d(channels, out, kernel, stride, padding), nn.BatchNorm3d(out), nn.ReLU(inplace=True)


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, WIDTH))
