"""Whether all bytes are there that a file's own headers speak of: ffmpeg reads a cut wav, avi or fragmented mp4 as a shorter one.

mpeg-ts and ogg say nowhere how long they are: of these, what is there counts as all.
"""

from pathlib import Path
from typing import BinaryIO

_UNKNOWN = 0x7FFF_0000
"""Sizes from here on are what programs write that stream into a pipe and do not know the length."""
_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_BOXES = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"mfra", b"free", b"skip", b"uuid", b"emsg", b"prft"}
_MAX_BOXES = 100_000


def share_there(path: Path) -> float:
    """Share of the bytes that a wav, w64 or avi declares and that are there; 1 when all are, or the file does not say."""
    size = path.stat().st_size
    with path.open("rb") as file:
        declared = _riff_end(file, size)
    return size / declared if declared > size else 1.0


def ends_in_a_fragment(path: Path) -> bool:
    """Whether the file is a fragmented mp4 whose last box is longer than what is there of it."""
    size, end, fragmented = path.stat().st_size, 0, False
    with path.open("rb") as file:
        for _ in range(_MAX_BOXES):
            if end >= size:
                break
            file.seek(end)
            head = file.read(16)
            length = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4])
            if head[4:8] not in _BOXES or length < 8:
                return False
            fragmented |= head[4:8] == b"moof"
            end += length
    return fragmented and end > size


def _riff_end(file: BinaryIO, size: int) -> int:
    """Where the last RIFF that begins in the file ends, by its own account; 0 when it gives none."""
    head = file.read(24)
    if head[:16] == _W64:
        return int.from_bytes(head[16:24], "little")
    end = 0
    while head[:4] == b"RIFF" and end < size:
        length = int.from_bytes(head[4:8], "little")
        if not 0 < length < _UNKNOWN:
            return 0
        end += 8 + length
        file.seek(end)
        head = file.read(8)
    return end
