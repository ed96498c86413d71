"""PNG pictures, written in numpy and zlib alone; `media.pictures` reads them."""

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from media.files import written

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP = 2
"""PNG's filter of every row less the one above."""


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


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
