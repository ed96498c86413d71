import shutil

import numpy as np
import pytest

from media import captions, video
from media.errors import MediaError
from steps import weights
from steps.errors import InputError

SIDE = 256
SRT = "1\n00:00:00,000 --> 00:00:00,400\n{}\n"


def film(path, subtitles, label=False, count=20):
    """Grey frames with these subtitles, read back: [count, SIDE, SIDE, 3]."""
    with video.Writer(path, SIDE, SIDE, subtitles=subtitles, label=label) as writer:
        for _ in range(count):
            writer.write(np.full((SIDE, SIDE, 3), 90, np.uint8))
    return np.stack(list(video.frames(path))).astype(int)


def rows_drawn(frame):
    """Rows in which anything is brighter than the ground."""
    return np.flatnonzero((frame.max(-1) > 150).any(1))


def srt(folder, text):
    path = folder / "说 话.srt"
    path.write_text(SRT.format(text), "utf-8")
    return path


def test_words_stand_in_the_lower_part_while_they_are_said(tmp_path):
    frames = film(tmp_path / "a.mp4", srt(tmp_path, 'It\'s 100 %, "quoted"; [so]'))
    drawn = rows_drawn(frames[3])
    assert len(drawn) > 5 and drawn.min() > 0.75 * SIDE
    assert not len(rows_drawn(frames[15]))


def test_words_stay_off_the_label(tmp_path):
    label = rows_drawn(film(tmp_path / "a.mp4", None, label=True)[3])
    words = rows_drawn(film(tmp_path / "b.mp4", srt(tmp_path, "jolly gypsy"))[3])
    assert words.max() < label.min()


def test_a_folder_with_every_sign_that_ffmpeg_reads(tmp_path, monkeypatch):
    odd = tmp_path / "a'b,c:d;[e] f"
    odd.mkdir()
    monkeypatch.setattr(captions.TemporaryDirectory, "__init__", _in(odd))
    assert len(rows_drawn(film(tmp_path / "a.mp4", srt(tmp_path, "hello"))[3])) > 5


def _in(folder):
    begin = captions.TemporaryDirectory.__init__
    return lambda self, **options: begin(self, **{**options, "dir": folder})


def test_chinese_needs_its_font(tmp_path, monkeypatch):
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path / "none"))
    with pytest.raises(InputError) as refused:
        film(tmp_path / "a.mp4", srt(tmp_path, "你好"))
    assert refused.value.code == "weights_missing" and "make weights subtitle-font" in refused.value.message
    assert not (tmp_path / "a.mp4").exists()


def test_chinese_with_its_font(tmp_path):
    if not (weights.folder() / weights.table()[captions.FONT].file).is_file():
        pytest.skip("the font is not there: make weights subtitle-font")
    one, other = (film(tmp_path / f"{text}.mp4", srt(tmp_path, text))[3] for text in ("一一一一", "国国国国"))
    assert (one > 150).sum() < 0.7 * (other > 150).sum()  # boxes would all look alike


def test_the_font_of_the_weights_is_taken_for_chinese(tmp_path, monkeypatch):
    font, _ = captions._font("hello")
    entry = weights.table()[captions.FONT]
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", str(tmp_path))
    (tmp_path / entry.file).parent.mkdir()
    shutil.copy(font, tmp_path / entry.file)
    assert captions._font("你好") == (tmp_path / entry.file, captions.FAMILY)


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "file_missing"), ("naïve".encode("latin-1"), "unsupported_media"), (b"<html>", "unsupported_media")],
)
def test_what_is_no_subtitle_file(tmp_path, content, code):
    path = tmp_path / "a.srt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError) as refused:
        film(tmp_path / "a.mp4", path)
    assert refused.value.code == code


def test_no_words_at_all(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text("")
    assert not len(rows_drawn(film(tmp_path / "a.mp4", path)[3]))
