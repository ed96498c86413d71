"""PNG pictures, written and read again in numpy and zlib alone."""

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from media.files import written

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP = 2
"""The filter that this module writes: every row less the one above."""


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes uint8 [H, W, 3], RGB, as PNG (8-bit truecolour, every row filtered by the one above), whole or not at all."""
    height, width = picture.shape[:2]
    rows = picture.reshape(height, width * 3)
    above = np.vstack([np.zeros((1, width * 3), np.uint8), rows[:-1]])
    lines = np.hstack([np.full((height, 1), _UP, np.uint8), rows - above])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(lines.tobytes(), 6)
    with written(Path(path)) as partial:
        partial.write_bytes(_SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b""))


def read_png(path: Path) -> NDArray[np.uint8]:
    """Reads what `write_png` wrote: uint8 [H, W, 3], RGB.

    Raises:
        ValueError: not such a file, or not all of it.
    """
    data = Path(path).read_bytes()
    if not data.startswith(_SIGNATURE):
        raise ValueError(f"{path} is no PNG")
    chunks, at = {}, len(_SIGNATURE)
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        chunks[kind] = data[at + 8 : at + 8 + length]
        at += 12 + length
    if len(chunks.get(b"IHDR", b"")) != 13 or b"IDAT" not in chunks or b"IEND" not in chunks:
        raise ValueError(f"{path} is not a whole PNG")
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    try:
        lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8)
    except zlib.error as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if kind != [8, 2, 0, 0, 0] or lines.size != height * (width * 3 + 1) or (lines[:: width * 3 + 1] != _UP).any():
        raise ValueError(f"{path} is a PNG of another kind than is written here")
    rows = np.cumsum(lines.reshape(height, -1)[:, 1:], axis=0, dtype=np.uint8)
    return rows.reshape(height, width, 3)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
