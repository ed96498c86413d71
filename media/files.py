"""Files that appear whole or not at all, and what tells them apart."""

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from media.errors import DiskFull


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Hands out a temporary name beside `path`; takes it to `path` when the block ends well, removes it otherwise.

    Raises:
        DiskFull: the block ran out of room.
    """
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)  # a killed run's: not written into, in case its writer still lives
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(path.name) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """A UTF-8 file, whole or not at all. Raises DiskFull."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path) as partial:
        partial.write_text(text, "utf-8")


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
