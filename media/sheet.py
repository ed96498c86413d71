"""Contact sheets: frames of a video side by side with their times, as one PNG."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from media import font
from media.clock import FPS
from media.frames import Frame, frames
from media.png import write_png
from media.probe import probe
from media.resize import resized

_GAP = 4
_GROUND = 24


def contact_sheet(path: Path, video: Path, columns: int = 6, rows: int = 4, tile_width: int = 240) -> None:
    """Writes `columns` × `rows` frames of `video`, evenly spread over its length, as a PNG at `path`."""
    info = probe(video)
    count = round(info.video.seconds * FPS) if info.video else 0
    wanted = np.unique(np.linspace(0, max(count - 1, 0), columns * rows).round().astype(int))
    picked = list(_pick(frames(video), set(wanted.tolist())))
    tiles = [_tile(frame, tile_width, f"{number / FPS:.2f} s") for number, frame in picked]
    write_png(path, grid(tiles, columns))


def grid(tiles: Sequence[Frame], columns: int) -> Frame:
    """Tiles of one size, uint8 [h, w, 3], set out in rows on a dark ground."""
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), _GROUND, np.uint8)
    for number, tile in enumerate(tiles):
        y, x = _GAP + number // columns * (height + _GAP), _GAP + number % columns * (width + _GAP)
        sheet[y : y + height, x : x + width] = tile
    return sheet


def captioned(frame: Frame, words: str, height: int = 14) -> Frame:
    """A copy of `frame` with `words` (what `media.font` can write) in its upper left corner, light on a darkened strip."""
    letters = font.text(words, height)[:, : frame.shape[1] - 8]
    marked = frame.astype(np.float32)
    strip = marked[: height + 6, : letters.shape[1] + 8]
    strip *= 0.45
    place = strip[3 : 3 + height, 4 : 4 + letters.shape[1]]
    place[:] = place * (1.0 - letters[..., None]) + 255.0 * letters[..., None]
    return (marked + 0.5).astype(np.uint8)


def _pick(stream: Iterable[Frame], wanted: set[int]) -> Iterator[tuple[int, Frame]]:
    for number, frame in enumerate(stream):
        if number in wanted:
            yield number, frame


def _tile(frame: Frame, width: int, words: str) -> NDArray[np.uint8]:
    height = max(1, round(frame.shape[0] * width / frame.shape[1]))
    return captioned(resized(frame, (width, height)), words)
