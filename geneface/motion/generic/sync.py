"""The sync expert (GeneFace's SyncNet on landmarks; Prajwal et al. 2020): does this stretch of sound belong to this motion?"""

import torch
from torch import Tensor, nn
from torch.nn import functional

WINDOW = 5
"""Video frames that it looks at: 0.2 s."""


class SyncExpert(nn.Module):
    """Two small convolutional towers whose embeddings agree when sound and motion belong together."""

    def __init__(self, audio_dim: int, components: int, width: int = 128) -> None:
        super().__init__()
        self.audio = nn.Sequential(
            nn.Conv1d(audio_dim, width, 4, 2, 1), nn.ReLU(), nn.Conv1d(width, width, 3, padding=1), nn.ReLU(),
            nn.Conv1d(width, width, WINDOW), nn.ReLU(), nn.Conv1d(width, width, 1), nn.ReLU(),
        )  # fmt: skip
        self.motion = nn.Sequential(
            nn.Conv1d(components, width, 3, padding=1), nn.ReLU(), nn.Conv1d(width, width, 3, padding=1), nn.ReLU(),
            nn.Conv1d(width, width, WINDOW), nn.ReLU(), nn.Conv1d(width, width, 1), nn.ReLU(),
        )  # fmt: skip

    def agreement(self, audio: Tensor, motion: Tensor) -> Tensor:
        """Cosine, 0-1, of every window: audio [B, 2T, dim] and motion [B, T, K] to [B, T - 4]."""
        heard, seen = self.audio(audio.transpose(1, 2)), self.motion(motion.transpose(1, 2))
        return functional.cosine_similarity(heard, seen, dim=1).clamp(1e-4, 1 - 1e-4)

    def loss(self, audio: Tensor, motion: Tensor, others: Tensor) -> Tensor:
        """Binary cross-entropy of true pairs and of the same sound with `others` [B, T, K], motion of other moments."""
        true, false = self.agreement(audio, motion), self.agreement(audio, others)
        return -(torch.log(true).mean() + torch.log(1 - false).mean()) / 2
