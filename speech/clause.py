"""The unit that is spoken at once, and the words of it with their times."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Clause:
    """A piece of the text, short enough to be spoken in one go."""

    text: str
    """As written: what subtitles show."""
    spoken: str
    """As read out: numbers, dates, units and symbols in words of `language`."""
    language: str
    """`zh` or `en`: of most of it. Words of the other language may stand in it."""
    pause: float
    """Seconds of silence after it."""


@dataclass(frozen=True)
class Word:
    """A word, or a Chinese character with its punctuation, and when it is said."""

    text: str
    start: float
    """Seconds from the beginning of the sound."""
    end: float
