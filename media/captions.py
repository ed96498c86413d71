"""Subtitles drawn into the picture by ffmpeg's libass, with a font that has all their characters."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from media.errors import FileMissing, UnsupportedMedia
from steps import weights

FONT = "subtitle-font"
"""In weights.toml: every script that the platform speaks."""
FAMILY = "Noto Sans SC Medium"
LATIN = "matplotlib", "mpl-data/fonts/ttf/DejaVuSans.ttf", "DejaVu Sans"
"""A font that MediaPipe's own needs bring along: good for Latin, Greek and Cyrillic letters."""
FIRST_IDEOGRAPH = "\u2e80"
STYLE = "FontSize=15,MarginV=30,Outline=1,Shadow=0"
"""In libass's units: the picture is 288 high. Above the visible label, which stands in the lower 24."""


@contextmanager
def burning(subtitles: Path) -> Iterator[str]:
    """ffmpeg's filter that draws the SRT file `subtitles`, good inside the block.

    Raises:
        MediaError: `file_missing`, `unsupported_media` for what is not SRT in UTF-8.
        InputError: `weights_missing` when the text needs the font that `make weights subtitle-font` brings.
    """
    try:
        text = subtitles.read_text("utf-8")
    except FileNotFoundError:
        raise FileMissing(subtitles.name) from None
    except UnicodeDecodeError:
        raise UnsupportedMedia(subtitles.name, reason="subtitles must be UTF-8") from None
    if "-->" not in text:
        if text.strip():
            raise UnsupportedMedia(subtitles.name, reason="no SRT subtitles are in it")
        yield "null"  # nothing is said
        return
    font, family = _font(text)
    with TemporaryDirectory(prefix="captions-") as folder:
        copied, fonts = Path(folder, "captions.srt"), Path(folder, "fonts")
        copied.write_text(text, "utf-8")
        fonts.mkdir()
        (fonts / font.name).symlink_to(font.resolve())
        yield f"subtitles=filename={_escaped(copied)}:fontsdir={_escaped(fonts)}:force_style='FontName={family},{STYLE}'"


def _font(text: str) -> tuple[Path, str]:
    """A font's file and family that has all of `text`."""
    package, file, family = LATIN
    plain = find_spec(package)
    if plain and plain.origin and max(text) < FIRST_IDEOGRAPH:
        return Path(plain.origin).parent / file, family
    return weights.path(FONT), FAMILY


def _escaped(path: Path) -> str:
    """For an option of a filter, then for the chain of filters."""
    option = "".join(f"\\{letter}" if letter in "\\':" else letter for letter in str(path))
    return "".join(f"\\{letter}" if letter in "\\'[],;" else letter for letter in option)
