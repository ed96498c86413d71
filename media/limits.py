"""How much a stranger's file may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds that are checked before anything is decoded, and kept while decoding."""

    max_pixels: int = 4096 * 2304
    """Pixels of a picture: 4K, lying or standing."""

    max_seconds: float = 3600.0
    """Length on the container's clock."""

    max_streams: int = 32
    """Streams in a file."""

    max_packets: int = 2_000_000
    """Packets of picture and sound together (an hour at 60 fps with AAC holds 400,000)."""

    stall_seconds: float = 120.0
    """How long ffmpeg may go without producing anything."""


DEFAULT = Limits()
