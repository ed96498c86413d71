"""The pretrained files that metrics need, under the names that their publishers gave them. Nothing is fetched here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor

from media.files import sha256
from steps.weights import folder

DEFAULT = Path("/weights")
"""Where they lie in the image, or on a volume mounted there."""

PUBLISHED = {
    "syncnet_v2.model": "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
    "sfd_face.pth": "d54a87c2b7543b64729c9a25eafd188da15fd3f6e02f0ecec76ae1b30d86c491",
    "pt_inception-2015-12-05-6726825d.pth": "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    "alexnet-owt-7be5be79.pth": "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    "shape_predictor_68_face_landmarks.dat": "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
}
"""sha256 of the publishers' files."""
SYNCNET, S3FD, INCEPTION, ALEXNET, LANDMARKS = PUBLISHED


class UnmeasuredError(Exception):
    """A metric that cannot be had; its text is the reason that stands in the JSON."""


class Network(Protocol):
    """What is made of a file's tensors."""

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> Self:
        """Ready to use. Raises RuntimeError for the tensors of another network."""
        ...

    def to(self, device: torch.device) -> Self:
        """Brought there."""
        ...


Loaded = TypeVar("Loaded", bound=Network)


@dataclass(frozen=True)
class Weights:
    """The folders that are looked in, in this order."""

    folders: tuple[Path, ...]

    @classmethod
    def found(cls) -> "Weights":
        """`EVAL_WEIGHTS_DIR`, or /weights and then the platform's own weights folder."""
        own = os.environ.get("EVAL_WEIGHTS_DIR")
        return cls((Path(own),) if own else (DEFAULT, folder()))

    def path(self, name: str) -> Path | None:
        """The file, if it is there."""
        return next((there / name for there in self.folders if (there / name).is_file()), None)

    def load(self, kind: type[Loaded], name: str) -> Loaded:
        """The network in this file, on the GPU where there is one. Raises UnmeasuredError `weights_missing`,
        `weights_unreadable`.
        """
        path = self.path(name)
        if path is None:
            raise UnmeasuredError("weights_missing")
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)
            return kind.of(weights).to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        except (RuntimeError, AttributeError, TypeError, UnpicklingError, EOFError) as error:
            raise UnmeasuredError("weights_unreadable") from error

    def described(self) -> dict[str, dict[str, Any]]:
        """Of each file that is there: its sha256, and whether it is the publisher's own."""
        paths = {name: path for name in PUBLISHED if (path := self.path(name))}
        digests = {name: sha256(path) for name, path in paths.items()}
        return {name: {"sha256": digest, "published": digest == PUBLISHED[name]} for name, digest in digests.items()}
