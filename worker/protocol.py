"""The words of the workers' door, parsed once at the edge."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"

Name = Annotated[str, StringConstraints(pattern=rf"^{_SEGMENT}(/{_SEGMENT})*$", max_length=512)]
"""A file's path below a folder: no segment starts with a dot, so no way leads up."""

CHUNK = 1 << 20
"""Bytes read or written at once."""


class _Word(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class File(_Word):
    """A file as it is known before it is carried."""

    name: Name
    size: int = Field(ge=0)
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]

    @classmethod
    def of(cls, name: str, path: Path) -> Self:
        """Reads the file at `path` once."""
        digest = hashlib.sha256()
        size = 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
        return cls(name=name, size=size, sha256=digest.hexdigest())

    def is_at(self, path: Path) -> bool:
        """Whether exactly this file already lies at `path`."""
        return path.is_file() and path.stat().st_size == self.size and File.of(self.name, path).sha256 == self.sha256


class Checkpoint(_Word):
    """A training's state to resume from. Its files' names start with `checkpoint/`, `name` is geneface's folder."""

    name: Annotated[str, StringConstraints(pattern=f"^{_SEGMENT}$", max_length=200)]
    step: int
    files: tuple[File, ...]


class DatasetKey(_Word):
    """What a dataset is found by, beside its owner and video: what `geneface preprocess --describe` prints."""

    version: int
    options_hash: str
    options: dict[str, Any] = {}


class Claim(_Word):
    """What a run that owns the attempt has to know."""

    request: str
    attempt: int
    kind: str
    avatar: str | None = None
    spec: dict[str, Any]
    steps: tuple[str, ...]
    inputs: tuple[File, ...]
    dataset: tuple[File, ...] | None = None
    checkpoint: Checkpoint | None = None
    published: bool = False
    report_seconds: float = Field(2.0, ge=0)
    """The API asks for no more than one report in this time."""

    def input(self, name: str) -> File:
        """The input called `name`; KeyError when the API named none."""
        for file in self.inputs:
            if file.name == name:
                return file
        raise KeyError(name)


class Upload(_Word):
    """Where a file goes, and the headers without which its signature does not hold."""

    url: str
    headers: Mapping[str, str] = {}


class Links(_Word):
    """Presigned links, good for an hour."""

    get: Mapping[str, str] = {}
    put: Mapping[str, Upload] = {}


class Reply(_Word):
    """What the API answers to a report."""

    stop: bool = False


class Accepted(_Word):
    """What the API answers to a published dataset: False when another was first."""

    accepted: bool = True
