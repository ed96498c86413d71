import zlib

import numpy as np
import pytest

from media import font, pictures, png, sheet, video
from media.errors import UnsupportedPicture
from media.label import Label
from media.resize import resized


def test_resize_keeps_what_is_there():
    ramp = np.broadcast_to(np.linspace(10, 240, 101)[None, :, None], (50, 101, 3)).astype(np.uint8)
    assert np.array_equal(resized(ramp, (101, 50)), ramp)
    half = resized(ramp, (50, 25)).astype(float)
    assert (
        np.abs(half[12, 2:-2, 0] - np.interp((np.arange(50) + 0.5) * 2.02 - 0.5, np.arange(101), ramp[0, :, 0])[2:-2]).max() < 1.5
    )
    part = resized(ramp, (40, 40), (20.5, 5.0, 40.0, 40.0)).astype(float)
    assert np.abs(part[20, :, 0] - (ramp[0, 20:60, 0].astype(float) + ramp[0, 21:61, 0]) / 2).max() <= 1.5
    checks = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None]
    assert np.abs(resized(checks, (16, 16)).astype(float)[2:-2, 2:-2] - 127.5).max() < 8
    outside = resized(ramp, (20, 20), (-30.0, -10.0, 20.0, 20.0))
    assert np.all(outside == ramp[0, 0, 0])


@pytest.mark.parametrize(("width", "height"), [(512, 512), (1080, 1920), (128, 96), (48, 64)])
def test_the_label_is_small_and_legible(width, height):
    frame = np.full((height, width, 3), 128, np.uint8)
    marked = Label(width, height).drawn(frame)
    assert np.all(frame == 128)
    changed = np.argwhere((marked != frame).any(axis=2))
    top, left = changed.min(axis=0)
    bottom, right = changed.max(axis=0)
    assert bottom < height
    assert right < width
    if min(width, height) >= 128:
        assert top > height * 0.85 or height == 96
        assert 0.04 < (bottom - top) / min(width, height) < 0.11
        assert marked[top : bottom + 1, left : right + 1].max() > 220
        assert marked[top : bottom + 1, left : right + 1].min() < 100


def test_every_letter_of_the_label_and_the_times_can_be_written():
    for line in ("AI-generated", "0123456789:. s", "truth predicted constant swap"):
        coverage = font.text(line, 16)
        assert coverage.shape[0] == 16
        assert 0.5 < coverage.max() <= 1.0
    assert font.text("11", 40).shape[1] < font.text("00", 40).shape[1]
    shapes = {character: font.text(character, 32).tobytes() for character in "0123456789abcdefghijklmnopqrstuvwxyz"}
    assert len(set(shapes.values())) == len(shapes)


def read_png(data):
    """A decoder for what write_png writes: every row is stored as its difference to the one above."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    place = data.index(b"IDAT")
    body = zlib.decompress(data[place + 4 : place + 4 + int.from_bytes(data[place - 4 : place])])
    rows = np.frombuffer(body, np.uint8).reshape(height, 1 + width * 3)
    assert np.all(rows[:, 0] == 2)
    return np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(height, width, 3)


def test_png(tmp_path, make):
    picture = np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)
    png.write_png(tmp_path / "a.png", picture)
    assert np.array_equal(pictures.read(tmp_path / "a.png", 47, 33), picture)
    assert np.array_equal(read_png((tmp_path / "a.png").read_bytes()), picture)
    seen = make("a.mkv", "-i", tmp_path / "a.png", "-c:v", "ffv1", "-pix_fmt", "bgr0")
    assert np.array_equal(next(video.frames(seen)), picture)


def test_a_torn_picture_or_none_is_refused(tmp_path):
    png.write_png(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8))
    (tmp_path / "torn.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "text.png").write_text("no picture")
    for name in ("torn.png", "text.png"):
        with pytest.raises(UnsupportedPicture):
            pictures.read(tmp_path / name, 47, 33)


def test_contact_sheet(tmp_path, clip):
    path = tmp_path / "sheet.png"
    sheet.contact_sheet(path, clip, columns=4, rows=3, tile_width=160)
    picture = read_png(path.read_bytes())
    assert picture.shape == (3 * 124 + 4, 4 * 164 + 4, 3)
    tiles = [picture[4 + row * 124 :, 4 + column * 164 :][:120, :160] for row in range(3) for column in range(4)]
    assert len({tile.tobytes() for tile in tiles}) == 12
    assert np.abs(tiles[0][40:].astype(float) - resized(next(video.frames(clip)), (160, 120))[40:]).max() < 1


def test_a_sheet_of_a_very_short_clip(tmp_path, make):
    short = make("short.mp4", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.08", "-pix_fmt", "yuv420p")
    sheet.contact_sheet(tmp_path / "sheet.png", short)
    assert read_png((tmp_path / "sheet.png").read_bytes()).shape[1] == 6 * 244 + 4
